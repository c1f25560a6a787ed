/** What tells heads apart at a glance. Every number comes from the exact weights, before they were rounded for the file. */

import { alignmentError, goldOf, makeGrid } from "./grid";
import { percent } from "./say";
import type { MapInfo, Trace } from "./trace";

export interface Measure {
  id: string;
  name: string;
  about: string;
  spell: (value: number) => string;
  fits: (trace: Trace, map: MapInfo) => boolean;
}

export interface Cell {
  map: MapInfo;
  head: number;
  value: number | null;
}

const has = (name: "entropy" | "distance" | "special" | "diagonal") => (trace: Trace, map: MapInfo) => trace.fact(map, name) !== null;

export const MEASURES: Measure[] = [
  { id: "agree", name: "agreement with the truth", about: "1 minus the alignment error rate: how well the largest weights find the true alignment.", spell: (x) => x.toFixed(2), fits: (trace, map) => goldOf(trace, map).length > 0 && map.store !== "top" },
  { id: "entropy", name: "spread", about: "How many tokens a head looks at, as if it looked at them evenly (e to the mean entropy).", spell: (x) => `${x.toFixed(1)} tokens`, fits: has("entropy") },
  { id: "distance", name: "reach", about: "How far a head looks on average: low ones look nearby.", spell: (x) => x.toFixed(1), fits: (trace, map) => map.query === map.key && has("distance")(trace, map) },
  { id: "diagonal", name: "itself and its neighbours", about: "How much of the weight lies on the token itself and the ones beside it.", spell: percent, fits: (trace, map) => map.query === map.key && has("diagonal")(trace, map) },
  { id: "special", name: "on special tokens", about: "How much of the weight lies on [CLS], [SEP], end signs and the like: where heads rest.", spell: percent, fits: (trace, map) => has("special")(trace, map) && trace.special(map.key).includes(true) },
];

export function measure(trace: Trace, map: MapInfo, head: number, id: string | undefined): number | null {
  if (id === "agree") {
    const error = alignmentError(makeGrid(trace, map, head, { words: false, hide: false }), goldOf(trace, map));
    return error === null ? null : 1 - error;
  }
  if (id === "diagonal") return trace.fact(map, "diagonal")?.[head] ?? null;
  if (id !== "entropy" && id !== "distance" && id !== "special") return null;
  const fact = trace.fact(map, id);
  if (!fact || !map.rows) return null;
  let sum = 0;
  for (let t = 0; t < map.rows; t++) sum += fact[head * map.rows + t];
  const mean = sum / map.rows;
  return id === "entropy" ? Math.exp(mean) : mean;
}

/** Largest first; heads without a number last. */
export function headOrder(cells: Cell[]): Cell[] {
  return [...cells].sort((a, b) => (b.value ?? -Infinity) - (a.value ?? -Infinity));
}
