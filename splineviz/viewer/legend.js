// legend: what the colours of a fill mean, of coloured knots and of the density; classes and layers in it filter.
import { DENSITY_SHADES } from "./density.js";
import { press } from "./dom.js";
import { className, formatNumber, layerName } from "./words.js";

/** @typedef {import("./explorer.js").Explorer} Explorer */

const SHOWN = 24;

/**
 * Names with their colours. Where pick is given each is a button that shows its kind alone, or with others.
 * @param {Make} made @param {[number, string, string][]} kinds number, name, colour @param {Set<number>} only
 * @param {((kind: number) => void) | null} pick @param {string} [line] class of the swatch: a line where knots are meant
 */
function swatches(made, kinds, only, pick, line = "") {
  const list = made("ul", {});
  for (const [kind, name, colour] of kinds) {
    const swatch = made("i", { "aria-hidden": "true", class: line });
    swatch.style.background = colour;
    const text = pick
      ? press(name, only.has(kind), () => pick(kind), "show this one alone, or no longer", `kind-${kind}`)
      : name;
    list.append(made("li", {}, swatch, text));
  }
  return list;
}

/** @param {Make} made @param {[string, string]} ends @param {string[]} palette @param {string} words */
function scale(made, [low, high], palette, words) {
  const bar = made("i", { class: "sv-scale", "aria-hidden": "true" });
  bar.style.background = `linear-gradient(to right, ${palette.filter((_, i) => i % 15 === 0).join(", ")})`;
  return [
    bar,
    made("span", { class: "sv-ends" }, made("span", {}, low), made("span", {}, words), made("span", {}, high)),
  ];
}

/** What a filter leaves in full colour, in words; "" without one. @param {Explorer} view */
export function filterWords({ meta, part, fill, only, onlyLayers, comparing }) {
  const sorted = (/** @type {Set<number>} */ set) => [...set].sort((a, b) => a - b),
    layers = fill === "layer" ? sorted(onlyLayers).map((l) => layerName(meta, l)) : [];
  const names = [...sorted(only).map((c) => `class ${className(meta, c, part?.channels)}`), ...layers];
  if (!names.length || comparing.changes) return "";
  const few = names.length > 4 ? [...names.slice(0, 3), `${names.length - 3} more`] : names;
  return `paler: all but ${few.join(", ")}`;
}

/** @param {Make} made @param {Explorer} view @returns {Node[]} */
export function legendOf(made, view) {
  const words = filterWords(view);
  return [...keysOf(made, view), ...(words ? [made("span", { class: "sv-only" }, words)] : [])];
}

/** @param {Make} made @param {Explorer} view @returns {Node[]} */
function keysOf(made, view) {
  const { meta, look, comparing } = view;
  if (comparing.changes) {
    const kinds = /** @type {[number, string, string][]} */ ([
      [0, "stayed", "#e2e2e2"],
      [1, "died (left)", "#ee7733"],
      [2, "born (right)", "#3377bb"],
    ]);
    return [made("span", {}, comparing.said), swatches(made, kinds, new Set(), null)];
  }
  const knots = look.coloured && look.knots && !look.density;
  if (!knots) return fillLegend(made, view);
  const inks = /** @type {[number, string, string][]} */ (
    meta.layer_names.map((_, l) => [l, layerName(meta, l), meta.knot_colors[l]])
  );
  return [...fillLegend(made, view), made("span", {}, "knots of"), swatches(made, inks, new Set(), null, "sv-line")];
}

/** @param {Make} made @param {Explorer} view @returns {Node[]} */
function fillLegend(made, view) {
  const { fill, meta, look } = view;
  if (look.density) return scale(made, ["few", "many"], DENSITY_SHADES, "knots (logarithmic)");
  if (fill === "slope" || fill === "area") {
    const limits = meta.limits[fill],
      words = fill === "slope" ? "slope norm" : "area";
    if (!limits) return [made("span", {}, `${words}: 0 in every region`)];
    const zero = fill === "slope" && view.part?.slopes.includes(0);
    const none = zero ? [swatches(made, [[0, "0", meta.zero]], new Set(), null)] : [];
    return [...scale(made, [formatNumber(limits[0]), formatNumber(limits[1])], meta.palette, words), ...none];
  }
  if (fill === "hash") return [made("span", {}, "a colour a pattern, the same at every step")];
  if (fill === "layer") {
    const kinds = /** @type {[number, string, string][]} */ (
      meta.layer_names.map((_, l) => [l, layerName(meta, l), meta.layer_colors[l]])
    );
    return [
      made("span", {}, "layer that cut the region last"),
      swatches(made, kinds, view.onlyLayers, (l) => view.filter(l, "layer")),
    ];
  }
  const { classes, more } = view.classesInView(SHOWN),
    channels = view.part?.channels;
  const kinds = /** @type {[number, string, string][]} */ (
    classes.map((c) => [c, className(meta, c, channels), meta.class_colors[c % meta.class_colors.length]])
  );
  const words = fill === "margin" ? "class, paler where the margin is small" : "class",
    rest = more ? [made("span", {}, `and ${more.toLocaleString("en")} more in view`)] : [];
  return [made("span", {}, words), swatches(made, kinds, view.only, (c) => view.filter(c)), ...rest];
}
