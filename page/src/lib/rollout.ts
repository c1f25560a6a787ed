/** Rollout of one token through the layers: Abnar and Zuidema, "Quantifying Attention Flow in Transformers", arXiv:2005.00928, section 3. */

import { floats } from "./safetensors";
import type { MapInfo, Trace } from "./trace";

/** One layer's mean over heads, as something that a row can be sent down through. */
type Layer = (row: Float32Array, out: Float32Array, share: number) => void;

const cache = new WeakMap<Trace, Map<string, Layer>>();

/** The layers that a rollout goes through with this one, lowest first; empty where it cannot be computed. */
export function rolloutLayers(trace: Trace, one: MapInfo): MapInfo[] {
  if (one.kind !== "self") return [];
  const maps = trace.maps.filter((map) => map.kind === "self" && map.query === one.query && map.key === one.key);
  const square = maps.every((map) => map.store !== "windows" && map.rows === map.columns && map.rows === one.rows);
  return square ? maps.sort((a, b) => a.layer - b.layer) : [];
}

/**
 * How much of each input token is in token `t` after these layers: one row sent down from the last layer to the first.
 * A layer keeps `residual` of each token and takes the rest by the mean of its heads.
 */
export function rollout(trace: Trace, layers: MapInfo[], t: number, residual: number): Float32Array {
  let row = new Float32Array(layers[0].columns);
  row[t] = 1;
  for (let l = layers.length - 1; l >= 0; l--) {
    const out = row.map((weight) => weight * residual);
    layer(trace, layers[l])(row, out, 1 - residual);
    row = out;
  }
  return row;
}

function layer(trace: Trace, map: MapInfo): Layer {
  let known = cache.get(trace);
  if (!known) cache.set(trace, (known = new Map()));
  let made = known.get(map.id);
  if (!made) known.set(map.id, (made = map.store === "top" ? sparse(trace, map) : dense(trace, map)));
  return made;
}

function dense(trace: Trace, map: MapInfo): Layer {
  const n = map.columns;
  const mean = new Float32Array(map.rows * n);
  const bytes = trace.tensor(`${map.id}.weights`)!.data;
  const tops = floats(trace.tensor(`${map.id}.rowmax`)!);
  for (let r = 0, from = 0; r < map.heads * map.rows; r++, from += n) {
    const unit = tops[r] / 255 / map.heads;
    const to = (r % map.rows) * n;
    for (let s = 0; s < n; s++) mean[to + s] += bytes[from + s] * unit;
  }
  return (row, out, share) => {
    for (let t = 0; t < row.length; t++) {
      const part = row[t] * share;
      if (part > 1e-7) for (let s = 0, at = t * n; s < n; s++, at++) out[s] += part * mean[at];
    }
  };
}

/** Where only the largest weights are in the file: what they leave is spread evenly over the keys that a query may see. */
function sparse(trace: Trace, map: MapInfo): Layer {
  const values = trace.tensor(`${map.id}.top.values`)!;
  const indices = trace.tensor(`${map.id}.top.indices`)!.data;
  const known = floats(values);
  const n = values.shape[2];
  return (row, out, share) => {
    const even = new Float32Array(row.length + 1);
    for (let t = 0; t < row.length; t++) {
      const part = (row[t] * share) / map.heads;
      if (part <= 1e-7) continue;
      for (let h = 0; h < map.heads; h++) {
        let rest = 1;
        for (let i = 0, at = (h * map.rows + t) * n; i < n; i++, at++) {
          if (known[at] > 0) out[indices[at]] += part * known[at];
          rest -= known[at];
        }
        const seen = map.causal || map.query !== map.key ? t + 1 : row.length;
        if (rest > 0) even[seen] += (part * rest) / seen;
      }
    }
    for (let s = row.length - 1, sum = 0; s >= 0; s--) out[s] += sum += even[s + 1];
  };
}
