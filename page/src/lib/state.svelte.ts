/** What the reader is looking at. Everything that matters is kept in the URL, so that a link shows the same view. */

import type { Host } from "./host";
import { MEAN, type MapInfo, type Trace } from "./trace";
import type { Pen } from "./pen";

export type Theme = "auto" | "light" | "dark";

/** What a view can hand out: its figure for PNG and SVG, its numbers for CSV and JSON, Python beyond `trace.code`. */
export interface Offer {
  /** A short file name without ending, like "layer-3-head-5". */
  name: string;
  figure?: { width: number; height: number; paint: (pen: Pen) => void };
  table?: () => { columns: string[]; rows: (string | number)[][] };
  python?: string;
}

export class Ui {
  /** The view that was chosen; before one is, the page opens what fits the trace. */
  view = $state("");
  map = $state("");
  head = $state(0);
  /** Pinned query and key (positions in their streams), and those under the pointer. */
  query = $state<number | null>(null);
  key = $state<number | null>(null);
  hoverQuery = $state<number | null>(null);
  hoverKey = $state<number | null>(null);
  theme = $state<Theme>("auto");
  dark = $state(false);
  /** Settings of views ("words", "special", "keep"): short names, short values. */
  options = $state<Record<string, string>>({});
  offer = $state.raw<Offer | null>(null);
  /** Read aloud by screen readers. */
  said = $state("");
  tour = $state(-1);

  /** `host`: who can be asked for other traces (`host.kind === "server"`); `take` shows one in place of this. */
  constructor(
    readonly host: Host,
    readonly take: (trace: Trace) => void,
  ) {}

  /** The query that the page tells about: the one under the pointer, else the pinned one. */
  get row(): number | null {
    return this.hoverQuery ?? this.query;
  }

  get column(): number | null {
    return this.hoverKey ?? this.key;
  }

  /** Let go of what is pinned. */
  release(): void {
    if (this.tour >= 0) this.tour = -1;
    else this.query = this.key = this.hoverQuery = this.hoverKey = null;
  }

  layer(trace: Trace): number {
    return trace.maps.find((map) => map.id === this.map)?.layer ?? 0;
  }

  on(option: string): boolean {
    return this.options[option] === "1";
  }

  set(option: string, value: string | number | boolean): void {
    const text = typeof value === "boolean" ? (value ? "1" : "") : String(value);
    const { [option]: _, ...rest } = this.options;
    this.options = text ? { ...rest, [option]: text } : rest;
  }

  /** Go to another map: the head stays where it exists, pins stay where the streams are the same. */
  choose(trace: Trace, map: MapInfo, head = this.head): void {
    const before = trace.maps.find((one) => one.id === this.map);
    if (before?.query !== map.query || before?.rows !== map.rows) this.query = null;
    if (before?.key !== map.key || before?.columns !== map.columns) this.key = null;
    this.hoverQuery = this.hoverKey = null;
    this.map = map.id;
    this.head = head === MEAN ? MEAN : Math.max(0, Math.min(head, map.heads - 1));
  }

  /** Read what a link says; what does not fit this trace is left aside. */
  read(hash: string, trace: Trace): void {
    const given = new URLSearchParams(hash.replace(/^#/, ""));
    const map = trace.maps.find((one) => one.id === given.get("map")) ?? start(trace);
    this.map = map?.id ?? "";
    const whole = (name: string, limit: number) => {
      const text = given.get(name);
      return text !== null && /^\d+$/.test(text) && Number(text) < limit ? Number(text) : null;
    };
    this.head = given.get("head") === "mean" ? MEAN : (whole("head", map?.heads ?? 0) ?? 0);
    this.query = whole("query", map?.rows ?? 0);
    this.key = whole("key", map?.columns ?? 0);
    this.view = given.get("view") ?? this.view;
    const theme = given.get("theme");
    this.theme = theme === "light" || theme === "dark" ? theme : "auto";
    this.options = Object.fromEntries([...given].filter(([name]) => name.startsWith("o.")).map(([name, value]) => [name.slice(2), value]));
  }

  /** The link to this view; `token`, the server's, stays in it. */
  write(token: string | null): string {
    const out = new URLSearchParams();
    if (token) out.set("token", token);
    if (this.view) out.set("view", this.view);
    out.set("map", this.map);
    out.set("head", this.head === MEAN ? "mean" : String(this.head));
    if (this.query !== null) out.set("query", String(this.query));
    if (this.key !== null) out.set("key", String(this.key));
    if (this.theme !== "auto") out.set("theme", this.theme);
    for (const [name, value] of Object.entries(this.options)) out.set(`o.${name}`, value);
    return `#${out}`;
  }
}

/** Where a first look is worth most: what looks across at something else; failing that, the last layer. */
function start(trace: Trace): MapInfo | undefined {
  return trace.maps.findLast((map) => map.kind === "cross") ?? trace.maps.at(-1);
}
