/**
 * Draws pages as a scanner would have seen them: grey, 1240 by 1754 pixels (A4 at 150 dots an inch).
 *
 * Needs `@napi-rs/canvas` and the DejaVu fonts, both installed in this folder and nowhere else.
 *
 * @module
 */
import { createRequire } from "node:module";
import type { Line } from "./paperwork.ts";

const width = 1240;
const height = 1754;

/** The calls used of a canvas and its context. */
interface Canvas {
  getContext(kind: "2d"): Context2d;
  encode(format: "jpeg", quality: number): Promise<Uint8Array>;
}
interface Context2d {
  fillStyle: string;
  strokeStyle: string;
  lineWidth: number;
  font: string;
  fillRect(x: number, y: number, w: number, h: number): void;
  strokeRect(x: number, y: number, w: number, h: number): void;
  fillText(text: string, x: number, y: number): void;
  translate(x: number, y: number): void;
  rotate(angle: number): void;
  getImageData(x: number, y: number, w: number, h: number): { readonly data: Uint8ClampedArray };
  putImageData(image: { readonly data: Uint8ClampedArray }, x: number, y: number): void;
}
interface CanvasModule {
  createCanvas(width: number, height: number): Canvas;
  readonly GlobalFonts: { registerFromPath(path: string, name: string): unknown };
}

/** A page, drawn. */
export interface Page {
  readonly width: number;
  readonly height: number;
  /** One byte a pixel, row by row. */
  readonly grey: Uint8Array;
  jpeg(quality: number): Promise<Uint8Array>;
}

/** What a scanner does to a page. */
export interface Scan {
  /** Degrees that the page lies askew. @default 0 */
  readonly tilt?: number;
  /** How far a pixel may be off, of 255. @default 0 */
  readonly noise?: number;
}

const fonts = { title: "bold 46px Serif", heading: "bold 36px Serif", body: "30px Serif", small: "26px Serif", hand: "italic 34px Serif" } as const;
const advance = { title: 66, heading: 54, body: 46, small: 40, hand: 52 } as const;

/** Draws lines one below the other. */
export function drawLines(lines: readonly Line[], scan: Scan = {}): Page {
  return draw(scan, (context) => {
    let y = 150;
    for (const { text, style = "body", x = 130, sameLine = false, above = 0 } of lines) {
      if (!sameLine) y += above + advance[style];
      context.font = fonts[style];
      context.fillText(text, x, y);
    }
  });
}

/** Draws a form: a label and a box beside it, filled in by hand. */
export function drawForm(title: string, fields: readonly (readonly [label: string, entry: string])[], scan: Scan = {}): Page {
  return draw(scan, (context) => {
    context.font = fonts.title;
    context.fillText(title, 130, 200);
    for (const [i, [label, entry]] of fields.entries()) {
      const y = 330 + i * 104;
      context.font = fonts.body;
      context.fillText(`${label}:`, 130, y);
      context.strokeRect(500, y - 52, 620, 76);
      context.font = fonts.hand;
      context.fillText(entry, 524, y);
    }
  });
}

function draw({ tilt = 0, noise = 0 }: Scan, paint: (context: Context2d) => void): Page {
  const canvas = toolkit().createCanvas(width, height);
  const context = canvas.getContext("2d");
  context.fillStyle = "#fcfcfa";
  context.fillRect(0, 0, width, height);
  context.fillStyle = "#181818";
  context.strokeStyle = "#555555";
  context.lineWidth = 2;
  context.translate(width / 2, height / 2);
  context.rotate((tilt * Math.PI) / 180);
  context.translate(-width / 2, -height / 2);
  paint(context);
  const image = context.getImageData(0, 0, width, height);
  const grey = toGrey(image.data, noise);
  for (const [i, value] of grey.entries()) image.data.set([value, value, value, 255], i * 4);
  context.putImageData(image, 0, 0);
  return { width, height, grey, jpeg: (quality) => canvas.encode("jpeg", quality) };
}

/** Lightness of each pixel, with noise that is the same in every run. */
function toGrey(rgba: Uint8ClampedArray, noise: number): Uint8Array {
  let seed = 20_418;
  const random = (): number => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0; // Numerical Recipes' generator
    return seed / 2 ** 32;
  };
  const grey = new Uint8Array(rgba.length / 4);
  for (let i = 0; i < grey.length; i += 1) {
    const light = 0.299 * (rgba[i * 4] ?? 0) + 0.587 * (rgba[i * 4 + 1] ?? 0) + 0.114 * (rgba[i * 4 + 2] ?? 0);
    const speck = noise > 0 && random() < 0.002 ? 120 : 0; // dust on the glass
    grey[i] = Math.max(0, Math.min(255, Math.round(light - speck + (noise > 0 ? (random() - 0.5) * 2 * noise : 0))));
  }
  return grey;
}

let loaded: CanvasModule | undefined;

/** The canvas, with its fonts; loaded at the first page. */
function toolkit(): CanvasModule {
  if (loaded === undefined) {
    const require = createRequire(import.meta.url);
    const canvas: CanvasModule = require("@napi-rs/canvas");
    for (const face of ["DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic"]) {
      canvas.GlobalFonts.registerFromPath(require.resolve(`dejavu-fonts-ttf/ttf/${face}.ttf`), "Serif");
    }
    loaded = canvas;
  }
  return loaded;
}
