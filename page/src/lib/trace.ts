/** A trace: what one look at a model recorded. The Python side is `src/qkv/inside/trace.py`. */

import { floats, readSafetensors, TraceError, type Tensor } from "./safetensors";

export { TraceError };

export interface TextStream {
  name: string;
  kind: "text";
  text: string;
  tokens: string[];
  offsets: [number, number][];
  /** The word that each token belongs to; -1 for special tokens. */
  words: number[];
  special: boolean[];
  /** Index of the first generated token. */
  generated: number | null;
}

/** Its tokens are `prefix`, then the patches of `grid` row by row. */
export interface PictureStream {
  name: string;
  kind: "picture";
  grid: [number, number];
  prefix: string[];
  size: [number, number];
  image: string;
}

export type Stream = TextStream | PictureStream;

export interface MapInfo {
  id: string;
  layer: number;
  kind: "self" | "cross";
  query: string;
  key: string;
  heads: number;
  /** Which heads of the layer these are, where not all were watched. */
  numbers: number[] | null;
  kv_heads: number;
  d_head: number;
  scale: number;
  causal: boolean;
  window: [number, number] | null;
  shift: [number, number] | null;
  grid: [number, number] | null;
  store: "weights" | "top" | "windows";
  qk: boolean;
  rows: number;
  columns: number;
  missing_rows: number;
}

export interface Gold {
  query: string;
  key: string;
  /** Pairs [key, query]. */
  links: [number, number][];
}

export type Likely = [string, number];
export type Output =
  | { kind: "labels"; labels: Likely[] }
  | { kind: "steps"; first: number; steps: { token: string; id: number; top: Likely[] }[] }
  | { kind: "beams"; hypotheses: { text: string; score: number; tokens: string[] }[] }
  | { kind: "gaps"; gaps: { at: number; top: Likely[] }[] };

export type Fact = "entropy" | "received" | "distance" | "special" | "diagonal";

/** Weights of one head; when `pooled`, each cell is the mean over a block of queries and keys. */
export interface Matrix {
  values: Float32Array;
  rows: number;
  columns: number;
  pooled: boolean;
}

/** How many maps stay unpacked. */
const RECENT = 24;

/** Stands for a head: the mean of all heads. */
export const MEAN = -1;

export class Trace {
  readonly model: { name: string; family: string; parameters: number; random: boolean };
  readonly title: string;
  readonly code: string;
  readonly streams: Stream[];
  readonly maps: MapInfo[];
  readonly gold: Gold[];
  readonly outputs: Output[];
  readonly bytes: number;
  private readonly tensors: Map<string, Tensor>;
  private readonly names = new Map<string, string[]>();
  private readonly recent = new Map<string, Matrix>();
  private readonly slots = new Map<string, Int32Array>();

  constructor(bytes: Uint8Array) {
    const { tensors, metadata } = readSafetensors(bytes);
    if (!metadata.qkv) throw new TraceError("This safetensors file is no trace: its metadata has no \"qkv\".");
    const meta = JSON.parse(metadata.qkv);
    if (meta.format !== "qkv-trace") throw new TraceError("This safetensors file is no trace of qkv.");
    if (meta.version !== 1) throw new TraceError(`This trace is of version ${meta.version}; this page reads version 1.`);
    this.tensors = tensors;
    this.bytes = bytes.length;
    this.model = meta.model;
    this.title = meta.title ?? "";
    this.code = meta.code ?? "";
    this.streams = meta.streams ?? [];
    this.maps = meta.maps ?? [];
    this.gold = meta.gold ?? [];
    this.outputs = meta.outputs ?? [];
  }

  stream(name: string): Stream {
    const found = this.streams.find((stream) => stream.name === name);
    if (!found) throw new TraceError(`This trace names a stream "${name}" that it does not hold.`);
    return found;
  }

  /** One label per token; patches are named by row and column, counted from 1. */
  tokens(name: string): string[] {
    let tokens = this.names.get(name);
    if (!tokens) this.names.set(name, (tokens = labels(this.stream(name))));
    return tokens;
  }

  /** Which entries of a stream stand for nothing in the input: [CLS], [SEP], padding, registers. */
  special(name: string): boolean[] {
    const stream = this.stream(name);
    if (stream.kind === "text") return stream.special;
    return this.tokens(name).map((_, i) => i < stream.prefix.length);
  }

  tensor(name: string): Tensor | null {
    return this.tensors.get(name) ?? null;
  }

  /** What query `t` of a head takes from each key; beyond the byte budget only its largest weights are known. */
  row(map: MapInfo, head: number, t: number): Float32Array {
    if (head === MEAN) return mean(map.heads, (h) => this.row(map, h, t));
    const out = new Float32Array(map.columns);
    if (map.store === "windows") this.windowRow(map, head, t, out, 0);
    else if (map.store === "top") this.topRow(map, head, t, out);
    else this.fullRow(map, head, t, out, 0);
    return out;
  }

  /** The whole map of a head, or its pooled map where the trace is beyond the byte budget. */
  matrix(map: MapInfo, head: number): Matrix {
    const name = `${map.id} ${head}`;
    let matrix = this.recent.get(name);
    if (!matrix) {
      this.recent.set(name, (matrix = this.readMatrix(map, head)));
      if (this.recent.size > RECENT) this.recent.delete(this.recent.keys().next().value!);
    }
    return matrix;
  }

  private readMatrix(map: MapInfo, head: number): Matrix {
    const pooled = map.store === "top";
    const [rows, columns] = pooled ? this.need(`${map.id}.pooled`).shape.slice(1) : [map.rows, map.columns];
    const one = (h: number) => {
      const values = new Float32Array(rows * columns);
      if (pooled) dequantise(this.need(`${map.id}.pooled`), this.need(`${map.id}.pooledmax`), h * rows, rows, columns, values, 0);
      else if (map.store === "windows") for (let t = 0; t < rows; t++) this.windowRow(map, h, t, values, t * columns);
      else dequantise(this.need(`${map.id}.weights`), this.need(`${map.id}.rowmax`), h * rows, rows, columns, values, 0);
      return values;
    };
    return { values: head === MEAN ? mean(map.heads, one) : one(head), rows, columns, pooled };
  }

  /** A fact computed from the exact weights: one number per head and query ("received": per head and key; "diagonal": per head). */
  fact(map: MapInfo, name: Fact): Float32Array | null {
    const tensor = this.tensor(`${map.id}.${name}`);
    return tensor && floats(tensor);
  }

  /** (rows, d_head) of one head, or null where the trace does not hold it. */
  q(map: MapInfo, head: number): Float32Array | null {
    return this.vectors(map, "q", head);
  }

  /** (columns, d_head); with grouped queries the key head that this query head shares. */
  k(map: MapInfo, head: number): Float32Array | null {
    return this.vectors(map, "k", Math.floor((head * map.kv_heads) / map.heads));
  }

  v(map: MapInfo, head: number): Float32Array | null {
    return this.vectors(map, "v", Math.floor((head * map.kv_heads) / map.heads));
  }

  /** (rows, columns) added to the scores before the softmax, or null where there is none. */
  bias(map: MapInfo, head: number): Float32Array | null {
    return this.vectors(map, "bias", head);
  }

  private vectors(map: MapInfo, name: string, head: number): Float32Array | null {
    const tensor = this.tensor(`${map.id}.${name}`);
    if (!tensor) return null;
    const size = tensor.shape[1] * tensor.shape[2];
    return floats(tensor, head * size, (head + 1) * size);
  }

  private need(name: string): Tensor {
    const tensor = this.tensors.get(name);
    if (!tensor) throw new TraceError(`This trace lacks the tensor ${name}.`);
    return tensor;
  }

  private fullRow(map: MapInfo, head: number, t: number, out: Float32Array, at: number): void {
    dequantise(this.need(`${map.id}.weights`), this.need(`${map.id}.rowmax`), head * map.rows + t, 1, map.columns, out, at);
  }

  private topRow(map: MapInfo, head: number, t: number, out: Float32Array): void {
    const values = this.need(`${map.id}.top.values`);
    const indices = this.need(`${map.id}.top.indices`).data;
    const n = values.shape[2];
    const start = (head * map.rows + t) * n;
    const known = floats(values, start, start + n);
    for (let i = 0; i < n; i++) if (known[i] > 0) out[indices[start + i]] = known[i];
  }

  /** Put one row of a window where its keys lie in the layer's whole grid. */
  private windowRow(map: MapInfo, head: number, t: number, out: Float32Array, at: number): void {
    const weights = this.need(`${map.id}.weights`);
    const places = this.need(`${map.id}.places`).data;
    const [, count, width] = weights.shape;
    const slot = this.slotsOf(map)[t];
    if (slot < 0) return;
    const row = new Float32Array(width);
    dequantise(weights, this.need(`${map.id}.rowmax`), head * count * width + slot, 1, width, row, 0);
    const first = Math.floor(slot / width) * width;
    for (let i = 0; i < width; i++) if (places[first + i] >= 0) out[at + places[first + i]] = row[i];
  }

  /** For each place of the grid: the row (window x width + place inside) that holds it. */
  private slotsOf(map: MapInfo): Int32Array {
    let slots = this.slots.get(map.id);
    if (!slots) {
      slots = new Int32Array(map.rows).fill(-1);
      this.need(`${map.id}.places`).data.forEach((place: number, slot: number) => {
        if (place >= 0) slots![place] = slot;
      });
      this.slots.set(map.id, slots);
    }
    return slots;
  }
}

/** byte / 255 * the row's largest weight, for `n` rows from `first` on. */
function dequantise(bytes: Tensor, largest: Tensor, first: number, n: number, columns: number, out: Float32Array, at: number): void {
  const tops = floats(largest, first, first + n);
  for (let t = 0; t < n; t++) {
    const unit = tops[t] / 255;
    const from = (first + t) * columns;
    const to = at + t * columns;
    for (let s = 0; s < columns; s++) out[to + s] = bytes.data[from + s] * unit;
  }
}

function mean(heads: number, of: (head: number) => Float32Array): Float32Array {
  const sum = of(0).slice();
  for (let h = 1; h < heads; h++) {
    const one = of(h);
    for (let i = 0; i < sum.length; i++) sum[i] += one[i];
  }
  for (let i = 0; i < sum.length; i++) sum[i] /= heads;
  return sum;
}

function labels(stream: Stream): string[] {
  if (stream.kind === "text") return stream.tokens;
  const [rows, columns] = stream.grid;
  const patches = Array.from({ length: rows * columns }, (_, i) => `row ${Math.floor(i / columns) + 1}, column ${(i % columns) + 1}`);
  return [...stream.prefix, ...patches];
}
