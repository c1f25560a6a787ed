/** Traces for tests, written byte by byte. */

export interface Stored {
  dtype: string;
  shape: number[];
  bytes: Uint8Array;
}

export function safetensors(tensors: Record<string, Stored>, metadata?: Record<string, string>): Uint8Array {
  let at = 0;
  const header: Record<string, unknown> = metadata ? { __metadata__: metadata } : {};
  for (const [name, { dtype, shape, bytes }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [at, (at += bytes.length)] };
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const file = new Uint8Array(8 + text.length + at);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  at = 8 + text.length;
  for (const { bytes } of Object.values(tensors)) {
    file.set(bytes, at);
    at += bytes.length;
  }
  return file;
}

export function traceOf(maps: Record<string, unknown>[], tensors: Record<string, Stored>, more: Record<string, unknown> = {}): Uint8Array {
  const told = maps.map((map) => ({ layer: 0, kind: "self", query: "text", key: "text", kv_heads: map.heads, ...map }));
  return safetensors(tensors, { qkv: JSON.stringify({ format: "qkv-trace", version: 1, model: {}, streams: [], maps: told, ...more }) });
}
