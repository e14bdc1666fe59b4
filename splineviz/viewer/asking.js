// asking: what is known about a region, as data (`factsOf`) and as the panel beside the picture (`describeRegion`).
import { area, marginAt, outputsAt, partAt } from "./complex.js";
import { formatNumber } from "./legend.js";
import { pictureAt } from "./overlay.js";

export function factsOf(view, f, x, y) {
  const { part, meta } = view, units = [], active = [];
  for (let k = part.offsets[f]; k < part.offsets[f + 1]; k++) {
    const e = part.sides[k], l = part.layerOf[e];
    units.push(l < 0 ? { border: true } : { layer: l, unit: part.units[e] - 1 - part.layers[l], id: part.units[e] - 1 });
  }
  const layers = part.layers.length - 1;
  for (let row = 0; row < part.active; row++) {
    const on = part.activeUnits[row * part.faces + f] - 1, all = part.active === layers ? part.layers[row + 1] - part.layers[row] : part.layers[layers];
    active.push({ layer: part.active === layers ? row : -1, on: on < 0 ? null : on, of: all });
  }
  const p = partAt(part, f, x, y), c = part.classes[p], outputs = outputsAt(part, f, x, y);
  // Levels are rounded: within that, the outputs are those of the part's class, whose rim is exact.
  if (outputs.length === 1) outputs[0] = c ? Math.max(outputs[0], 0) : Math.min(outputs[0], 0);
  else if (outputs.length) outputs[c] = Math.max(...outputs);
  return {
    region: f, step: meta.steps[view.index], class: c, class_name: part.channels === 1 ? String(c) : meta.class_names[c] ?? String(c),
    margin: marginAt(part, p, x, y, outputs), area: area(part, f), slope: part.slopes[f], units, active, outputs,
    u: part.middle[0] + part.half * x, v: part.middle[1] + part.half * y,
  };
}

function outputTable(view, facts, made) {
  const low = Math.min(...facts.outputs), high = Math.max(...facts.outputs), names = view.meta.class_names;
  const rows = facts.outputs.map((value, c) => {
    const meter = made("i"), top = c === facts.class && facts.outputs.length > 1 ? { class: "sv-top" } : {};
    meter.style.width = `${(100 * (value - low)) / (high - low || 1)}%`;
    return made("tr", top, made("th", { scope: "row" }, names[c] ?? String(c)), made("td", {}, formatNumber(value)), made("td", { class: "sv-meter" }, meter));
  });
  return made("table", { "aria-label": "outputs at this point" }, ...rows);
}

export function describeRegion(view, f, x, y, made) {
  const facts = view.facts(f, x, y), press = (name, on, onclick, title) => made("button", { type: "button", "aria-pressed": String(on), title, onclick }, name);
  const rows = [["region", facts.region.toLocaleString("en")], ["class", facts.class_name], ["margin", formatNumber(facts.margin)], ["area", formatNumber(facts.area)], ["slope norm", formatNumber(facts.slope)], ["at (u, v)", `${formatNumber(facts.u)}, ${formatNumber(facts.v)}`]];
  const known = facts.active.filter((one) => one.on !== null);
  const alike = known.length && known.every((one) => one.of === known[0].of);
  if (known.length) rows.push(["active units", alike ? `${known.map((one) => one.on).join(" · ")} of ${known[0].of}` : known.map((one) => `${one.on}/${one.of}`).join(" · ")]);
  const list = made("dl", {}, ...rows.flatMap(([name, value]) => [made("dt", {}, name), made("dd", {}, value)]));
  const parts = [list], picture = pictureAt(view.meta, facts.u, facts.v);
  if (picture) {
    picture.className = "sv-input"; picture.setAttribute("role", "img"); picture.setAttribute("aria-label", "the input at this point");
    parts.unshift(picture);
  }
  const flip = (name, value, none) => () => { view[name] = view[name] === value ? none : value; view.describe(f, x, y); view.refreshOverlay(); };
  const knots = facts.units.map((one) => (one.border ? made("span", {}, "window") : press(`${one.layer + 1}/${one.unit}`, view.unit === one.id, flip("unit", one.id, -1), "show all knots of this unit")));
  parts.push(made("div", { class: "sv-units" }, "sides, layer/unit ", ...knots));
  if (view.pinned === f) {
    const around = () => { view.neighbours = view.neighbours.length ? [] : view.around(f); view.describe(f, x, y); view.refreshOverlay(); };
    const only = () => { view.showClass(view.onlyClass >= 0 ? -1 : facts.class); view.describe(f, x, y); };
    parts.push(made("div", { class: "sv-units" }, press("neighbours", view.neighbours.length > 0, around, "key n"), press(`class ${facts.class_name} only`, view.onlyClass >= 0, only, "key c")));
  }
  if (facts.outputs.length) parts.push(outputTable(view, facts, made));
  return parts;
}

// How many regions a box or lasso took, and how much of the plane they cover.
export function describeChosen({ selected, part }) {
  if (!selected.length) return "";
  const size = selected.reduce((sum, f) => sum + area(part, f), 0);
  return `${selected.length.toLocaleString("en")} regions selected, area ${formatNumber(size)}`;
}
