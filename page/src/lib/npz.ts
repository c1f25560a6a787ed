/** Numbers for NumPy: a .npz file, which is a zip of .npy arrays (numpy.lib.format, version 1.0). */

import { zipSync } from "fflate";
import type { Table } from "./save";

/** A table of numbers as `values` with the names of its `rows` and `columns`; any other as one array per column. */
export function toNpz({ columns, rows }: Table): Uint8Array<ArrayBuffer> {
  const numbers = columns.length > 1 && columns[0] === "" && rows.every((row) => row.slice(1).every((cell) => typeof cell === "number"));
  const arrays = numbers
    ? { rows: npy(rows.map((row) => row[0])), columns: npy(columns.slice(1)), values: npy(rows.flatMap((row) => row.slice(1)), columns.length - 1) }
    : Object.fromEntries(columns.map((name, i) => [name || "name", npy(rows.map((row) => row[i]))]));
  const files = Object.fromEntries(Object.entries(arrays).map(([name, bytes]) => [`${name}.npy`, bytes]));
  return zipSync(files, { level: 0, mtime: "1980-01-02" }); // always the same bytes
}

/** One array, as rows of `across` where that is given: float64, or text where any cell is text. */
function npy(cells: (string | number)[], across = 0): Uint8Array {
  const shape = across ? `(${cells.length / across}, ${across})` : `(${cells.length},)`;
  const numbers = cells.every((cell) => typeof cell === "number");
  const letters = numbers ? [] : cells.map((cell) => [...String(cell)]);
  const longest = letters.reduce((most, one) => Math.max(most, one.length), 1);
  const data = new DataView(new ArrayBuffer(cells.length * (numbers ? 8 : 4 * longest)));
  if (numbers) cells.forEach((cell, i) => data.setFloat64(8 * i, cell, true));
  else letters.forEach((one, i) => one.forEach((letter, j) => data.setUint32(4 * (i * longest + j), letter.codePointAt(0)!, true)));
  const told = `{'descr': '${numbers ? "<f8" : `<U${longest}`}', 'fortran_order': False, 'shape': ${shape}, }`;
  const head = `${told.padEnd(Math.ceil((told.length + 11) / 64) * 64 - 11)}\n`;
  const start = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, head.length & 255, head.length >> 8]; // "\x93NUMPY"
  return new Uint8Array([...start, ...new TextEncoder().encode(head), ...new Uint8Array(data.buffer)]);
}
