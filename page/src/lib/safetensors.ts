/** The safetensors format: 8 bytes of header length, a JSON header, the numbers. */

export class TraceError extends Error {}

export type Numbers = Uint8Array | Uint16Array | Uint32Array | Int32Array | Float32Array;

export interface Tensor {
  dtype: string;
  shape: number[];
  /** As stored; halves (F16) stay `Uint16Array` until `half` turns them into numbers. */
  data: Numbers;
}

const KINDS: Record<string, new (buffer: ArrayBuffer, at: number, n: number) => Numbers> = {
  U8: Uint8Array,
  U16: Uint16Array,
  F16: Uint16Array,
  U32: Uint32Array,
  I32: Int32Array,
  F32: Float32Array,
};

/** All tensors of a file by name, and its metadata. Nothing is copied where the bytes lie aligned. */
export function readSafetensors(bytes: Uint8Array): { tensors: Map<string, Tensor>; metadata: Record<string, string> } {
  if (bytes.length < 8) throw new TraceError("This is no trace: it is shorter than a header.");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  if (length > bytes.length - 8) throw new TraceError("This trace is cut off, or is not a safetensors file.");
  let header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;
  try {
    header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  } catch {
    throw new TraceError("This trace has a header that is not JSON.");
  }
  const { __metadata__: metadata, ...entries } = header;
  const tensors = new Map<string, Tensor>();
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(entries)) {
    tensors.set(name, { dtype, shape, data: numbers(bytes, name, dtype, shape, 8 + length + data_offsets[0]) });
  }
  return { tensors, metadata: (metadata ?? {}) as unknown as Record<string, string> };
}

function numbers(bytes: Uint8Array, name: string, dtype: string, shape: number[], start: number): Numbers {
  const Kind = KINDS[dtype] as (typeof KINDS)[string] & { BYTES_PER_ELEMENT: number };
  if (!Kind) throw new TraceError(`Tensor ${name} holds ${dtype}; a trace holds ${Object.keys(KINDS).join(", ")}.`);
  const count = shape.reduce((product, n) => product * n, 1);
  const end = start + count * Kind.BYTES_PER_ELEMENT;
  if (end > bytes.length) throw new TraceError(`This trace is cut off inside tensor ${name}.`);
  const at = bytes.byteOffset + start;
  if (at % Kind.BYTES_PER_ELEMENT === 0) return new Kind(bytes.buffer as ArrayBuffer, at, count);
  return new Kind(bytes.slice(start, end).buffer, 0, count);
}

let halves: Float32Array | undefined;

/** A table from the 16 bits of a half to its value. */
function halfTable(): Float32Array {
  if (halves) return halves;
  halves = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 31) halves[bits] = fraction ? NaN : sign * Infinity;
    else if (exponent === 0) halves[bits] = sign * fraction * 2 ** -24;
    else halves[bits] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return halves;
}

/** Entries `start` to `end` of a tensor as 32-bit floats, whatever it is stored as. */
export function floats(tensor: Tensor, start = 0, end = tensor.data.length): Float32Array {
  if (tensor.data instanceof Float32Array) return tensor.data.subarray(start, end);
  const out = new Float32Array(end - start);
  const table = tensor.dtype === "F16" ? halfTable() : undefined;
  for (let i = 0; i < out.length; i++) out[i] = table ? table[tensor.data[start + i]] : tensor.data[start + i];
  return out;
}
