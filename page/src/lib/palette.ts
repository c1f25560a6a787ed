/** Colours that people with any kind of colour vision tell apart: Okabe and Ito, "Color Universal Design", 2008. */

/** One per head where several are shown at once. */
export const HEADS = ["#e69f00", "#0072b2", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#f0e442", "#8a8a8a"];

/** A number between -1 and 1: orange below zero, blue above, see-through at zero. */
export function signed(value: number): string {
  const strength = Math.min(1, Math.abs(value)).toFixed(3);
  return value < 0 ? `rgb(230 120 0 / ${strength})` : `rgb(0 114 178 / ${strength})`;
}
