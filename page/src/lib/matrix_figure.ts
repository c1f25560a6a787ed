/** How the matrix is laid out and painted: labels, cells, gold, the path of largest weights. */

import { gridRow, type Grid } from "./grid";
import { fit, font, picture, width, type Shade } from "./paint";
import type { Pen } from "./pen";
import { largest } from "./say";
import type { MapInfo, Trace } from "./trace";

/** The part of the grid that is seen: its first row and column, and how many (all of them broken numbers). */
export interface Part {
  row: number;
  column: number;
  rows: number;
  columns: number;
}

export interface Layout {
  /** Where the cells are, in CSS pixels. */
  x: number;
  y: number;
  w: number;
  h: number;
  width: number;
  height: number;
  part: Part;
}

export interface Look {
  trace: Trace;
  map: MapInfo;
  head: number;
  grid: Grid;
  cells: HTMLCanvasElement;
  dark: boolean;
  shade: Shade;
  gold: Set<string>;
  path: boolean;
  rowTitle: string;
  columnTitle: string;
}

export interface Ink {
  ink: string;
  soft: string;
  line: string;
  gold: string;
  mark: string;
  card: string;
}

const LABEL = font(13);
const TITLE = font(12, 600);
const SLANT = -Math.PI / 3.2;
const LONGEST = 150;
const ROOMIEST = 40;
const LEGIBLE = 40; // so few rows keep a label each, even if the page must scroll

/** Lay the grid out in a box; `zoom` 1 shows all of it. */
export function layOut(grid: Grid, box: { width: number; height: number }, zoom: number, row: number, column: number): Layout {
  const [x, right, y] = margins(grid, box.width);
  const [wide, high] = [Math.max(80, box.width - x - right), Math.max(120, box.height - y - 8)];
  const [n, m] = [Math.max(1, grid.rows.length), Math.max(1, grid.columns.length)];
  let cellW = Math.min(wide / m, ROOMIEST);
  let cellH = Math.min(Math.max(high / n, n <= LEGIBLE ? 19 : 0), ROOMIEST);
  const stretch = n === m && n > LEGIBLE ? 1 : Math.min(cellW, cellH) >= 12 ? 1.5 : 3;
  [cellW, cellH] = [Math.min(cellW, stretch * cellH), Math.min(cellH, stretch * cellW)];
  const w = Math.min(wide, m * cellW * zoom);
  const h = Math.min(Math.max(high, n * cellH), n * cellH * zoom);
  const [columns, rows] = [w / (cellW * zoom), h / (cellH * zoom)];
  const part = { rows, columns, row: Math.max(0, Math.min(row, n - rows)), column: Math.max(0, Math.min(column, m - columns)) };
  return { x, y, w, h, width: x + w + right, height: y + h + 8, part };
}

/** Room for the labels: left, right (slanted labels lean over), above. */
function margins(grid: Grid, room: number): [number, number, number] {
  const limit = Math.min(LONGEST, room / 4);
  const longest = (labels: string[]) => {
    const some = labels.length > 400 ? labels.filter((_, i) => i % Math.ceil(labels.length / 400) === 0) : labels;
    return some.reduce((most, label) => Math.max(most, Math.min(limit, width(label, LABEL))), 12);
  };
  const left = longest(grid.rows.map((group) => group.label)) + 40;
  const above = longest(grid.columns.map((group) => group.label));
  return [left, Math.abs(above * Math.cos(SLANT)) + 8, Math.abs(above * Math.sin(SLANT)) + 46];
}

/** Whether a pooled map is so large on the screen that its single weights are shown in place of the means. */
export function isSharp(at: Layout, grid: Grid): boolean {
  return grid.matrix.pooled && at.h / at.part.rows >= 3;
}

/** The single weights of what is seen of a pooled map, and the largest of them, which has the strongest colour. */
export function sharpPart(at: Layout, { trace, map, head, grid }: Pick<Look, "trace" | "map" | "head" | "grid">) {
  const [row, column] = [Math.floor(at.part.row), Math.floor(at.part.column)];
  const rows = Math.min(grid.rows.length, Math.ceil(at.part.row + at.part.rows)) - row;
  const columns = Math.min(grid.columns.length, Math.ceil(at.part.column + at.part.columns)) - column;
  const values = new Float32Array(rows * columns);
  for (let r = 0; r < rows; r++) values.set(trace.row(map, head, row + r).subarray(column, column + columns), r * columns);
  return { values, row, rows, column, columns, most: values.reduce((a, b) => Math.max(a, b), 0) };
}

/** Every how many rows a label fits. */
const step = (cell: number, needed: number) => Math.max(1, Math.ceil(needed / cell));

export function paintMatrix(pen: Pen, at: Layout, look: Look, ink: Ink): void {
  pen.save();
  pen.cut(at.x, at.y, at.w, at.h);
  paintCells(pen, at, look);
  paintMarks(pen, at, look, ink);
  pen.restore();
  pen.strokeStyle = ink.line;
  pen.lineWidth = 1;
  pen.strokeRect(at.x - 0.5, at.y - 0.5, at.w + 1, at.h + 1);
  paintLabels(pen, at, look, ink);
  paintTitles(pen, at, look, ink);
}

function paintCells(pen: Pen, at: Layout, look: Look): void {
  const { grid, cells } = look;
  const [cellW, cellH] = [at.w / at.part.columns, at.h / at.part.rows];
  if (isSharp(at, grid)) {
    const { values, row, rows, column, columns, most } = sharpPart(at, look);
    const exact = picture(values, rows, columns, most, look.dark, look.shade);
    pen.image(exact, at.x + (column - at.part.column) * cellW, at.y + (row - at.part.row) * cellH, columns * cellW, rows * cellH);
    return;
  }
  const smooth = cellW * grid.columns.length < cells.width || cellH * grid.rows.length < cells.height;
  pen.image(cells, at.x - at.part.column * cellW, at.y - at.part.row * cellH, grid.columns.length * cellW, grid.rows.length * cellH, smooth);
}

/** Gold links as frames, the path through the largest weights as a line. */
function paintMarks(pen: Pen, at: Layout, look: Look, ink: Ink): void {
  const [cellW, cellH] = [at.w / at.part.columns, at.h / at.part.rows];
  const left = (c: number) => at.x + (c - at.part.column) * cellW;
  const top = (r: number) => at.y + (r - at.part.row) * cellH;
  if (cellW >= 10 && cellH >= 10) {
    pen.strokeStyle = ink.card;
    pen.lineWidth = 1;
    pen.beginPath();
    for (let c = Math.ceil(at.part.column); c < at.part.column + at.part.columns; c++) pen.moveTo(left(c), at.y), pen.lineTo(left(c), at.y + at.h);
    for (let r = Math.ceil(at.part.row); r < at.part.row + at.part.rows; r++) pen.moveTo(at.x, top(r)), pen.lineTo(at.x + at.w, top(r));
    pen.stroke();
  }
  pen.strokeStyle = ink.gold;
  pen.lineWidth = Math.max(1.5, Math.min(3, cellW / 10));
  for (const pair of look.gold) {
    const [r, c] = pair.split(",").map(Number);
    pen.strokeRect(left(c) + 1.5, top(r) + 1.5, Math.max(2, cellW - 3), Math.max(2, cellH - 3));
  }
  if (look.path) paintPath(pen, at, look, ink, left, top, [cellW, cellH]);
}

function paintPath(pen: Pen, at: Layout, look: Look, ink: Ink, left: (c: number) => number, top: (r: number) => number, [cellW, cellH]: number[]): void {
  const first = Math.max(0, Math.floor(at.part.row) - 1);
  const last = Math.min(look.grid.rows.length, Math.ceil(at.part.row + at.part.rows) + 1);
  const points: [number, number][] = [];
  for (let r = first; r < last; r++) {
    const [c] = largest(gridRow(look.trace, look.map, look.head, look.grid, r), 1);
    if (c !== undefined) points.push([left(c) + cellW / 2, top(r) + cellH / 2]);
  }
  for (const [style, thick] of [[ink.card, 4], [ink.mark, 2]] as const) {
    pen.strokeStyle = pen.fillStyle = style;
    pen.lineWidth = thick;
    pen.beginPath();
    points.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.stroke();
    if (Math.min(cellW, cellH) < 7) continue;
    for (const [x, y] of points) {
      pen.beginPath();
      pen.arc(x, y, thick === 4 ? 4.5 : 3.5, 0, 2 * Math.PI);
      pen.fill();
    }
  }
}

function paintLabels(pen: Pen, at: Layout, look: Look, ink: Ink): void {
  const { grid } = look;
  const [cellW, cellH] = [at.w / at.part.columns, at.h / at.part.rows];
  const limit = at.x - 40;
  pen.font = LABEL;
  pen.fillStyle = ink.ink;
  pen.textBaseline = "middle";
  pen.textAlign = "right";
  const every = step(cellH, 15);
  for (let r = Math.ceil(at.part.row - 0.5); r < at.part.row + at.part.rows - 0.4; r++) {
    if (r % every || !grid.rows[r]) continue;
    pen.fillText(fit(grid.rows[r].label, LABEL, limit), at.x - 8, at.y + (r + 0.5 - at.part.row) * cellH);
  }
  pen.textAlign = "left";
  const skip = step(cellW, 14);
  const long = (at.y - 46) / Math.abs(Math.sin(SLANT));
  for (let c = Math.ceil(at.part.column - 0.5); c < at.part.column + at.part.columns - 0.4; c++) {
    if (c % skip || !grid.columns[c]) continue;
    slanted(pen, fit(grid.columns[c].label, LABEL, long + 2), at.x + (c + 0.5 - at.part.column) * cellW, at.y - 8);
  }
}

function slanted(pen: Pen, label: string, x: number, y: number): void {
  pen.save();
  pen.translate(x, y);
  pen.rotate(SLANT);
  pen.fillText(label, 0, 0);
  pen.restore();
}

function paintTitles(pen: Pen, at: Layout, look: Look, ink: Ink): void {
  pen.font = TITLE;
  pen.fillStyle = ink.soft;
  pen.textBaseline = "middle";
  pen.textAlign = "left";
  pen.fillText(`${look.columnTitle} →`, at.x, 12);
  pen.save();
  pen.translate(12, at.y);
  pen.rotate(-Math.PI / 2);
  pen.textAlign = "right";
  pen.fillText(`← ${look.rowTitle}`, 0, 0);
  pen.restore();
}

/** What lies over the cells and follows the pointer: the row, the column, their labels. */
export function paintCross(pen: Pen, at: Layout, look: Look, ink: Ink, r: number | null, c: number | null, pinned: boolean): void {
  const { grid } = look;
  const [cellW, cellH] = [at.w / at.part.columns, at.h / at.part.rows];
  const y = r === null ? 0 : at.y + (r - at.part.row) * cellH;
  const x = c === null ? 0 : at.x + (c - at.part.column) * cellW;
  pen.save();
  pen.cut(at.x - 1, at.y - 1, at.w + 2, at.h + 2);
  pen.strokeStyle = ink.mark;
  pen.lineWidth = 1.5;
  pen.globalAlpha = 0.75;
  if (r !== null) pen.strokeRect(at.x, y, at.w, Math.max(cellH, 2));
  if (c !== null) pen.strokeRect(x, at.y, Math.max(cellW, 2), at.h);
  pen.globalAlpha = 1;
  pen.lineWidth = pinned ? 3 : 2;
  if (r !== null && c !== null) pen.strokeRect(x, y, Math.max(cellW, 4), Math.max(cellH, 4));
  if (r !== null && grid.matrix.pooled && !isSharp(at, grid)) exactRow(pen, at, look, ink, r, y);
  pen.restore();
  if (r !== null && grid.rows[r]) pill(pen, fit(grid.rows[r].label, font(13, 600), at.x - 22), at.x - 8, within(y + cellH / 2, at.y, at.y + at.h), ink, "right");
  if (c !== null && grid.columns[c]) pill(pen, fit(grid.columns[c].label, font(13, 600), 140), within(x + cellW / 2, at.x, at.x + at.w), at.y - 16, ink, "center");
}

const within = (value: number, low: number, high: number) => Math.max(low, Math.min(high, value));

/** In a pooled map: the exact largest weights of the row under the pointer, as ticks. */
function exactRow(pen: Pen, at: Layout, look: Look, ink: Ink, r: number, y: number): void {
  const row = gridRow(look.trace, look.map, look.head, look.grid, r);
  const cellW = at.w / at.part.columns;
  pen.fillStyle = ink.mark;
  for (const c of largest(row, 16)) pen.fillRect(at.x + (c + 0.5 - at.part.column) * cellW - 1.5, y - 5, 3, 11);
}

function pill(pen: Pen, label: string, x: number, y: number, ink: Ink, align: "right" | "center"): void {
  const style = font(13, 600);
  const w = width(label, style) + 12;
  const left = align === "right" ? x - w + 4 : x - w / 2;
  pen.fillStyle = ink.mark;
  pen.fillRect(left, y - 11, w, 22);
  pen.font = style;
  pen.fillStyle = ink.card;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  pen.fillText(label, left + 6, y + 0.5);
}
