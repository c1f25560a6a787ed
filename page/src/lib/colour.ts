/** Colours of weights: one hue, evenly lighter or darker to the eye (OKLCH), so that they read without colour vision. */

type Lch = [lightness: number, chroma: number, hue: number];

/** From no weight (the page's own colour) to the largest. */
const STOPS: Record<"light" | "dark", Lch[]> = {
  light: [[0.985, 0.003, 255], [0.86, 0.065, 250], [0.66, 0.14, 255], [0.47, 0.165, 262], [0.29, 0.12, 268]],
  dark: [[0.225, 0.014, 262], [0.36, 0.085, 262], [0.54, 0.14, 256], [0.75, 0.12, 242], [0.95, 0.045, 215]],
};

const ramps = new Map<string, Uint8ClampedArray>();

/** 256 colours, three bytes each. */
export function ramp(dark: boolean): Uint8ClampedArray {
  const name = dark ? "dark" : "light";
  let colours = ramps.get(name);
  if (!colours) {
    colours = new Uint8ClampedArray(768);
    for (let i = 0; i < 256; i++) colours.set(inGamut(between(STOPS[name], i / 255)), i * 3);
    ramps.set(name, colours);
  }
  return colours;
}

/** The colour of a share between 0 and 1 as CSS. */
export function colour(share: number, dark: boolean): string {
  const at = Math.round(Math.min(1, Math.max(0, share)) * 255) * 3;
  const [red, green, blue] = ramp(dark).subarray(at, at + 3);
  return `rgb(${red},${green},${blue})`;
}

/** Whether writing on this shade must be the page's light or dark ink. */
export function inkOn(share: number, dark: boolean): string {
  return dark ? (share > 0.55 ? "#10131a" : "#f2f4f8") : share > 0.5 ? "#ffffff" : "#1d2129";
}

function between(stops: Lch[], x: number): Lch {
  const at = Math.min(x * (stops.length - 1), stops.length - 1 - 1e-9);
  const [a, b] = [stops[Math.floor(at)], stops[Math.floor(at) + 1]];
  return a.map((value, i) => value + (b[i] - value) * (at % 1)) as Lch;
}

function inGamut([lightness, chroma, hue]: Lch): number[] {
  let colour = toRgb([lightness, chroma, hue]);
  for (let c = chroma; colour.some((x) => x < -0.5 || x > 255.5) && c > 0; c -= 0.004) colour = toRgb([lightness, c, hue]);
  return colour;
}

/** Ottosson, "A perceptual color space for image processing" (2020). */
function toRgb([lightness, chroma, hue]: Lch): number[] {
  const a = chroma * Math.cos((hue * Math.PI) / 180);
  const b = chroma * Math.sin((hue * Math.PI) / 180);
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  return linear.map((x) => 255 * (x <= 0.0031308 ? 12.92 * x : 1.055 * x ** (1 / 2.4) - 0.055));
}
