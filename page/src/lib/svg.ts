/** A pen that writes SVG. Text stays text, weights become one picture with sharp cells. */

import type { Pen } from "./pen";

interface Style {
  fillStyle: string;
  strokeStyle: string;
  lineWidth: number;
  globalAlpha: number;
  font: string;
  textAlign: CanvasTextAlign;
  textBaseline: CanvasTextBaseline;
  move: string;
  /** How many groups are open because of `cut`. */
  cuts: number;
}

const FRESH: Style = {
  fillStyle: "#000", strokeStyle: "#000", lineWidth: 1, globalAlpha: 1,
  font: "400 12px sans-serif", textAlign: "start", textBaseline: "alphabetic", move: "", cuts: 0,
};
const ANCHORS: Record<string, string> = { left: "start", start: "start", center: "middle", right: "end", end: "end" };
const DROPS: Record<string, string> = { middle: "0.35em", top: "0.8em", bottom: "-0.2em", alphabetic: "0", hanging: "0.8em", ideographic: "0" };

const escape = (text: string) =>
  [...text].map((letter) => (/[&<>"']|[^\t\n\r -\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/u.test(letter) ? ENTITIES[letter] ?? "�" : letter)).join("");
const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;" };
const short = (x: number) => String(Math.round(x * 100) / 100);

class SvgPen implements Style {
  fillStyle!: string;
  strokeStyle!: string;
  lineWidth!: number;
  globalAlpha!: number;
  font!: string;
  textAlign!: CanvasTextAlign;
  textBaseline!: CanvasTextBaseline;
  move!: string;
  cuts!: number;
  readonly parts: string[] = [];
  private path = "";
  private readonly stack: Style[] = [];
  private clips = 0;

  constructor() {
    Object.assign(this, FRESH);
  }

  save() {
    const { fillStyle, strokeStyle, lineWidth, globalAlpha, font, textAlign, textBaseline, move, cuts } = this;
    this.stack.push({ fillStyle, strokeStyle, lineWidth, globalAlpha, font, textAlign, textBaseline, move, cuts });
  }

  restore() {
    const before = this.stack.pop() ?? FRESH;
    for (let i = before.cuts; i < this.cuts; i++) this.parts.push("</g>");
    Object.assign(this, before);
  }

  translate(x: number, y: number) {
    this.move += ` translate(${short(x)} ${short(y)})`;
  }

  rotate(angle: number) {
    this.move += ` rotate(${short((angle * 180) / Math.PI)})`;
  }

  cut(x: number, y: number, width: number, height: number) {
    const id = `cut${this.clips++}`;
    this.parts.push(`<clipPath id="${id}"><rect ${this.box(x, y, width, height)}/></clipPath><g clip-path="url(#${id})">`);
    this.cuts++;
  }

  fillRect(x: number, y: number, width: number, height: number) {
    this.put(`<rect ${this.box(x, y, width, height)} ${this.filled()}/>`);
  }

  strokeRect(x: number, y: number, width: number, height: number) {
    this.put(`<rect ${this.box(x, y, width, height)} ${this.stroked()}/>`);
  }

  fillText(text: string, x: number, y: number) {
    const [, weight, size, family] = /^(\d+) ([\d.]+)px (.*)$/.exec(this.font) ?? ["", "400", "12", "sans-serif"];
    const place = `x="${short(x)}" y="${short(y)}" dy="${DROPS[this.textBaseline]}" text-anchor="${ANCHORS[this.textAlign]}"`;
    const style = `font-family="${escape(family)}" font-size="${size}" font-weight="${weight}"`;
    this.put(`<text ${place} ${style} ${this.filled()}>${escape(text)}</text>`);
  }

  beginPath() {
    this.path = "";
  }

  moveTo(x: number, y: number) {
    this.path += `M${short(x)} ${short(y)}`;
  }

  lineTo(x: number, y: number) {
    this.path += `L${short(x)} ${short(y)}`;
  }

  /** Whole circles only: figures need no others. */
  arc(x: number, y: number, radius: number) {
    const r = short(radius);
    this.path += `M${short(x - radius)} ${short(y)}a${r} ${r} 0 1 0 ${short(2 * radius)} 0a${r} ${r} 0 1 0 ${short(-2 * radius)} 0`;
  }

  stroke() {
    this.put(`<path d="${this.path}" ${this.stroked()}/>`);
  }

  fill() {
    this.put(`<path d="${this.path}" ${this.filled()}/>`);
  }

  image(pixels: HTMLCanvasElement | HTMLImageElement, x: number, y: number, width: number, height: number, smooth = false) {
    const url = pixels instanceof HTMLImageElement ? pixels.src : pixels.toDataURL("image/png");
    const cells = smooth ? "" : ' style="image-rendering:pixelated"';
    this.put(`<image href="${escape(url)}" ${this.box(x, y, width, height)} preserveAspectRatio="none"${cells} ${this.seen()}/>`);
  }

  private put(part: string) {
    this.parts.push(this.move ? `<g transform="${this.move.trim()}">${part}</g>` : part);
  }

  private box(x: number, y: number, width: number, height: number) {
    return `x="${short(x)}" y="${short(y)}" width="${short(width)}" height="${short(height)}"`;
  }

  private filled() {
    return `fill="${escape(this.fillStyle)}" ${this.seen()}`;
  }

  private stroked() {
    return `fill="none" stroke="${escape(this.strokeStyle)}" stroke-width="${short(this.lineWidth)}" stroke-linejoin="round" ${this.seen()}`;
  }

  private seen() {
    return this.globalAlpha < 1 ? `opacity="${short(this.globalAlpha)}"` : "";
  }
}

/** A figure as SVG. */
export function toSvg(width: number, height: number, paint: (pen: Pen) => void): string {
  const pen = new SvgPen();
  paint(pen as unknown as Pen);
  const size = `width="${short(width)}" height="${short(height)}" viewBox="0 0 ${short(width)} ${short(height)}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size}>\n${pen.parts.join("\n")}\n</svg>\n`;
}
