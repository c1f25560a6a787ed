/** One query of one head, step by step, as softmax(q K^T / sqrt d + bias) V is worked out by hand. */

import { softmax } from "./softmax";
import type { MapInfo, Trace } from "./trace";

export interface Work {
  d: number;
  q: Float32Array;
  /** Row by row, one vector per key. */
  k: Float32Array;
  v: Float32Array | null;
  /** q . k, per key. */
  dots: Float32Array;
  /** q . k times the scale, plus the bias; -Infinity where the query may not look. */
  scores: Float32Array;
  bias: Float32Array | null;
  weights: Float32Array;
  /** sum of weight x v; null where the trace holds no values. */
  z: Float32Array | null;
}

/** Work out query `t` from the recorded vectors, or give null where the trace has none. */
export function work(trace: Trace, map: MapInfo, head: number, t: number): Work | null {
  const queries = trace.q(map, head);
  const k = trace.k(map, head);
  if (!queries || !k) return null;
  const d = queries.length / map.rows;
  const q = queries.subarray(t * d, (t + 1) * d);
  const bias = trace.bias(map, head)?.subarray(t * map.columns, (t + 1) * map.columns) ?? null;
  const dots = new Float32Array(map.columns);
  for (let s = 0; s < map.columns; s++) dots[s] = dot(q, k, s * d);
  const last = map.causal ? t + map.columns - map.rows : map.columns;
  const scores = dots.map((score, s) => (s > last ? -Infinity : score * map.scale + (bias ? bias[s] : 0)));
  const weights = softmax(scores);
  const v = trace.v(map, head);
  return { d, q, k, v, dots, scores, bias, weights, z: v && mix(weights, v) };
}

function dot(q: Float32Array, k: Float32Array, at: number): number {
  let sum = 0;
  for (let i = 0; i < q.length; i++) sum += q[i] * k[at + i];
  return sum;
}

function mix(weights: Float32Array, v: Float32Array): Float32Array {
  const z = new Float32Array(v.length / weights.length);
  for (let s = 0; s < weights.length; s++) for (let i = 0; i < z.length; i++) z[i] += weights[s] * v[s * z.length + i];
  return z;
}
