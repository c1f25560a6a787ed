/** Pens for canvas, PNG and SVG, and what they share: measuring and cutting of text, pictures of weights. */

import { ramp } from "./colour";
import type { Pen } from "./pen";

const ruler = typeof document === "undefined" ? null : document.createElement("canvas").getContext("2d");

/** The font of figures, at a size in pixels. */
export function font(size: number, weight = 400): string {
  return `${weight} ${size}px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif`;
}

export function width(text: string, style: string): number {
  if (!ruler) return text.length * 7;
  ruler.font = style;
  return ruler.measureText(text).width;
}

/** A text cut so that it is at most `limit` pixels wide. */
export function fit(text: string, style: string, limit: number): string {
  if (width(text, style) <= limit) return text;
  const letters = [...text];
  let [low, high] = [0, letters.length];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (width(`${letters.slice(0, middle).join("")}…`, style) <= limit) low = middle;
    else high = middle - 1;
  }
  return `${letters.slice(0, low).join("")}…`;
}

/** A pen on a canvas that is `scale` times finer than CSS pixels. */
export function canvasPen(canvas: HTMLCanvasElement, width: number, height: number, scale: number): Pen {
  const [columns, rows] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== columns) canvas.width = columns;
  if (canvas.height !== rows) canvas.height = rows;
  const context = canvas.getContext("2d")!;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return Object.assign(context, {
    image(pixels: CanvasImageSource, x: number, y: number, w: number, h: number, smooth = false) {
      context.imageSmoothingEnabled = smooth;
      context.imageSmoothingQuality = "high";
      context.drawImage(pixels, x, y, w, h);
    },
    cut(x: number, y: number, w: number, h: number) {
      context.beginPath();
      context.rect(x, y, w, h);
      context.clip();
    },
  });
}

/** How a weight becomes a shade: as it is, small ones lifted, or each row by its own largest. */
export type Shade = "plain" | "lift" | "row";

/** One pixel per weight. */
export function picture(values: Float32Array, rows: number, columns: number, largest: number, dark: boolean, shade: Shade = "plain"): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, columns);
  canvas.height = Math.max(1, rows);
  const colours = ramp(dark);
  const pixels = new ImageData(canvas.width, canvas.height);
  const words = new Uint32Array(pixels.data.buffer);
  const table = new Uint32Array(256);
  for (let i = 0; i < 256; i++) table[i] = 0xff000000 | (colours[3 * i + 2] << 16) | (colours[3 * i + 1] << 8) | colours[3 * i];
  for (let r = 0; r < rows; r++) {
    const start = r * columns;
    let most = largest;
    if (shade === "row") {
      most = 0;
      for (let i = start; i < start + columns; i++) if (values[i] > most) most = values[i];
    }
    const unit = most > 0 ? 1 / most : 0;
    for (let i = start; i < start + columns; i++) {
      const share = values[i] * unit;
      words[i] = table[Math.min(255, Math.round(255 * (shade === "lift" ? Math.sqrt(share) : share)))];
    }
  }
  canvas.getContext("2d")!.putImageData(pixels, 0, 0);
  return canvas;
}
