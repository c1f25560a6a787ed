/** The keyboard everywhere on the page; a view has more keys where it holds the focus. */

import { partsOf } from "./describe";
import type { Ui } from "./state.svelte";
import { MEAN, type MapInfo, type Trace } from "./trace";

export const KEYS: [string, string][] = [
  ["1 … 9", "open a view"],
  ["[ ]", "layer before, layer after"],
  [", .", "head before, head after"],
  ["m", "mean of all heads, and back"],
  ["Arrow keys", "move in the map (Tab to it first; with Shift ten at once)"],
  ["Home End", "first and last column"],
  ["Enter, Space", "choose"],
  ["Escape", "let go of what is pinned"],
  ["+ − 0", "zoom in, out, show all"],
  ["w", "whole words"],
  ["s", "hide special tokens"],
  ["d", "dark or light"],
  ["t", "tour"],
  ["?", "these keys"],
];

/** Do what a key stands for, unless it is being typed into something. */
export function shortcut(event: KeyboardEvent, ui: Ui, trace: Trace, map: MapInfo, views: { id: string }[]): void {
  const target = event.target as HTMLElement;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (target.closest("dialog, select, textarea, input:not([type=checkbox], [type=range], [type=radio])")) return;
  const layers = partsOf(trace).find((part) => part.maps.includes(map))!.maps;
  const at = layers.indexOf(map);
  const does: Record<string, () => void> = {
    "[": () => at > 0 && ui.choose(trace, layers[at - 1]),
    "]": () => at < layers.length - 1 && ui.choose(trace, layers[at + 1]),
    ",": () => (ui.head = Math.max(0, ui.head - 1)),
    ".": () => (ui.head = Math.min(map.heads - 1, ui.head + 1)),
    m: () => (ui.head = ui.head === MEAN ? 0 : MEAN),
    w: () => ui.set("words", !ui.on("words")),
    s: () => ui.set("special", !ui.on("special")),
    d: () => (ui.theme = ui.dark ? "light" : "dark"),
    t: () => (ui.tour = ui.tour < 0 ? 0 : -1),
    Escape: () => ui.release(),
  };
  const number = Number(event.key);
  if (does[event.key]) does[event.key]();
  else if (number >= 1 && number <= views.length) ui.view = views[number - 1].id;
  else return;
  if ("[],.m".includes(event.key)) ui.said = `layer ${ui.layer(trace)}, ${ui.head === MEAN ? "mean of all heads" : `head ${ui.head}`}`;
}
