/** Two heads against each other. */

import type { MapInfo, Trace } from "./trace";

/** A table of weights that two heads can be compared by; its cells are keys of a picture, or queries by keys. */
export interface Table {
  values: Float32Array;
  rows: number;
  columns: number;
  /** How many tokens of each axis a cell stands for. */
  step: [number, number];
}

/** For a picture: what query `t` takes from each patch. Otherwise the whole map, pooled where it is large. */
export function tableOf(trace: Trace, map: MapInfo, head: number, t: number): Table {
  const stream = trace.stream(map.key);
  if (stream.kind === "picture") {
    const [rows, columns] = map.grid ?? stream.grid;
    return { values: trace.row(map, head, Math.min(t, map.rows - 1)).subarray(stream.prefix.length), rows, columns, step: [1, 1] };
  }
  const { values, rows, columns } = trace.matrix(map, head);
  return { values, rows, columns, step: [map.rows / rows, map.columns / columns] };
}

export function difference(a: Table, b: Table): Float32Array | null {
  if (a.rows !== b.rows || a.columns !== b.columns) return null;
  return a.values.map((weight, i) => weight - b.values[i]);
}

/** The share of their weight that two heads put in the same places: 1 where they are equal. */
export function overlap(a: Table, b: Table): number {
  let [both, all] = [0, 0];
  for (let i = 0; i < a.values.length; i++) {
    both += Math.min(a.values[i], b.values[i]);
    all += (a.values[i] + b.values[i]) / 2;
  }
  return all > 0 ? both / all : 1;
}

export function most(values: Float32Array): number {
  return values.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
}
