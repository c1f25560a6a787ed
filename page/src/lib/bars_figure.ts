/** Candidates and how likely each is, for PNG and SVG. */

import type { Ink } from "./matrix_figure";
import { fit, font } from "./paint";
import type { Pen } from "./pen";
import { percent } from "./say";

export interface Bars {
  title: string;
  /** One share per column; undefined where it is not known. */
  rows: { label: string; shares: (number | undefined)[] }[];
}

const [LABEL, COLUMN, BAR, LINE] = [180, 230, 150, 22];

/** Groups under each other, each with its title; `heads` name the columns where there are several. */
export function barsFigure(groups: Bars[], heads: string[], ink: Ink): { width: number; height: number; paint: (pen: Pen) => void } {
  const lines = groups.reduce((sum, group) => sum + group.rows.length + 1.5, 0);
  const paint = (pen: Pen) => {
    let y = 0;
    const write = (text: string, x: number, soft = false, weight = 400) => {
      pen.font = font(13, weight);
      pen.fillStyle = soft ? ink.soft : ink.ink;
      pen.fillText(text, x, y + LINE / 2);
    };
    pen.textBaseline = "middle";
    pen.textAlign = "left";
    for (const { title, rows } of groups) {
      write(title, 0, false, 600);
      if (heads.length > 1) heads.forEach((head, i) => write(head, LABEL + i * COLUMN, true));
      for (const { label, shares } of rows) {
        y += LINE;
        write(fit(label, font(13), LABEL - 12), 0);
        shares.forEach((share, i) => {
          pen.fillStyle = i === shares.length - 1 ? "#0072b2" : ink.soft;
          pen.fillRect(LABEL + i * COLUMN, y + 4, BAR * (share ?? 0), LINE - 8);
          if (share !== undefined) write(percent(share), LABEL + i * COLUMN + BAR * share + 8, true);
        });
      }
      y += LINE * 1.5;
    }
  };
  return { width: LABEL + heads.length * COLUMN, height: lines * LINE, paint };
}
