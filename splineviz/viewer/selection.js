// selection: the regions that a box, a lasso or Python chose: their rim, what they are together, and as a table.
import { area } from "./complex.js";
import { make, save } from "./dom.js";
import { className, counted, formatNumber } from "./words.js";

/** @typedef {import("./explorer.js").Explorer} Explorer */

/**
 * Sides between chosen faces and others, flat x0, y0, x1, y1.
 * @param {Part} part
 * @param {Uint8Array} chosen
 * @param {number[]} faces
 */
export function rimOf({ corners, offsets, across, x, y }, chosen, faces) {
  const rim = [];
  for (const f of faces) {
    for (let k = offsets[f]; k < offsets[f + 1]; k++) {
      if (across[k] >= 0 && chosen[across[k]]) continue;
      const a = corners[k],
        b = corners[k + 1 < offsets[f + 1] ? k + 1 : offsets[f]];
      rim.push(x[a], y[a], x[b], y[b]);
    }
  }
  return rim;
}

/**
 * Counts of positive values in `bins` of equal width on a logarithmic scale.
 * @param {number[]} values
 * @param {number} bins
 */
export function histogram(values, bins = 24) {
  const logs = values.filter((value) => value > 0).map(Math.log10);
  const low = logs.reduce((least, value) => Math.min(least, value), Infinity),
    high = logs.reduce((most, value) => Math.max(most, value), -Infinity),
    counts = new Array(bins).fill(0);
  for (const value of logs) counts[Math.min(bins - 1, Math.floor(((value - low) / (high - low || 1)) * bins))]++;
  return {
    counts,
    low: logs.length ? 10 ** low : 0,
    high: logs.length ? 10 ** high : 0,
    none: values.length - logs.length,
  };
}

/** How many of each class, the most first. @param {Part} part @param {number[]} faces @returns {[number, number][]} */
export function classCounts(part, faces) {
  /** @type {Map<number, number>} */
  const counts = new Map();
  for (const f of faces) counts.set(part.classes[f], (counts.get(part.classes[f]) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

/** The chosen regions as comma-separated values. @param {Part} part @param {number[]} faces @param {Meta} meta */
export function tableOf(part, faces, meta) {
  const quoted = (/** @type {string} */ text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const rows = faces.map((f) => {
    const name = quoted(className(meta, part.classes[f], part.channels));
    return [f, part.classes[f], name, area(part, f), part.slopes[f], part.margins[f]].join(",");
  });
  return ["region,class,class_name,area,slope,margin", ...rows].join("\n") + "\n";
}

/** @param {string} title @param {ReturnType<typeof histogram>} found */
function bars(title, { counts, low, high, none }) {
  const most = Math.max(...counts, 1),
    said = `${title}: ${formatNumber(low)} to ${formatNumber(high)}${none ? `, ${none.toLocaleString("en")} are 0` : ""}`;
  const columns = counts.map((count) => make("i", { style: `height: ${(100 * count) / most}%`, title: String(count) }));
  const plot = make("div", { class: "sv-bars", role: "img", "aria-label": said }, ...columns);
  return make("figure", {}, make("figcaption", {}, said), plot);
}

export class Selection {
  /** @param {Explorer} view */
  constructor(view) {
    this.view = view;
    /** @type {number[]} */
    this.faces = [];
    /** @type {Uint8Array | null} */
    this.chosen = null;
    /** @type {number[]} */
    this.border = [];
  }

  /** @param {number[]} faces several regions; fewer than two are no selection */
  set(faces) {
    const part = this.view.part,
      had = this.faces.length;
    this.faces = part && faces.length > 1 ? faces.filter((f) => f >= 0 && f < part.faces) : [];
    this.chosen = null;
    this.border = [];
    if (part && this.faces.length) {
      this.chosen = new Uint8Array(part.faces);
      for (const f of this.faces) this.chosen[f] = 1;
      this.border = rimOf(part, this.chosen, this.faces);
    }
    if (had || this.faces.length) this.view.recolour();
    this.write();
  }

  /** What the selection is, in the panel. */
  write() {
    const { faces, view } = this,
      { part, meta, chosenPanel } = view;
    if (!part || !faces.length) return chosenPanel.replaceChildren();
    const areas = faces.map((f) => area(part, f)),
      total = areas.reduce((sum, one) => sum + one, 0);
    const kinds = classCounts(part, faces),
      shown = kinds.slice(0, 6).map(([c, n]) => `${className(meta, c, part.channels)}: ${n.toLocaleString("en")}`);
    if (kinds.length > 6) shown.push(`and ${kinds.length - 6} more`);
    const csv = () => {
      const content = new Blob([tableOf(part, faces, meta)], { type: "text/csv" });
      save(`regions-step-${meta.steps[view.index]}.csv`, content);
    };
    chosenPanel.replaceChildren(
      make("p", {}, `${counted(faces.length, "region")} selected, area ${formatNumber(total)}`),
      make("p", { class: "sv-quiet" }, `classes ${shown.join(", ")}`),
      bars("area", histogram(areas)),
      bars("slope norm", histogram(faces.map((f) => part.slopes[f]))),
      make("button", { type: "button", onclick: csv }, "save as CSV"),
    );
  }
}
