/** The sentence as it stands on the screen, for PNG and SVG. */

import { colour, inkOn } from "./colour";
import type { Ink } from "./matrix_figure";
import { font } from "./paint";
import type { Pen } from "./pen";

/** Paint a line of tokens where the browser has laid them. */
export function sentenceFigure(
  line: HTMLElement,
  title: string,
  weights: Float32Array,
  top: number,
  bars: { colour: string; row: Float32Array }[],
  chosen: number | null,
  dark: boolean,
  ink: Ink,
): { width: number; height: number; paint: (pen: Pen) => void } {
  return {
    get width() {
      return line.scrollWidth;
    },
    get height() {
      return line.scrollHeight + 40;
    },
    paint(pen) {
      pen.fillStyle = ink.ink;
      pen.font = font(14);
      pen.fillText(title, 8, 20);
      const tokens = line.children as HTMLCollectionOf<HTMLElement>;
      for (let i = 0; i < tokens.length; i++) {
        const { offsetLeft, offsetTop, offsetWidth: width, offsetHeight: height, textContent } = tokens[i];
        const [x, y] = [offsetLeft - line.offsetLeft, offsetTop - line.offsetTop + 36];
        const share = (weights[i] / top || 0) * (bars.length ? 0.4 : 1);
        pen.fillStyle = colour(share, dark);
        if (share > 0.004) pen.fillRect(x, y, width, height);
        bars.forEach(({ colour, row }, b) => {
          const tall = (row[i] / top) * 16;
          pen.fillStyle = colour;
          pen.fillRect(x + (b * width) / bars.length, y + height - tall, width / bars.length, tall);
        });
        pen.strokeStyle = ink.gold;
        pen.lineWidth = 2;
        if (i === chosen) pen.strokeRect(x, y, width, height);
        pen.fillStyle = inkOn(share, dark);
        pen.textAlign = "center";
        pen.fillText(textContent ?? "", x + width / 2, y + 20);
        pen.textAlign = "start";
      }
    },
  };
}
