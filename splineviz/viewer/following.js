// following: a pinned input and a pinned unit through all steps: its numbers as curves, its knot as a trail.
import { Curves } from "./curves.js";
import { make } from "./dom.js";
import { MEANINGS, className } from "./words.js";

/** @typedef {import("./explorer.js").Explorer} Explorer */

/** Knots of this many other steps at most are drawn behind the present one's. */
const TRAIL = 24;
const LINES = [
  "#0050c8",
  "#b03a00",
  "#00695c",
  "#8e24aa",
  "#5d4037",
  "#33691e",
  "#880e4f",
  "#00579b",
  "#616161",
  "#827717",
];

/**
 * Curves of what was found of the pinned input so far.
 * @param {(Followed | null)[]} found of each step @param {Meta} meta @returns {Panel[]}
 */
export function panelsOf(found, meta) {
  const column = (/** @type {(one: Followed) => number | null} */ pick) =>
    found.map((one) => {
      const value = one && one.region >= 0 ? pick(one) : null;
      return value !== null && Number.isFinite(value) ? value : null;
    });
  const one = (
    /** @type {string} */ title,
    /** @type {string} */ note,
    /** @type {any} */ pick,
    logarithmic = false,
  ) => ({
    title,
    note,
    logarithmic,
    curves: [{ label: title, color: LINES[0], values: column(pick) }],
  });
  const channels = Math.max(0, ...found.map((each) => each?.outputs.length ?? 0));
  const outputs = Array.from({ length: Math.min(channels, LINES.length) }, (_, c) => ({
    label: className(meta, c, channels),
    color: LINES[c],
    values: column((each) => each.outputs[c] ?? null),
  }));
  const panels = [
    { ...one("class at the pin", MEANINGS.class, (/** @type {Followed} */ each) => each.class), stepped: true },
    one("margin at the pin", MEANINGS.margin, (/** @type {Followed} */ each) => each.margin),
    { title: "outputs at the pin", note: "the network's outputs at the pinned input", curves: outputs },
    one("area of its region", MEANINGS.area, (/** @type {Followed} */ each) => each.area, true),
    one("slope norm there", MEANINGS["slope norm"], (/** @type {Followed} */ each) => each.slope, true),
    one("knots per area", MEANINGS["knots per area"], (/** @type {Followed} */ each) => each.density),
  ];
  return panels.filter(({ curves }) => curves.some(({ values }) => values.some((value) => value !== null)));
}

export class Following {
  /** @param {Explorer} view */
  constructor(view) {
    this.view = view;
    /** @type {(Followed | null)[]} */
    this.found = [];
    /** @type {Curves[]} */
    this.charts = [];
    this.round = 0;
    this.done = true;
    this.timer = 0;
  }

  /** Follows what is pinned now, from the present step outwards. */
  async start() {
    const { view } = this,
      { steps, meta } = view,
      round = ++this.round;
    steps.drop(({ kind }) => kind === "follow");
    this.found = meta.steps.map(() => null);
    steps.pins = view.pin || view.unit >= 0 ? { place: view.pin, unit: view.unit } : null;
    this.done = !steps.pins || meta.steps.length < 2;
    this.write();
    if (this.done) return;
    const near = meta.steps.map((_, i) => i).sort((a, b) => Math.abs(a - view.index) - Math.abs(b - view.index));
    await Promise.all(
      near.map(async (index) => {
        const found = await steps.followed(index).catch(() => null);
        if (round !== this.round) return;
        this.found[index] = found;
        this.later();
      }),
    );
    if (round !== this.round) return;
    this.done = true;
    this.later();
  }

  /** Many answers are written at once. */
  later() {
    if (this.timer) return;
    this.timer = window.setTimeout(() => {
      this.timer = 0;
      this.write();
      this.view.refreshMarks();
    }, 120);
  }

  /** Knots of the pinned unit at other steps, with their age in [0, 1], the present one last. @param {number} index
   * @returns {[Float64Array, number][]} */
  trail(index) {
    if (this.view.unit < 0) return [];
    const count = this.found.length,
      stride = Math.max(1, Math.ceil(count / TRAIL));
    /** @type {[Float64Array, number][]} */
    const trail = [];
    for (let i = 0; i < count; i++) {
      const knot = this.found[i]?.knot;
      if (knot && i !== index && i % stride === 0) trail.push([knot, Math.min(1, Math.abs(i - index) / count + 0.1)]);
    }
    trail.sort((a, b) => b[1] - a[1]);
    const own = this.found[index]?.knot ?? this.view.knotNow();
    return [...trail, [own, 0]];
  }

  write() {
    const { view } = this,
      panels = view.pin ? panelsOf(this.found, view.meta) : [];
    view.pinPanel.hidden = !panels.length;
    if (this.charts.length !== panels.length) {
      const canvases = panels.map(({ note }) =>
        make("canvas", { class: "sv-curves", role: "img", title: note, "aria-label": note }),
      );
      this.charts = panels.map((panel, i) => new Curves(canvases[i], panel, view.meta.steps, (at) => view.show(at)));
      view.pinPanel.lastElementChild?.replaceChildren(...canvases);
    } else this.charts.forEach((chart, i) => (chart.panel = panels[i]));
    const known = this.found.filter(Boolean).length;
    view.pinPanel.firstElementChild?.replaceChildren(
      "pinned input through training" + (this.done ? "" : ` (${known} of ${this.found.length} steps)`),
    );
    this.draw();
  }

  draw() {
    this.charts.forEach((chart) => chart.draw(this.view.index));
  }

  stop() {
    this.round++;
    clearTimeout(this.timer);
  }
}
