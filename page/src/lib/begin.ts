/** Where a first look is worth most, before the reader has chosen. */

import type { MapInfo, Trace } from "./trace";

/** The last word that says something; of a picture the token that stands for all of it, else its middle. */
export function begin(trace: Trace, map: MapInfo, key = false): number {
  const stream = trace.stream(key ? map.key : map.query);
  if (stream.kind === "picture") {
    const [rows, columns] = map.grid ?? stream.grid;
    return stream.prefix.length ? 0 : Math.floor(rows / 2) * columns + Math.floor(columns / 2);
  }
  for (let i = Math.min(stream.tokens.length, key ? map.columns : map.rows) - 1; i >= 0; i--) {
    if (!stream.special[i] && /\p{L}/u.test(stream.tokens[i])) return i;
  }
  return 0;
}
