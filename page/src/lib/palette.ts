/** Colours that people with any kind of colour vision tell apart: Okabe and Ito, "Color Universal Design", 2008. */

/** One per head where several are shown at once. */
export const HEADS = ["#e69f00", "#0072b2", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#f0e442", "#8a8a8a"];

/** A number between -1 and 1: orange below zero, blue above, see-through at zero. */
export function signed(value: number): string {
  const strength = Math.min(1, Math.abs(value)).toFixed(3);
  return value < 0 ? `rgb(230 120 0 / ${strength})` : `rgb(0 114 178 / ${strength})`;
}

/** One pixel per number: orange below zero, blue above, the page's own colour at zero. */
export function signedPicture(values: Float32Array, rows: number, columns: number, most: number, dark: boolean): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  [canvas.height, canvas.width] = [rows, columns];
  const pixels = new ImageData(columns, rows);
  const zero = dark ? [27, 30, 37] : [255, 255, 255];
  const ends = dark ? { below: [255, 150, 40], above: [90, 180, 255] } : { below: [205, 85, 0], above: [0, 90, 175] };
  for (let i = 0; i < values.length; i++) {
    const end = values[i] < 0 ? ends.below : ends.above;
    const strength = most > 0 ? Math.min(1, Math.abs(values[i]) / most) : 0;
    for (let c = 0; c < 3; c++) pixels.data[i * 4 + c] = zero[c] + (end[c] - zero[c]) * strength;
    pixels.data[i * 4 + 3] = 255;
  }
  canvas.getContext("2d")!.putImageData(pixels, 0, 0);
  return canvas;
}
