/** The other direction of a map: not what one query takes, but who takes from one key. */

import { floats } from "./safetensors";
import { MEAN, type MapInfo, type Trace } from "./trace";

/** What each query takes from key `s`; beyond the byte budget only where it is among a query's largest weights. */
export function column(trace: Trace, map: MapInfo, head: number, s: number): Float32Array {
  const out = new Float32Array(map.rows);
  const heads = head === MEAN ? Array.from({ length: map.heads }, (_, h) => h) : [head];
  const add = map.store === "top" ? addTop : map.store === "windows" ? addWindow : addFull;
  for (const h of heads) add(trace, map, h, s, out, 1 / heads.length);
  return out;
}

function addFull(trace: Trace, map: MapInfo, head: number, s: number, out: Float32Array, share: number): void {
  const bytes = trace.tensor(`${map.id}.weights`)!.data;
  const tops = floats(trace.tensor(`${map.id}.rowmax`)!, head * map.rows, (head + 1) * map.rows);
  for (let t = 0, at = head * map.rows * map.columns + s; t < map.rows; t++, at += map.columns) {
    out[t] += (bytes[at] / 255) * tops[t] * share;
  }
}

function addTop(trace: Trace, map: MapInfo, head: number, s: number, out: Float32Array, share: number): void {
  const values = trace.tensor(`${map.id}.top.values`)!;
  const indices = trace.tensor(`${map.id}.top.indices`)!.data;
  const n = values.shape[2];
  const first = head * map.rows * n;
  const known = floats(values, first, first + map.rows * n);
  for (let i = 0; i < known.length; i++) if (indices[first + i] === s) out[Math.floor(i / n)] += known[i] * share;
}

/** Only the queries of its own window see a key. */
function addWindow(trace: Trace, map: MapInfo, head: number, s: number, out: Float32Array, share: number): void {
  const row = trace.row(map, head, s);
  for (let t = 0; t < map.rows; t++) if (row[t] > 0 || t === s) out[t] += trace.row(map, head, t)[s] * share;
}
