// comparing: two steps with one camera, side by side, one through the other (onion skin), or by what became of the regions.
import { colourChanges } from "./colours.js";
import { shade } from "./paint.js";
import { counted } from "./words.js";

/** @typedef {import("./explorer.js").Explorer} Explorer */

export const WAYS = ["side by side", "onion skin", "difference"];

/**
 * What parts of the stage show which step; in CSS pixels times `scale`.
 * @param {Explorer} view
 * @param {number} scale
 * @returns {Pane[]}
 */
export function panesOf(view, scale) {
  const { stage, camera, comparing } = view,
    part = /** @type {Part} */ (view.part),
    width = Math.max(1, Math.round(stage.clientWidth * scale)),
    height = Math.max(1, Math.round(stage.clientHeight * scale));
  const pane = (/** @type {Part} */ of, /** @type {number} */ index, /** @type {number} */ left, wide = width) => {
    // The same place of the plane, whichever window the step has.
    const same = of === part,
      ratio = part.half / of.half;
    const moved = same
      ? camera
      : {
          x: (part.middle[0] + part.half * camera.x - of.middle[0]) / of.half,
          y: (part.middle[1] + part.half * camera.y - of.middle[1]) / of.half,
          r: camera.r * ratio,
        };
    return { part: of, index, left, width: wide, height, camera: moved };
  };
  const then = comparing.part;
  if (!then) return [pane(part, view.index, 0)];
  if (comparing.way === "onion skin") return [pane(then, comparing.index, 0), pane(part, view.index, 0)];
  const half = Math.floor(width / 2);
  return [pane(then, comparing.index, 0, half), pane(part, view.index, half, width - half)];
}

/** The pane under a pixel of the stage. @param {Explorer} view @param {number} px */
export function paneAt(view, px) {
  const panes = panesOf(view, 1);
  return panes.findLast((pane) => px >= pane.left) ?? panes[0];
}

export class Comparing {
  /** @param {Explorer} view */
  constructor(view) {
    this.view = view;
    this.index = -1;
    this.way = WAYS[0];
    /** @type {Part | null} */
    this.part = null;
    this.said = "";
    /** How opaque the present step is in the onion skin. */
    this.mix = 0.5;
  }

  /** Compare with a step (-1: with none) in one of WAYS. @param {number} index @param {string} [way] */
  async with(index, way = this.way) {
    const { view } = this;
    this.way = WAYS.includes(way) ? way : WAYS[0];
    this.index = index >= 0 && index < view.meta.steps.length ? index : -1;
    if (this.index < 0) this.part = null;
    else {
      const part = await view.steps.ask("versus", this.index).catch((/** @type {Error} */ error) => {
        view.say(`step ${view.meta.steps[index]}: ${error.message}`);
      });
      if (this.index !== index || view.closed) return; // another has been asked for since
      this.part = part ?? null;
    }
    view.recolour();
    view.refresh();
    view.wrote();
  }

  /** Another slice: the other step is of the slice before. */
  forget() {
    this.index = -1;
    this.part = null;
    this.said = "";
  }

  /** The boundary of the other step, shown in the difference. @param {Pane} pane @returns {Part[]} */
  pastBoundaries(pane) {
    return this.part && this.way === "difference" && pane.part !== this.part ? [this.part] : [];
  }

  get changes() {
    return this.part !== null && this.way === "difference";
  }

  /** Colours both steps by what became of their regions, told apart by their activation patterns. */
  colour() {
    const now = /** @type {Part} */ (this.view.part),
      then = /** @type {Part} */ (this.part),
      died = colourChanges(then, new Set(now.patterns), "then"),
      born = colourChanges(now, new Set(then.patterns), "now");
    shade(then, died.into);
    const [born_, died_] = [born.changed, died.changed].map((count) => count.toLocaleString("en"));
    this.said = `${counted(now.faces - born.changed, "region")} stayed, ${born_} born, ${died_} died`;
    return born.into;
  }
}
