/** Two heads and their difference, for PNG and SVG. */

import type { Ink } from "./matrix_figure";
import { fit, font } from "./paint";
import type { Pen } from "./pen";

export interface Heat {
  title: string;
  pixels: HTMLCanvasElement;
}

const [SIDE, GAP, HEAD] = [300, 20, 26];

/** Tables of weights side by side, each under its title. */
export function compareFigure(heats: Heat[], ink: Ink): { width: number; height: number; paint: (pen: Pen) => void } {
  const sizes = heats.map(({ pixels: { width, height } }) => [width, height].map((n) => (SIDE * n) / Math.max(width, height)));
  const paint = (pen: Pen) => {
    pen.textBaseline = "middle";
    pen.textAlign = "left";
    heats.forEach(({ title, pixels }, i) => {
      const [x, [w, h]] = [i * (SIDE + GAP), sizes[i]];
      pen.font = font(13);
      pen.fillStyle = ink.ink;
      pen.fillText(fit(title, font(13), SIDE), x, HEAD / 2);
      pen.image(pixels, x, HEAD, w, h);
      pen.strokeStyle = ink.line;
      pen.lineWidth = 1;
      pen.strokeRect(x, HEAD, w, h);
    });
  };
  return { width: heats.length * (SIDE + GAP) - GAP, height: HEAD + Math.max(...sizes.map(([, h]) => h)), paint };
}
