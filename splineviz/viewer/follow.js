// follow: what one input, and one unit's knot, are at a step. Runs in the decoder (worker.js), step by step.
import { area, locate, outputsAt, within } from "./complex.js";

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

/** The largest output less the second; of one output, its magnitude. @param {number[]} outputs */
export function marginOf(outputs) {
  if (outputs.length < 2) return outputs.length ? Math.abs(outputs[0]) : null;
  const [first, second] = [...outputs].sort((a, b) => b - a);
  return first - second;
}

/** The class of outputs, as Python's argmax has it; of one output, whether it is positive. @param {number[]} outputs */
export function classOf(outputs) {
  return outputs.length === 1 ? Number(outputs[0] > 0) : outputs.indexOf(Math.max(...outputs));
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
  const outputs = outputsAt(part, region, px, py);
  return {
    region,
    class: outputs.length ? classOf(outputs) : part.classes[region],
    margin: marginOf(outputs),
    area: area(part, region),
    slope: part.slopes[region],
    density: densityAt(part, px, py),
    outputs,
    knot,
  };
}
