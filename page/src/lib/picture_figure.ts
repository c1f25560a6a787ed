/** A picture, lit where attention goes, and the same weights as colours beside it. */

import { colour } from "./colour";
import type { Ink } from "./matrix_figure";
import { canvasPen, font, picture } from "./paint";
import type { Pen } from "./pen";
import type { MapInfo, Trace } from "./trace";

export interface Lit {
  image: HTMLImageElement | null;
  width: number;
  height: number;
  grid: [rows: number, columns: number];
  /** One weight per patch, or null where nothing is to be shown. */
  weights: Float32Array | null;
  top: number;
  smooth: boolean;
  /** The chosen patch. */
  framed: number | null;
  /** The window of each patch, where attention keeps to windows. */
  windows: Int32Array | null;
  dark: boolean;
}

export function paintLit(pen: Pen, lit: Lit): void {
  pen.fillStyle = "#808080";
  pen.fillRect(0, 0, lit.width, lit.height);
  if (lit.image) pen.image(lit.image, 0, 0, lit.width, lit.height, lit.image.naturalWidth > 64);
  if (lit.weights) pen.image(light(lit), 0, 0, lit.width, lit.height, lit.smooth);
  paintLines(pen, lit);
}

export function paintColours(pen: Pen, lit: Lit): void {
  const [rows, columns] = lit.grid;
  pen.fillStyle = colour(0, lit.dark);
  pen.fillRect(0, 0, lit.width, lit.height);
  if (lit.weights) pen.image(picture(lit.weights, rows, columns, lit.top, lit.dark), 0, 0, lit.width, lit.height, lit.smooth);
  paintLines(pen, lit);
}

/** Both, side by side, with a title: what is saved as PNG or SVG. */
export function pictureFigure(lit: Lit, title: string, ink: Ink): { width: number; height: number; paint: (pen: Pen) => void } {
  return {
    width: lit.width * 2 + 36,
    height: lit.height + 50,
    paint(pen) {
      pen.font = font(14);
      pen.fillStyle = ink.ink;
      pen.fillText(title, 12, 24);
      pen.save();
      pen.translate(12, 38);
      paintLit(pen, lit);
      pen.translate(lit.width + 12, 0);
      paintColours(pen, lit);
      pen.restore();
    },
  };
}

export function paintOn(canvas: HTMLCanvasElement, lit: Lit, paint: (pen: Pen, lit: Lit) => void): void {
  paint(canvasPen(canvas, lit.width, lit.height, window.devicePixelRatio || 1), lit);
}

/** Dark where nothing is taken, a warm glow where most is. */
function light({ weights, top, grid }: Lit): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  [canvas.height, canvas.width] = grid;
  const pixels = new ImageData(canvas.width, canvas.height);
  for (let i = 0; i < weights!.length; i++) {
    const share = top > 0 ? Math.min(1, weights![i] / top) : 0;
    const [shadow, glow] = [0.72 * (1 - share), 0.34 * share];
    const part = glow / (shadow + glow);
    pixels.data.set([255 * part, 205 * part, 60 * part, 255 * (shadow + glow)], i * 4);
  }
  canvas.getContext("2d")!.putImageData(pixels, 0, 0);
  return canvas;
}

function paintLines(pen: Pen, { grid: [rows, columns], width, height, framed, windows }: Lit): void {
  const [w, h] = [width / columns, height / rows];
  if (windows) {
    pen.beginPath();
    for (let i = 0; i < windows.length; i++) {
      const [row, column] = [Math.floor(i / columns), i % columns];
      if (column && windows[i] !== windows[i - 1]) line(pen, column * w, row * h, column * w, (row + 1) * h);
      if (row && windows[i] !== windows[i - columns]) line(pen, column * w, row * h, (column + 1) * w, row * h);
    }
    pen.strokeStyle = "#9aa4b5";
    pen.lineWidth = 1;
    pen.stroke();
  }
  if (framed === null) return;
  const [x, y] = [(framed % columns) * w, Math.floor(framed / columns) * h];
  for (const [wide, ink] of [[5, "#ffffff"], [2.5, "#d55e00"]] as const) {
    pen.lineWidth = wide;
    pen.strokeStyle = ink;
    pen.strokeRect(x, y, w, h);
  }
}

function line(pen: Pen, x0: number, y0: number, x1: number, y1: number): void {
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
}

/** The window that each place of a layer's grid lies in; null where attention knows no windows. */
export function windowsOf(trace: Trace, map: MapInfo): Int32Array | null {
  const places = map.store === "windows" ? trace.tensor(`${map.id}.places`) : null;
  if (!places) return null;
  const windows = new Int32Array(map.rows);
  places.data.forEach((place: number, slot: number) => {
    if (place >= 0) windows[place] = Math.floor(slot / places.shape[1]);
  });
  return windows;
}
