// choose: the regions that a polygon touches, in the window's units. A box is a polygon of four corners.
import { locate } from "./complex.js";

/** @param {number[]} polygon @param {number} px @param {number} py */
function inPolygon(polygon, px, py) {
  let inside = false;
  for (let i = 0, j = polygon.length - 2; i < polygon.length; j = i, i += 2) {
    const ax = polygon[i],
      ay = polygon[i + 1],
      bx = polygon[j],
      by = polygon[j + 1];
    if (ay > py !== by > py && px < ax + ((py - ay) / (by - ay)) * (bx - ax)) inside = !inside;
  }
  return inside;
}

/** Whether the segments a b and c d cross.
 * @param {number} ax @param {number} ay @param {number} bx @param {number} by
 * @param {number} cx @param {number} cy @param {number} dx @param {number} dy */
function crosses(ax, ay, bx, by, cx, cy, dx, dy) {
  /** @type {(px: number, py: number, qx: number, qy: number, rx: number, ry: number) => number} */
  const side = (px, py, qx, qy, rx, ry) => Math.sign((qx - px) * (ry - py) - (qy - py) * (rx - px));
  return (
    side(ax, ay, bx, by, cx, cy) !== side(ax, ay, bx, by, dx, dy) &&
    side(cx, cy, dx, dy, ax, ay) !== side(cx, cy, dx, dy, bx, by)
  );
}

/**
 * Touched: a corner of the region lies in the polygon, a side crosses its rim, or the region holds all of it.
 * @param {Part} part @param {number[]} polygon @param {number} start a face near it @returns {number[]}
 */
export function touched(part, polygon, start) {
  const { corners, offsets, faces, x, y } = part,
    found = [],
    n = polygon.length;
  let left = Infinity,
    right = -Infinity,
    low = Infinity,
    high = -Infinity;
  for (let i = 0; i < n; i += 2) {
    left = Math.min(left, polygon[i]);
    right = Math.max(right, polygon[i]);
    low = Math.min(low, polygon[i + 1]);
    high = Math.max(high, polygon[i + 1]);
  }
  const meets = (/** @type {number} */ f) => {
    const begin = offsets[f],
      end = offsets[f + 1];
    let within = false,
      l = true,
      r = true,
      b = true,
      t = true;
    for (let k = begin; k < end; k++) {
      const px = x[corners[k]],
        py = y[corners[k]];
      l &&= px < left;
      r &&= px > right;
      b &&= py < low;
      t &&= py > high;
      within ||= px >= left && px <= right && py >= low && py <= high && inPolygon(polygon, px, py);
    }
    if (within || l || r || b || t) return within;
    for (let k = begin; k < end; k++) {
      const a = corners[k],
        c = corners[k + 1 < end ? k + 1 : begin];
      for (let i = 0, j = n - 2; i < n; j = i, i += 2) {
        if (crosses(x[a], y[a], x[c], y[c], polygon[j], polygon[j + 1], polygon[i], polygon[i + 1])) return true;
      }
    }
    return false;
  };
  for (let f = 0; f < faces; f++) if (meets(f)) found.push(f);
  if (!found.length) {
    const holder = locate(part, polygon[0], polygon[1], start);
    if (holder >= 0) found.push(holder);
  }
  return found;
}
