/** Numbers and places in the reader's words. */

import { headNumber } from "./describe";
import { MEAN, type MapInfo } from "./trace";
import { show } from "./words";

/** A share as people say it: 43 %, 0.4 %, less than 0.01 %. */
export function percent(share: number): string {
  const p = share * 100;
  if (p >= 10) return `${Math.round(p)} %`;
  if (p >= 0.1) return `${p.toFixed(1)} %`;
  if (p >= 0.01) return `${p.toFixed(2)} %`;
  return p > 0 ? "less than 0.01 %" : "0 %";
}

export function headName(map: MapInfo, head: number): string {
  return head === MEAN ? "the mean of all heads" : `head ${headNumber(map, head)}`;
}

/** Where a figure comes from, for its file name. */
export function place(map: MapInfo, head: number): string {
  return `layer-${map.layer}-${map.kind}-${head === MEAN ? "mean" : `head-${headNumber(map, head)}`}`;
}

/** The places of the `n` largest entries, largest first; zeros left out. */
export function largest(row: Float32Array, n: number): number[] {
  const found: number[] = [];
  for (let i = 0; i < row.length; i++) {
    if (row[i] <= 0 || (found.length === n && row[i] <= row[found[n - 1]])) continue;
    let at = found.length;
    while (at > 0 && row[found[at - 1]] < row[i]) at--;
    found.splice(at, 0, i);
    if (found.length > n) found.pop();
  }
  return found;
}

/** A token in quotation marks, kept from turning the sentence around where it is written from right to left. */
export function quoted(token: string): string {
  return `“\u2068${show(token).trim()}\u2069”`;
}

const STREAMS: Record<string, string> = {
  text: "The text",
  source: "The source sentence",
  target: "What the model wrote",
  prefix: "What it had written before",
  picture: "The picture",
};

/** A stream in the reader's words. */
export function streamName(name: string): string {
  return STREAMS[name] ?? name;
}

/** A number with as many digits as can be read: 3.21, 0.042, −12. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return value < 0 ? "−∞" : "∞";
  const size = Math.abs(value);
  const text = size >= 100 ? size.toFixed(0) : size >= 0.1 || size === 0 ? size.toFixed(2) : size >= 0.001 ? size.toFixed(4) : size.toExponential(1);
  return value < 0 ? `−${text}` : text;
}
