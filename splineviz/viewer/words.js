// words: numbers as text, and what the quantities mean; the explorer speaks English.

/** @param {number} value */
export function formatNumber(value) {
  if (!Number.isFinite(value)) return "not known";
  if (value === 0) return "0";
  return Math.abs(value) >= 1e-3 && Math.abs(value) < 1e5 ? String(+value.toPrecision(4)) : value.toExponential(2);
}

/** A coordinate with as many digits as tell places apart in a view of that half side. @param {number} value
 * @param {number} half */
export function formatPlace(value, half) {
  const digits = Math.ceil(Math.log10(Math.abs(value) / half)) + 3;
  return digits > 4 ? String(+value.toPrecision(Math.min(17, digits))) : formatNumber(value);
}

/** "1 region", "2,000 regions". @param {number} count @param {string} noun */
export const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

/** A layer as Python counts it, from 0, with its module path. @param {Meta} meta @param {number} l */
export const layerName = (meta, l) => `layer ${l}${meta.layer_names[l] ? ` · ${meta.layer_names[l]}` : ""}`;

/** @param {Meta} meta @param {number} c @param {number} [channels] */
export function className(meta, c, channels = 2) {
  return channels === 1 && !meta.class_names.length
    ? c
      ? "positive"
      : "not positive"
    : (meta.class_names[c] ?? String(c));
}

/** What a quantity means, shown when the hand rests on its name. @type {Record<string, string>} */
export const MEANINGS = {
  region: "a maximal set of inputs on which no unit changes its piece; numbered as in Python",
  class: "the largest output at the cursor (of one output: whether it is positive)",
  margin: "the largest output less the second largest, at the cursor; of one output, its magnitude",
  area: "of the region on this slice, in squared input-space length",
  "slope norm": "Frobenius norm of d output / d (u, v), the same everywhere in the region",
  "at (u, v)": "the cursor in plane coordinates, in input-space length",
  "active units": "units of each kink layer that are on in this region",
  "local complexity": "LC: units whose knots meet a neighbourhood of a sample, averaged over samples",
  "knots per area": "length of knots per area in the square of a tenth of the window round the pinned input",
};
