// follow: what one input, and one unit's knot, are at a step. Runs in the decoder (worker.js), step by step.
import { answersAt, area, locate, within } from "./complex.js";

/** Half side, in half sides of the window, of the square in which knots round a pinned input are counted. */
export const NEARBY = 0.1;

/** Length of knots per area in the square round a point, in 1 / input-space length.
 * @param {Part} part @param {number} px @param {number} py */
export function densityAt(part, px, py) {
  const { x, y, ends, units, edgeCount, half } = part;
  let length = 0;
  for (let e = 0; e < edgeCount; e++) {
    if (!units[e]) continue;
    const a = ends[2 * e],
      b = ends[2 * e + 1];
    const share = within(x[a] - px, y[a] - py, x[b] - px, y[b] - py, NEARBY, NEARBY);
    if (share) length += (share[1] - share[0]) * Math.hypot(x[b] - x[a], y[b] - y[a]);
  }
  const wide = Math.min(1, px + NEARBY) - Math.max(-1, px - NEARBY),
    high = Math.min(1, py + NEARBY) - Math.max(-1, py - NEARBY);
  return wide > 0 && high > 0 ? length / (wide * high) / half : null;
}

/** Segments (flat u0, v0, u1, v1 in plane coordinates) of a unit's knot. @param {Part} part @param {number} unit */
export function knotOf(part, unit) {
  const { x, y, ends, units, edgeCount, half, middle } = part,
    found = [];
  for (let e = 0; unit >= 0 && e < edgeCount; e++) {
    if (units[e] - 1 !== unit) continue;
    for (const v of [ends[2 * e], ends[2 * e + 1]]) found.push(middle[0] + half * x[v], middle[1] + half * y[v]);
  }
  return Float64Array.from(found);
}

/**
 * @param {Part} part @param {[number, number] | null} place in plane coordinates @param {number} unit -1: none
 * @returns {Followed}
 */
export function follow(part, place, unit) {
  const knot = knotOf(part, unit);
  const px = place ? (place[0] - part.middle[0]) / part.half : 2,
    py = place ? (place[1] - part.middle[1]) / part.half : 2;
  const region = locate(part, px, py);
  if (region < 0) {
    return { region, class: -1, margin: null, area: null, slope: null, density: null, outputs: [], knot };
  }
  return {
    region,
    ...answersAt(part, region, px, py),
    area: area(part, region),
    slope: part.slopes[region],
    density: densityAt(part, px, py),
    knot,
  };
}
