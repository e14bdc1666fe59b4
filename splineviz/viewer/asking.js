// asking: what is known about a region, as data (`factsOf`) and as the panel beside the picture (`describeRegion`).
import { answersAt, area, around } from "./complex.js";
import { make, press } from "./dom.js";
import { pictureAt } from "./overlay.js";
import { MEANINGS, className, formatNumber, formatPlace, layerName } from "./words.js";

/** @typedef {import("./explorer.js").Explorer} Explorer */

/** @param {Explorer} view @param {number} f @param {number} x @param {number} y @returns {Facts} */
export function factsOf(view, f, x, y) {
  const { meta } = view,
    part = /** @type {Part} */ (view.part),
    units = [],
    active = [];
  for (let k = part.offsets[f]; k < part.offsets[f + 1]; k++) {
    const e = part.sides[k],
      l = part.layerOf[e],
      id = part.units[e] - 1;
    units.push(l < 0 ? { border: true } : { layer: l, unit: id - part.layers[l], id });
  }
  const layers = part.layers.length - 1,
    each = part.active === layers;
  for (let row = 0; row < part.active; row++) {
    const on = part.activeUnits[row * part.faces + f] - 1,
      of = each ? part.layers[row + 1] - part.layers[row] : part.layers[layers];
    active.push({ layer: each ? row : -1, on: on < 0 ? null : on, of });
  }
  const { class: c, margin, outputs } = answersAt(part, f, x, y);
  return {
    region: f,
    step: meta.steps[view.index],
    class: c,
    class_name: className(meta, c, part.channels),
    margin,
    area: area(part, f),
    slope: part.slopes[f],
    units,
    active,
    outputs,
    u: part.middle[0] + part.half * x,
    v: part.middle[1] + part.half * y,
  };
}

/** @param {Explorer} view @param {Facts} facts */
function outputTable(view, { outputs, class: top }) {
  const low = Math.min(...outputs),
    high = Math.max(...outputs);
  const rows = outputs.map((value, c) => {
    const meter = make("i"),
      name = className(view.meta, c, 2);
    meter.style.width = `${(100 * (value - low)) / (high - low || 1)}%`;
    return make(
      "tr",
      c === top && outputs.length > 1 ? { class: "sv-top" } : {},
      make("th", { scope: "row" }, outputs.length > 1 ? name : "output"),
      make("td", {}, formatNumber(value)),
      make("td", { class: "sv-meter" }, meter),
    );
  });
  return make("table", { "aria-label": "outputs at this point" }, ...rows);
}

/** @param {Facts} facts @param {number} half of the view @returns {[string, string][]} */
function rowsOf(facts, half) {
  /** @type {[string, string][]} */
  const rows = [
    ["region", facts.region.toLocaleString("en")],
    ["class", facts.class_name],
    ["margin", formatNumber(facts.margin)],
    ["area", formatNumber(facts.area)],
    ["slope norm", formatNumber(facts.slope)],
    ["at (u, v)", `${formatPlace(facts.u, half)}, ${formatPlace(facts.v, half)}`],
  ];
  const known = facts.active.filter((one) => one.on !== null);
  if (!known.length) return rows;
  const alike = known.every((one) => one.of === known[0].of),
    text = known.map((one) => (alike ? one.on : `${one.on}/${one.of}`)).join(" · ");
  return [...rows, ["active units", alike ? `${text} of ${known[0].of}` : text]];
}

/** @param {Explorer} view @param {number} f @param {number} x @param {number} y @returns {Node[]} */
export function describeRegion(view, f, x, y) {
  const facts = view.facts(f, x, y),
    part = /** @type {Part} */ (view.part);
  const terms = rowsOf(facts, view.view()[2]).flatMap(([name, value]) => [
    make("dt", { title: MEANINGS[name] ?? "" }, name),
    make("dd", {}, value),
  ]);
  /** @type {Node[]} */
  const parts = [make("dl", {}, ...terms)];
  const picture = pictureAt(view.meta, facts.u, facts.v);
  if (picture) {
    picture.className = "sv-input";
    picture.setAttribute("role", "img");
    picture.setAttribute("aria-label", "the input at this point");
    parts.unshift(picture);
  }
  const again = () => {
    view.describe(f, x, y);
    view.refreshMarks();
  };
  const knots = facts.units.map(({ border, layer = 0, unit = 0, id = -1 }) => {
    if (border) return make("span", {}, "window");
    const flip = () => view.pinUnit(view.unit === id ? -1 : id);
    const title = `unit ${unit} of ${layerName(view.meta, layer)}: show all its knots, and where they were`;
    return press(`${layer}/${unit}`, view.unit === id, flip, title, `unit-${id}`);
  });
  parts.push(make("div", { class: "sv-units" }, "sides, layer/unit ", ...knots));
  if (view.pinned === f) {
    const near = () => {
      view.neighbours = view.neighbours.length ? [] : around(part, f);
      again();
    };
    const alone = () => view.filter(facts.class);
    parts.push(
      make(
        "div",
        { class: "sv-units" },
        press("neighbours", view.neighbours.length > 0, near, "key n", "neighbours"),
        press(`class ${facts.class_name} only`, view.only.has(facts.class), alone, "key c", "only"),
      ),
    );
  }
  if (facts.outputs.length) parts.push(outputTable(view, facts));
  return parts;
}
