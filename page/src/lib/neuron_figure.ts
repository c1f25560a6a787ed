/** The table of the neuron view, for PNG and SVG. */

import type { Ink } from "./matrix_figure";
import type { Work } from "./neuron";
import { fit, font } from "./paint";
import { signed } from "./palette";
import type { Pen } from "./pen";
import { percent, short } from "./say";
import { show } from "./words";

const LEFT = 110;
const LINE = 26;

export function neuronFigure(
  work: Work,
  keys: number[],
  query: string,
  tokens: string[],
  most: { q: number; k: number; product: number },
  ink: Ink,
): { width: number; height: number; paint: (pen: Pen) => void } {
  const wide = Math.max(140, Math.min(work.d * 8, 400));
  const at = [LEFT, LEFT + wide + 16, LEFT + 2 * wide + 32];
  return {
    width: at[2] + 220,
    height: (keys.length + 3) * LINE,
    paint(pen) {
      pen.font = font(13);
      pen.fillStyle = ink.ink;
      ["key", "k", "q × k", "sum", "scaled", "softmax"].forEach((title, i) => pen.fillText(title, [8, at[0], at[1], at[2], at[2] + 70, at[2] + 140][i], 18));
      label(pen, query, 2 * LINE, ink);
      cells(pen, work.q, most.q, at[0], 2 * LINE, wide);
      keys.forEach((key, i) => {
        const y = (i + 3) * LINE;
        const k = work.k.subarray(key * work.d, (key + 1) * work.d);
        label(pen, tokens[key], y, ink);
        cells(pen, k, most.k, at[0], y, wide);
        cells(pen, work.q.map((x, j) => x * k[j]), most.product, at[1], y, wide);
        pen.fillStyle = ink.ink;
        [short(work.dots[key]), short(work.scores[key]), percent(work.weights[key])].forEach((text, n) => pen.fillText(text, at[2] + 70 * n, y));
      });
    },
  };
}

function label(pen: Pen, token: string, y: number, ink: Ink): void {
  pen.fillStyle = ink.ink;
  pen.fillText(fit(show(token), font(13), LEFT - 16), 8, y);
}

function cells(pen: Pen, values: Float32Array, most: number, x: number, y: number, wide: number): void {
  const step = wide / values.length;
  values.forEach((value, i) => {
    pen.fillStyle = signed(most > 0 ? value / most : 0);
    pen.fillRect(x + i * step, y - 14, step * 0.9, 18);
  });
}
