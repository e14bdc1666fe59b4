// restore: what packing.py leaves out of a step because the rest tells it: the outputs' levels and the patterns' hashes.
// Both walk from the first face to its neighbours and so on; the same walk as `predicting.py` has, operation by operation.
import { unfold } from "./decode.js";

const REACH = 8;

/** All faces, each as near to the first one as it is by neighbours; and across which corner's side each was entered.
 * @param {{faces: number, offsets: Uint32Array, across: Int32Array}} part */
export function walk({ faces, offsets, across }) {
  const order = new Uint32Array(faces),
    entered = new Int32Array(faces).fill(-1),
    seen = new Uint8Array(faces);
  let done = 0;
  for (let start = 0; start < faces; start++) {
    if (seen[start]) continue;
    let at = done;
    seen[start] = 1;
    order[done++] = start;
    for (; at < done; at++) {
      const f = order[at];
      for (let k = offsets[f]; k < offsets[f + 1]; k++) {
        const g = across[k];
        if (g < 0 || seen[g]) continue;
        seen[g] = 1;
        entered[g] = k;
        order[done++] = g;
      }
    }
  }
  return { order, entered };
}

/** @param {number[]} here @param {Float64Array} x @param {Float64Array} y @param {number} p */
function weights(here, x, y, p) {
  const a = here[0],
    last = here[here.length - 1];
  let b = -1,
    c = -1,
    size = 0;
  for (let i = 1; i < here.length; i++) {
    for (let j = i + 1; j < here.length; j++) {
      const s = here[i],
        t = here[j],
        turn = (x[s] - x[a]) * (y[t] - y[a]) - (y[s] - y[a]) * (x[t] - x[a]);
      if (Math.abs(turn) > Math.abs(size)) [size, b, c] = [turn, s, t];
    }
  }
  if (b < 0) return [last, last, last, 1, 0, 0];
  const wc = ((x[b] - x[a]) * (y[p] - y[a]) - (y[b] - y[a]) * (x[p] - x[a])) / size,
    wb = ((x[a] - x[c]) * (y[p] - y[c]) - (y[a] - y[c]) * (x[p] - x[c])) / size,
    wa = 1 - wb - wc;
  if (Math.abs(wa) + Math.abs(wb) + Math.abs(wc) <= REACH) return [a, b, c, wa, wb, wc];
  return [last, last, last, 1, 0, 0];
}

/** (C, V) levels of the outputs, 0 .. 65535. @param {any} part @param {Uint32Array} order @returns {Uint16Array} */
function restoreOutputs(part, order) {
  const { corners, offsets, x, y, vertices, channels, residuals } = part;
  const levels = new Uint16Array(channels * vertices),
    known = new Uint8Array(vertices);
  for (let n = 0; channels && n < order.length; n++) {
    const f = order[n],
      here = [];
    for (let k = offsets[f]; k < offsets[f + 1]; k++) if (known[corners[k]]) here.push(corners[k]);
    if (here.length === offsets[f + 1] - offsets[f]) continue;
    for (let k = offsets[f]; k < offsets[f + 1]; k++) {
      const p = corners[k];
      if (known[p]) continue;
      const [a, b, c, wa, wb, wc] = here.length ? weights(here, x, y, p) : [p, p, p, 0, 0, 0];
      for (let i = 0, row = 0; i < channels; i++, row += vertices) {
        const guess = Math.floor(wa * levels[row + a] + wb * levels[row + b] + wc * levels[row + c] + 0.5);
        levels[row + p] = unfold(residuals[row + p]) + Math.min(Math.max(guess, 0), 65535);
      }
      known[p] = 1;
      here.push(p);
    }
  }
  for (let v = 0; v < vertices; v++) {
    if (!known[v]) for (let row = v; row < channels * vertices; row += vertices) levels[row] = unfold(residuals[row]);
  }
  return levels;
}

const LOW = 0xffffffffn;

/** splitmix64 of a unit's number + 1, as `bits.unit_hashes`: (upper, lower half) of each. @param {number} units */
export function unitHashes(units) {
  const words = new Uint32Array(2 * units),
    all = (1n << 64n) - 1n;
  for (let unit = 0; unit < units; unit++) {
    let z = (BigInt(unit + 1) + 0x9e3779b97f4a7c15n) & all;
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & all;
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & all;
    z ^= z >> 31n;
    words[2 * unit] = Number(z >> 32n);
    words[2 * unit + 1] = Number(z & LOW);
  }
  return words;
}

/**
 * (F,) top 48 bits of the patterns' hashes.
 * @param {any} part
 * @param {{order: Uint32Array, entered: Int32Array}} walked
 */
function restorePatterns(part, { order, entered }) {
  if (!part.seed) return part.tops instanceof Float64Array ? part.tops : Float64Array.from(part.tops);
  const { faces, sides, units, layers } = part,
    words = unitHashes(layers[layers.length - 1]);
  const upper = new Uint32Array(faces),
    lower = new Uint32Array(faces),
    tops = new Float64Array(faces),
    faceOf = part.faceOf;
  for (let n = 0; n < order.length; n++) {
    const f = order[n],
      k = entered[f];
    if (k < 0) [upper[f], lower[f]] = part.seed;
    else {
      const from = faceOf[k],
        unit = units[sides[k]] - 1;
      upper[f] = upper[from] ^ words[2 * unit];
      lower[f] = lower[from] ^ words[2 * unit + 1];
    }
    tops[f] = upper[f] * 65536 + (lower[f] >>> 16);
  }
  return tops;
}

/** Puts levels and patterns into a connected part. @param {any} part @returns {Part} */
export function restore(part) {
  const faceOf = new Uint32Array(part.corners.length);
  for (let f = 0; f < part.faces; f++) faceOf.fill(f, part.offsets[f], part.offsets[f + 1]);
  const walked = walk(part);
  part.levels = restoreOutputs(part, walked.order);
  part.patterns = restorePatterns({ ...part, faceOf }, walked);
  delete part.residuals;
  delete part.tops;
  return part;
}
