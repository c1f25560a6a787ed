/** The part of a 2-D canvas that figures are painted with: the screen and PNG use a canvas, SVG its own pen. */
export type Pen = Pick<
  CanvasRenderingContext2D,
  | "fillStyle"
  | "strokeStyle"
  | "lineWidth"
  | "globalAlpha"
  | "font"
  | "textAlign"
  | "textBaseline"
  | "save"
  | "restore"
  | "translate"
  | "rotate"
  | "fillRect"
  | "strokeRect"
  | "fillText"
  | "beginPath"
  | "moveTo"
  | "lineTo"
  | "arc"
  | "stroke"
  | "fill"
> & {
  /** Pixels in a rectangle; `smooth` blends them, otherwise each stays a sharp cell. */
  image(pixels: HTMLCanvasElement | HTMLImageElement, x: number, y: number, width: number, height: number, smooth?: boolean): void;
  /** Paint only inside this rectangle until `restore`. */
  cut(x: number, y: number, width: number, height: number): void;
};
