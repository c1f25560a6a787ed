/** Figures and numbers out of the page. */

import { canvasPen } from "./paint";
import type { Offer } from "./state.svelte";
import { toSvg } from "./svg";
import type { MapInfo, Trace } from "./trace";

type Figure = NonNullable<Offer["figure"]>;
export type Table = ReturnType<NonNullable<Offer["table"]>>;

/** Give the reader a file. */
export function download(name: string, content: Blob | string, type = "text/plain"): void {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** A figure on the page's own ground, with a margin and a line that says what it shows. */
export function framed(figure: Figure, caption: string, ground: string, ink: string): Figure {
  const margin = 20;
  const paint: Figure["paint"] = (pen) => {
    pen.fillStyle = ground;
    pen.fillRect(0, 0, figure.width + 2 * margin, figure.height + 2 * margin + 24);
    pen.save();
    pen.translate(margin, margin);
    figure.paint(pen);
    pen.restore();
    pen.fillStyle = ink;
    pen.font = "400 12px system-ui, sans-serif";
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    pen.fillText(caption, margin, figure.height + margin + 18);
  };
  return { width: figure.width + 2 * margin, height: figure.height + 2 * margin + 24, paint };
}

/** Three times finer than the screen's CSS pixels: 300 dots an inch at the size it has there. */
export function saveAsPng(name: string, figure: Figure): void {
  const canvas = document.createElement("canvas");
  figure.paint(canvasPen(canvas, figure.width, figure.height, 3));
  canvas.toBlob((blob) => blob && download(`${name}.png`, blob));
}

export function saveAsSvg(name: string, figure: Figure): void {
  download(`${name}.svg`, toSvg(figure.width, figure.height, figure.paint), "image/svg+xml");
}

/** RFC 4180. */
export function toCsv(table: Table): string {
  const cell = (value: string | number) => (typeof value === "number" ? String(value) : `"${value.replaceAll('"', '""')}"`);
  return [table.columns, ...table.rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

export function toJson(table: Table, trace: Trace, map: MapInfo, head: number): string {
  const about = { model: trace.model, title: trace.title, map, head: head < 0 ? "mean" : head };
  return JSON.stringify({ ...about, ...table }, null, 1);
}
