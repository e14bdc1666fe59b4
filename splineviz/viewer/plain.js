// plain: the same picture without graphics hardware, and without the density of knots. Few regions are drawn as shapes by
// the 2D canvas, many as rows of pixels (raster.js).
import { partPlaces, visible } from "./complex.js";
import { coloursOf, opacity } from "./paint.js";
import { pixelsOf } from "./camera.js";
import { knotCover, knotLength, lay, regionPixels } from "./raster.js";

/** About how many regions are in view, if they lie evenly. @param {Pane} pane */
export function regionsInView({ part, camera, width, height }) {
  const unit = pixelsOf(camera, width, height);
  return part.faces * Math.min(1, width / 2 / unit) * Math.min(1, height / 2 / unit);
}

/** @param {CanvasRenderingContext2D} pen @param {Pane} pane @param {Inked} look */
export function paintRows(pen, { part, camera, left, width, height }, look) {
  const unit = pixelsOf(camera, width, height),
    pixels = regionPixels(part, camera, width, height, coloursOf(part), look.ground),
    alpha = opacity(knotLength(part) * unit, 4 * unit * unit);
  // Knots of one ink are laid over at once.
  const groups = look.coloured ? look.layers.map((_, l) => [l]) : [look.layers.map((_, l) => l)];
  for (const group of look.knots ? groups : []) {
    const cover = new Float32Array(width * height),
      chosen = group.filter((l) => look.layers[l]);
    if (!chosen.length) continue;
    knotCover(part, camera, width, height, (l) => chosen.includes(l), cover);
    lay(pixels, cover, look.ink[group[0]], alpha);
  }
  const image = new ImageData(pixels, width, height);
  if (pen.globalAlpha === 1) return pen.putImageData(image, left, 0);
  const sheet = document.createElement("canvas"); // it is drawn, not put, so that the pen's opacity counts
  sheet.width = width;
  sheet.height = height;
  sheet.getContext("2d")?.putImageData(image, 0, 0);
  pen.drawImage(sheet, left, 0);
}

/** @typedef {import("./paint.js").Inked} Inked */

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Pane} pane in device pixels
 * @param {Inked} look
 */
export function paintPlainly(pen, { part, camera, left, width, height }, look) {
  const { x, y } = part,
    unit = pixelsOf(camera, width, height),
    colours = coloursOf(part);
  const px = (/** @type {number} */ v) => left + width / 2 + (x[v] - camera.x) * unit,
    py = (/** @type {number} */ v) => height / 2 - (y[v] - camera.y) * unit;
  const shade = (/** @type {number[]} */ rgb) => `rgb(${rgb.map((value) => Math.round(255 * value)).join(" ")})`;
  pen.save();
  pen.beginPath();
  pen.rect(left, 0, width, height);
  pen.clip();
  pen.fillStyle = shade(look.ground);
  pen.fillRect(left, 0, width, height);
  const few = visible(part, camera.x, camera.y, width / 2 / unit, height / 2 / unit, camera.face || 0, Infinity) ?? [];
  const fill = (/** @type {number} */ p) => {
    const places = partPlaces(part, p);
    pen.beginPath();
    for (let i = 0; i < places.length; i += 2) {
      pen.lineTo(left + width / 2 + (places[i] - camera.x) * unit, height / 2 - (places[i + 1] - camera.y) * unit);
    }
    pen.closePath();
    pen.fillStyle = pen.strokeStyle = `rgb(${colours[4 * p]} ${colours[4 * p + 1]} ${colours[4 * p + 2]})`;
    pen.fill();
    pen.lineWidth = 0.5; // closes the seams that smoothing leaves between neighbours
    pen.stroke();
  };
  few.forEach(fill);
  for (const f of colours.length > 4 * part.faces ? few : []) {
    for (let n = part.partStart[f]; n < part.partStart[f + 1]; n++) fill(part.faces + n);
  }
  if (look.knots) paintKnots(pen, part, few, look, px, py, width * height);
  pen.restore();
}

/** @param {CanvasRenderingContext2D} pen @param {Part} part @param {number[]} few @param {any} look
 * @param {(v: number) => number} px @param {(v: number) => number} py @param {number} pixels */
function paintKnots(pen, part, few, look, px, py, pixels) {
  /** @type {Set<number>[]} */
  const byLayer = part.layers.slice(1).map(() => new Set());
  let length = 0;
  for (const f of few) {
    for (let k = part.offsets[f]; k < part.offsets[f + 1]; k++) {
      const e = part.sides[k];
      if (part.layerOf[e] >= 0) byLayer[part.layerOf[e]].add(e);
    }
  }
  for (const edges of byLayer) {
    for (const e of edges) {
      const [a, b] = [part.ends[2 * e], part.ends[2 * e + 1]];
      length += Math.hypot(px(a) - px(b), py(a) - py(b));
    }
  }
  byLayer.forEach((edges, l) => {
    if (!look.layers[l]) return;
    pen.beginPath();
    for (const e of edges) {
      pen.moveTo(px(part.ends[2 * e]), py(part.ends[2 * e]));
      pen.lineTo(px(part.ends[2 * e + 1]), py(part.ends[2 * e + 1]));
    }
    const [red, green, blue] = look.ink[l].map((/** @type {number} */ value) => Math.round(255 * value));
    pen.strokeStyle = `rgb(${red} ${green} ${blue} / ${opacity(length, pixels)})`;
    pen.lineWidth = 1;
    pen.stroke();
  });
}
