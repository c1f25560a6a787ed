/** A head at the size of a stamp. */

import { picture } from "./paint";
import type { MapInfo, Trace } from "./trace";

/** Draw a head with at most `size` pixels a side: where cells must share a pixel, it shows the largest of them, or fine lines would fade. */
export function thumbnail(canvas: HTMLCanvasElement, trace: Trace, map: MapInfo, head: number, dark: boolean, size: number): void {
  const { values, rows, columns } = trace.matrix(map, head);
  const [h, w] = [Math.max(1, Math.min(rows, size)), Math.max(1, Math.min(columns, size))];
  let small = values;
  if (h < rows || w < columns) {
    small = new Float32Array(h * w);
    for (let r = 0; r < rows; r++) {
      const line = Math.floor((r * h) / rows) * w;
      for (let c = 0; c < columns; c++) {
        const at = line + Math.floor((c * w) / columns);
        const value = values[r * columns + c];
        if (value > small[at]) small[at] = value;
      }
    }
  }
  let most = 0;
  for (const value of small) if (value > most) most = value;
  const drawn = picture(small, h, w, most, dark, "lift");
  canvas.width = w;
  canvas.height = h;
  canvas.getContext("2d")!.drawImage(drawn, 0, 0);
}
