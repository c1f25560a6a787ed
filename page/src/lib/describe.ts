/** Who looks at whom, in plain words. */

import { MEAN, type MapInfo, type Trace } from "./trace";

/** Maps that belong together: the same tokens look at the same tokens, layer by layer. */
export interface Part {
  id: string;
  name: string;
  maps: MapInfo[];
}

export function partsOf(trace: Trace): Part[] {
  const parts = new Map<string, Part>();
  for (const map of trace.maps) {
    const id = `${map.kind} ${map.query} ${map.key}`;
    if (!parts.has(id)) parts.set(id, { id, name: partName(map), maps: [] });
    parts.get(id)!.maps.push(map);
  }
  for (const part of parts.values()) part.maps.sort((a, b) => a.layer - b.layer);
  return [...parts.values()];
}

function partName(map: MapInfo): string {
  if (map.query === map.key) return `${map.query} looks at itself`;
  return `${map.query} looks at ${map.key}`;
}

/** The titles of rows and columns. */
export function axes(map: MapInfo): { row: string; column: string } {
  if (map.query === map.key) return { row: "who looks", column: "who is looked at" };
  return { row: `who looks: ${map.query}`, column: `who is looked at: ${map.key}` };
}

/** How to read the map of one head. */
export function howToRead(map: MapInfo): string {
  const across = map.query !== map.key;
  const row = across ? `Each row is one piece of the ${map.query}; it looks across the ${map.key}` : "Each row is one token that looks at the others";
  const limits = map.causal
    ? " It sees only itself and what stands before it, so the upper right is empty."
    : map.window
      ? " It sees only what lies in the same window."
      : "";
  return `${row}. The stronger the colour of a cell, the more it takes from there; each row adds up to 100 %.${limits}`;
}

/** The number of a head as its model counts: a trace may hold only some of a layer's heads. */
export function headNumber(map: MapInfo, head: number): number {
  return map.numbers?.[head] ?? head;
}

export function headLabel(map: MapInfo, head: number): string {
  return head === MEAN ? "mean of all heads" : `head ${headNumber(map, head)}`;
}

/** 4,200,000 as people say it. */
export function millions(count: number): string {
  if (count >= 1e9) return `${(count / 1e9).toFixed(1)} billion parameters`;
  if (count >= 1e6) return `${(count / 1e6).toFixed(1)} million parameters`;
  return `${count.toLocaleString("en")} parameters`;
}
