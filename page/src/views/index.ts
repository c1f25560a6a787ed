/**
 * The views, in the order of their tabs.
 *
 * A view is a Svelte component with the props {trace: Trace, ui: Ui}:
 * - It shows the head `ui.head` (or MEAN) of the map `ui.map`, and follows both when they change.
 * - Positions count within a stream. It shows `ui.row` and `ui.column` (hovered, else pinned); it sets `ui.hoverQuery` and
 *   `ui.hoverKey` under the pointer (null on leaving), and `ui.query` and `ui.key` on a click or Enter; Escape unpins.
 * - Its settings live in `ui.options` (`ui.on("words")`, `ui.set("keep", 0.8)`), so that a link keeps them.
 * - In an $effect it sets `ui.offer`: its figure painted with a Pen (PNG, SVG), its table (CSV, JSON).
 * - It is handed a trace of any kind only where `fits(trace, map)` is true; the tab is hidden elsewhere.
 * - Text from the trace goes through `{...}` or `textContent`, never `{@html}`; tokens through `show` of lib/words.ts.
 *   No `style="..."` in markup (the page's policy forbids it): `style:left={...}` or a class. Colours: the variables of app.css.
 * - A view that needs a live model fits only where `host.kind === "server"`; it asks `ui.host` and may show another trace with
 *   `ui.take(trace)`.
 * - Keyboard alone suffices; what changes is told in `ui.said`.
 */

import type { Component } from "svelte";
import type { Host } from "../lib/host";
import { rolloutLayers } from "../lib/rollout";
import type { MapInfo, Trace } from "../lib/trace";
import type { Ui } from "../lib/state.svelte";
import Compare from "./Compare.svelte";
import Generate from "./Generate.svelte";
import Matrix from "./Matrix.svelte";
import Neuron from "./Neuron.svelte";
import Overview from "./Overview.svelte";
import Picture from "./Picture.svelte";
import Rollout from "./Rollout.svelte";
import Sentence from "./Sentence.svelte";
import SwitchOff from "./SwitchOff.svelte";

export interface View {
  id: string;
  name: string;
  /** What it is for, in one sentence for someone who never saw it. */
  about: string;
  component: Component<{ trace: Trace; ui: Ui }>;
  fits: (trace: Trace, map: MapInfo, host: Host) => boolean;
}

const any = (_: Trace, map: MapInfo) => map.rows > 0 && map.columns > 0;
const isText = (trace: Trace, map: MapInfo) => [map.query, map.key].every((name) => trace.stream(name).kind === "text");
const isPicture = (trace: Trace, map: MapInfo) => [map.query, map.key].some((name) => trace.stream(name).kind === "picture");
const writes = (trace: Trace) => trace.outputs.some((output) => output.kind !== "labels");

export const VIEWS: View[] = [
  { id: "overview", name: "Overview", about: "All heads at once, small.", component: Overview, fits: () => true },
  { id: "matrix", name: "Matrix", about: "Every weight of one head.", component: Matrix, fits: () => true },
  { id: "sentence", name: "Sentence", about: "The text itself, shaded by what the chosen word takes from each other word.", component: Sentence, fits: isText },
  { id: "picture", name: "Picture", about: "The picture, lit where a patch of it looks.", component: Picture, fits: isPicture },
  { id: "neuron", name: "Neuron", about: "How one weight is worked out: query times key, sum, softmax, with real numbers.", component: Neuron, fits: any },
  { id: "generate", name: "Generate", about: "Word by word: what the model could have written, and where it looked.", component: Generate, fits: writes },
  { id: "rollout", name: "Rollout", about: "What a word is made of after all layers.", component: Rollout, fits: (trace, map) => any(trace, map) && rolloutLayers(trace, map).length > 1 },
  { id: "compare", name: "Compare", about: "Two heads, layers or files side by side, and where they differ.", component: Compare, fits: any },
  { id: "switch-off", name: "Switch off", about: "What the model would say without some of its heads or words.", component: SwitchOff, fits: () => true },
];
