/** The page's colours for canvases, as app.css gives them for the theme. */

import type { Ink } from "./matrix_figure";

const NAMES = ["ink", "soft", "line", "gold", "mark", "card"] as const;
const cache = new Map<boolean, Ink>();

export function inkOf(dark: boolean): Ink {
  let ink = cache.get(dark);
  if (!ink) {
    const style = getComputedStyle(document.documentElement);
    ink = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()])) as unknown as Ink;
    cache.set(dark, ink);
  }
  return ink;
}
