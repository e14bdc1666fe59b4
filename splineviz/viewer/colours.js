// colours: four bytes a face from its numbers; palettes and limits come from Python, so that all pictures agree.
import { area } from "./complex.js";

const GREY = [204, 204, 204];
const clamp = (/** @type {number} */ t) => Math.min(1, Math.max(0, t));

/** @param {string} hex */
export function hexBytes(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

/** @param {number} h @param {number} s @param {number} v all in [0, 1] */
function hsv(h, s, v) {
  return [5, 3, 1].map((n) => {
    const k = (n + 6 * h) % 6;
    return 255 * (v - v * s * Math.max(0, Math.min(k, 4 - k, 1)));
  });
}

/** @param {Uint8Array} into @param {number} f @param {ArrayLike<number>} shade */
function put(into, f, shade) {
  into[4 * f] = shade[0];
  into[4 * f + 1] = shade[1];
  into[4 * f + 2] = shade[2];
}

/**
 * On a logarithmic scale, where 0 has no place but a colour of its own.
 * @param {ArrayLike<number>} values @param {Limits} limits @param {number[][]} palette @param {number[]} zero
 * @param {Uint8Array} into
 */
function scaled(values, limits, palette, zero, into) {
  const [a, b] = limits ? limits.map(Math.log) : [0, 1],
    last = palette.length - 1;
  for (let f = 0; f < values.length; f++) {
    const t = values[f] > 0 && limits ? clamp((Math.log(values[f]) - a) / (b - a)) : 0;
    put(into, f, values[f] === 0 ? zero : palette[Math.min(last, Math.floor(t * palette.length))]);
  }
}

/** (F,) layer that cut each face last, -1 where no knot bounds it. @param {Part} part */
export function bornIn(part) {
  const born = new Int16Array(part.faces).fill(-1);
  for (let f = 0; f < part.faces; f++) {
    for (let k = part.offsets[f]; k < part.offsets[f + 1]; k++) {
      born[f] = Math.max(born[f], part.layerOf[part.sides[k]]);
    }
  }
  return born;
}

/** The colour of a pattern, as fills.hash_colors has it. @param {number} top its hash's upper 48 bits */
export function patternShade(top) {
  const light = (top % 65536) / 65536;
  return hsv(Math.floor(top / 2 ** 24) / 2 ** 24, 0.25 + 0.3 * light, 0.95 - 0.15 * light);
}

/** @param {Part} part @param {string} fill @param {Meta} meta @param {Uint8Array} into */
function byClass(part, fill, meta, into) {
  const classes = meta.class_colors.map(hexBytes),
    limits = meta.limits.margin,
    [low, high] = limits ? limits.map(Math.log) : [0, 1];
  for (let f = 0; f < part.classes.length; f++) {
    const share = limits && part.margins[f] > 0 ? clamp((Math.log(part.margins[f]) - low) / (high - low)) : 0,
      strength = fill === "class" ? 1 : 0.2 + 0.8 * share;
    const shade = classes[part.classes[f] % classes.length];
    put(into, f, shade.map((value) => 255 - (255 - value) * strength)); // prettier-ignore
  }
}

/**
 * Four bytes a face, and for the parts of one class that lie over faces where classes matter (`parted`).
 * @param {Part} part @param {string} fill @param {Meta} meta @param {boolean} [parted] @returns {Uint8Array}
 */
export function colourFaces(part, fill, meta, parted = false) {
  const own = fill === "class" || fill === "margin",
    into = new Uint8Array(4 * (own || parted ? part.classes.length : part.faces)).fill(255),
    palette = meta.palette.map(hexBytes),
    zero = hexBytes(meta.zero);
  if (fill === "slope") scaled(part.slopes, meta.limits.slope, palette, zero, into);
  else if (fill === "area") {
    const areas = new Float64Array(part.faces);
    for (let f = 0; f < part.faces; f++) areas[f] = area(part, f);
    scaled(areas, meta.limits.area, palette, zero, into);
  } else if (fill === "layer") {
    const born = bornIn(part),
      shades = meta.layer_colors.map(hexBytes);
    for (let f = 0; f < part.faces; f++) put(into, f, born[f] < 0 ? GREY : shades[born[f]]);
  } else if (fill === "hash") {
    for (let f = 0; f < part.faces; f++) put(into, f, patternShade(part.patterns[f]));
  } else byClass(part, fill, meta, into);
  if (own) return into;
  for (let p = part.faces; 4 * p < into.length; p++) {
    const f = part.owner[p - part.faces];
    put(into, p, into.subarray(4 * f, 4 * f + 3));
  }
  return into;
}

/** Pales the faces that `keep` does not name. @param {Uint8Array} into @param {(f: number) => boolean} keep */
export function pale(into, keep) {
  for (let f = 0; 4 * f < into.length; f++) {
    if (keep(f)) continue;
    for (let i = 4 * f; i < 4 * f + 3; i++) into[i] = 225 + 0.12 * into[i];
  }
}

const STAYED = [226, 226, 226],
  CHANGED = { then: [238, 119, 51], now: [51, 119, 187] };

/** Grey where the pattern is in the other step too, else orange (then) or blue (now): apart for colour-blind readers.
 * @param {Part} part @param {Set<number>} other patterns @param {"then" | "now"} which */
export function colourChanges(part, other, which) {
  const into = new Uint8Array(4 * part.faces).fill(255);
  let changed = 0;
  for (let f = 0; f < part.faces; f++) {
    const stayed = other.has(part.patterns[f]);
    changed += Number(!stayed);
    put(into, f, stayed ? STAYED : CHANGED[which]);
  }
  return { into, changed };
}
