// near: the shapes of few faces in view, re-centred and clipped in double precision, so that no zoom is too deep.
import { clip, partPlaces } from "./complex.js";

/** Coordinates beyond this many half views are clipped: graphics processors cut far points coarsely. */
const FAR = 4;

/**
 * Triangles of the faces with their colours, and knots by layer, in units of the view's half sides (rx, ry).
 * @param {Part} part @param {number[]} faces @param {Camera} camera @param {number} rx @param {number} ry
 * @param {Uint8Array} colours
 */
export function gather(part, faces, camera, rx, ry, colours) {
  const { corners, offsets, x, y, sides, layerOf, ends } = part;
  /** @type {number[][]} */
  const lines = part.layers.slice(1).map(() => []);
  const fills = /** @type {number[]} */ ([]),
    tints = /** @type {number[]} */ ([]),
    done = new Set();
  const px = (/** @type {number} */ v) => (x[v] - camera.x) / rx,
    py = (/** @type {number} */ v) => (y[v] - camera.y) / ry;
  for (const f of faces) {
    const points = [];
    for (let k = offsets[f]; k < offsets[f + 1]; k++) {
      const e = sides[k],
        l = layerOf[e];
      points.push(px(corners[k]), py(corners[k]));
      if (l < 0 || done.has(e)) continue;
      done.add(e);
      const [a, b] = [ends[2 * e], ends[2 * e + 1]];
      const line = trimmed([px(a), py(a), px(b), py(b)]);
      if (line.length === 4) lines[l].push(...line);
    }
    fan(trimmed(points), colours.subarray(4 * f, 4 * f + 3), fills, tints);
    if (colours.length === 4 * part.faces) continue;
    for (let p = part.faces + part.partStart[f]; p < part.faces + part.partStart[f + 1]; p++) {
      const shape = partPlaces(part, p).map((value, i) => (i % 2 ? (value - camera.y) / ry : (value - camera.x) / rx));
      fan(trimmed(shape), colours.subarray(4 * p, 4 * p + 3), fills, tints);
    }
  }
  return { fills: new Float32Array(fills), tints: new Uint8Array(tints), lines };
}

/** @param {number[]} points */
function trimmed(points) {
  return points.every((value) => Math.abs(value) <= FAR)
    ? points
    : clip(points, FAR).slice(0, points.length === 4 ? 4 : undefined);
}

/** @param {number[]} shape @param {Uint8Array} shade @param {number[]} fills @param {number[]} tints */
function fan(shape, [red, green, blue], fills, tints) {
  for (let i = 2; i + 3 < shape.length; i += 2) {
    fills.push(shape[0], shape[1], shape[i], shape[i + 1], shape[i + 2], shape[i + 3]);
    for (let n = 0; n < 3; n++) tints.push(red, green, blue, 255);
  }
}
