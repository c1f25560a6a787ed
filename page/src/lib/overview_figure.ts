/** All heads of the overview as one figure. */

import { headNumber } from "./describe";
import type { Cell } from "./measures";
import { font, width } from "./paint";
import type { Pen } from "./pen";
import { thumbnail } from "./thumbnail";
import type { Trace } from "./trace";

const SIDE = 96;
const STEP = 112;

/** Heads in lines of `across`, each named by its layer and head, with its number beside. */
export function overviewFigure(trace: Trace, cells: Cell[], across: number, spell: (cell: Cell) => string, dark: boolean, ink: string) {
  const paint = (pen: Pen) => {
    pen.font = font(10);
    pen.fillStyle = ink;
    pen.textAlign = "left";
    pen.textBaseline = "top";
    cells.forEach((cell, i) => {
      const [x, y] = [(i % across) * STEP, Math.floor(i / across) * (STEP + 12)];
      const [h, w] = [cell.map.rows, cell.map.columns].map((n) => Math.max(SIDE / 3, (SIDE * n) / Math.max(1, cell.map.rows, cell.map.columns)));
      const canvas = document.createElement("canvas");
      thumbnail(canvas, trace, cell.map, cell.head, dark, 2 * SIDE);
      pen.image(canvas, x, y + SIDE - h, w, h);
      const name = `${cell.map.layer}·${headNumber(cell.map, cell.head)}`;
      pen.fillText(name, x, y + SIDE + 4);
      pen.fillText(spell(cell), x + width(`${name}  `, font(10)), y + SIDE + 4);
    });
  };
  return { width: Math.min(across, cells.length) * STEP, height: Math.ceil(cells.length / across) * (STEP + 12), paint };
}
