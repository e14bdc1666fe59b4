// legend: what the colours of a fill mean, and of the density, as a small piece of the page.

const SHOWN = 24;

export function formatNumber(value) {
  if (value === 0) return "0";
  return Math.abs(value) >= 1e-3 && Math.abs(value) < 1e5 ? String(+value.toPrecision(4)) : value.toExponential(2);
}

function swatches(made, names, colours) {
  const list = made("ul", {});
  names.slice(0, SHOWN).forEach((name, i) => {
    const swatch = made("i", { "aria-hidden": "true" });
    swatch.style.background = colours[i % colours.length];
    list.append(made("li", {}, swatch, name));
  });
  if (names.length > SHOWN) list.append(made("li", {}, `and ${names.length - SHOWN} more`));
  return list;
}

function scale(made, [low, high], palette, words) {
  const bar = made("i", { class: "sv-scale", "aria-hidden": "true" });
  bar.style.background = `linear-gradient(to right, ${palette.filter((_, i) => i % 15 === 0).join(", ")})`;
  return [bar, made("span", { class: "sv-ends" }, made("span", {}, low), made("span", {}, words), made("span", {}, high))];
}

export function legendOf(made, view) {
  const { meta, look } = view, names = meta.layer_names.map((_, l) => `layer ${l + 1}`);
  const knots = look.coloured && look.knots && !look.density && view.fill !== "layer";
  return knots ? [...fillLegend(made, view), made("span", {}, "knots"), swatches(made, names, meta.layer_colors)] : fillLegend(made, view);
}

function fillLegend(made, { fill, meta, look, part }) {
  if (look.density) return scale(made, ["few", "many"], DENSITY_SHADES, "knots (logarithmic)");
  if (fill === "slope" || fill === "area") {
    const [low, high] = meta.limits[fill].map(formatNumber);
    const zero = fill === "slope" && part.slopes.includes(0) ? [swatches(made, ["0"], [meta.zero])] : [];
    return [...scale(made, [low, high], meta.palette, fill === "slope" ? "slope norm" : "area"), ...zero];
  }
  if (fill === "hash") return [made("span", {}, "a colour a pattern, the same at every step")];
  if (fill === "layer") return [made("span", {}, "layer that cut the region last"), swatches(made, meta.layer_names.map((_, l) => `layer ${l + 1}`), meta.layer_colors)];
  const count = part.channels > 1 ? part.channels : part.classes.reduce((most, c) => Math.max(most, c), 0) + 1;
  const names = Array.from({ length: count }, (_, c) => meta.class_names[c] ?? String(c));
  return [made("span", {}, fill === "margin" ? "class, paler where the margin is small" : "class"), swatches(made, names, meta.class_colors)];
}

export const DENSITY_SHADES = Array.from({ length: 61 }, (_, i) => {
  const [r, g, b] = densityShade(i / 60);
  return `rgb(${Math.round(255 * r)}, ${Math.round(255 * g)}, ${Math.round(255 * b)})`;
});

// White over orange and violet to black: also in grey, more is darker. paint.js has the same in its shader.
export function densityShade(t) {
  const stops = [[1, 1, 1], [0.98, 0.75, 0.45], [0.78, 0.22, 0.4], [0.35, 0.06, 0.44], [0.02, 0.01, 0.1]], at = Math.min(t, 0.9999) * 4, i = Math.floor(at), s = at - i;
  return stops[i].map((value, k) => value + (stops[i + 1][k] - value) * s);
}
