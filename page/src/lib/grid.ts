/** The table that the matrix view paints: weights of one head, merged to words and without special tokens if asked. */

import { column } from "./column";
import { largest } from "./say";
import { MEAN, type MapInfo, type Matrix, type Trace } from "./trace";
import { tokenGroups, wordGroups, type Group } from "./words";

export interface Grid {
  rows: Group[];
  columns: Group[];
  /** One weight per row and column; in a pooled grid one per cell of `pooled`. */
  matrix: Matrix;
  most: number;
}

export interface Wishes {
  words: boolean;
  /** Leave out special tokens and let each row sum to 1 again. */
  hide: boolean;
}

export function makeGrid(trace: Trace, map: MapInfo, head: number, wishes: Wishes): Grid {
  const matrix = trace.matrix(map, head);
  const sides: [string, number][] = [[map.query, map.rows], [map.key, map.columns]];
  if (matrix.pooled) {
    const [rows, columns] = sides.map(([name, n]) => tokenGroups(own(trace, map, name, n), n));
    return { rows, columns, matrix, most: top(matrix.values) };
  }
  const [rows, columns] = sides.map(([name, n]) => {
    const whole = trace.stream(name);
    const all = wishes.words && whole.kind === "text" ? wordGroups(whole, n) : tokenGroups(own(trace, map, name, n), n);
    const special = trace.special(name);
    return wishes.hide && !map.grid ? all.filter((group) => !group.positions.every((i) => special[i])) : all;
  });
  const merged = merge(matrix, rows, columns);
  if (wishes.hide) renormalise(merged);
  return { rows, columns, matrix: merged, most: top(merged.values) };
}

/** Labels of the tokens that a map has: a Swin layer has patches of its own size. */
function own(trace: Trace, map: MapInfo, name: string, n: number): string[] {
  const [, columns] = map.grid ?? [0, 0];
  const stream = trace.stream(name);
  if (!columns || stream.kind === "text" || (stream.grid[1] === columns && n > stream.prefix.length)) return trace.tokens(name);
  return Array.from({ length: n }, (_, i) => `row ${Math.floor(i / columns) + 1}, column ${(i % columns) + 1}`);
}

/** The pieces of a word that looks are averaged, those that are looked at are summed (Clark et al. 2019, section 4.1). */
export function merge(matrix: Matrix, rows: Group[], columns: Group[]): Matrix {
  if (rows.length === matrix.rows && columns.length === matrix.columns) return { ...matrix, values: matrix.values.slice() };
  const values = new Float32Array(rows.length * columns.length);
  rows.forEach((row, r) => {
    for (const t of row.positions) {
      columns.forEach((column, c) => {
        for (const s of column.positions) values[r * columns.length + c] += matrix.values[t * matrix.columns + s] / row.positions.length;
      });
    }
  });
  return { values, rows: rows.length, columns: columns.length, pooled: false };
}

/** Let each row sum to 1; one without weight stays empty. */
export function renormalise(matrix: Matrix): void {
  for (let r = 0; r < matrix.rows; r++) {
    const row = matrix.values.subarray(r * matrix.columns, (r + 1) * matrix.columns);
    const sum = row.reduce((a, b) => a + b, 0);
    if (sum > 0) for (let c = 0; c < row.length; c++) row[c] /= sum;
  }
}

/** One row of the grid: exact beyond the byte budget too, where only the largest weights are known. */
export function gridRow(trace: Trace, map: MapInfo, head: number, grid: Grid, r: number): Float32Array {
  if (grid.matrix.pooled) return trace.row(map, head, r);
  return grid.matrix.values.subarray(r * grid.matrix.columns, (r + 1) * grid.matrix.columns);
}

/** What a column of the grid is given by each row. */
export function gridColumn(trace: Trace, map: MapInfo, head: number, grid: Grid, c: number): Float32Array {
  if (grid.matrix.pooled) return column(trace, map, head, c);
  return Float32Array.from(grid.rows, (_, r) => grid.matrix.values[r * grid.matrix.columns + c]);
}

/** Alignment error rate of the links from each row to its largest weight (Och and Ney 2003): 0 is perfect. */
export function alignmentError(grid: Grid, links: [number, number][]): number | null {
  if (grid.matrix.pooled) return null;
  const gold = new Set<string>();
  for (const [key, query] of links) {
    const r = grid.rows.findIndex((group) => group.positions.includes(query));
    const c = grid.columns.findIndex((group) => group.positions.includes(key));
    if (r >= 0 && c >= 0) gold.add(`${r},${c}`);
  }
  const linked = new Set([...gold].map((pair) => Number(pair.split(",")[0])));
  if (!gold.size) return null;
  const found = [...linked].filter((r) => {
    const row = grid.matrix.values.subarray(r * grid.matrix.columns, (r + 1) * grid.matrix.columns);
    return gold.has(`${r},${largest(row, 1)[0]}`);
  });
  return 1 - (2 * found.length) / (linked.size + gold.size);
}

/** Gold links of a map, [key, query]. */
export function goldOf(trace: Trace, map: MapInfo): [number, number][] {
  return trace.gold.find((gold) => gold.query === map.query && gold.key === map.key)?.links ?? [];
}

/** A fact of one query, of one head or meaned over all. */
export function factOf(trace: Trace, map: MapInfo, name: "entropy" | "distance" | "special", head: number, t: number): number | null {
  const fact = trace.fact(map, name);
  if (!fact) return null;
  if (head !== MEAN) return fact[head * map.rows + t];
  let sum = 0;
  for (let h = 0; h < map.heads; h++) sum += fact[h * map.rows + t];
  return sum / map.heads;
}

function top(values: Float32Array): number {
  let most = 0;
  for (const value of values) if (value > most) most = value;
  return most;
}
