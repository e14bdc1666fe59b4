// address: what is shown as a line of text, and back: after the # of the page's address, and as a command that prints it.

/**
 * @typedef {{step?: number, at?: number[], fill?: string, show?: string[], hidden?: number[], pin?: number[],
 *   unit?: number, only?: number[], versus?: number, way?: string}} State
 */

const NUMBERS = ["at", "hidden", "pin", "only"];

/** Numbers keep all their digits. @param {State} state */
export function toAddress(state) {
  const parts = [];
  for (const [name, value] of Object.entries(state)) {
    if (value === undefined || value === null || (Array.isArray(value) && !value.length && name !== "show")) continue;
    const text = Array.isArray(value) ? value.join(",") : String(value);
    parts.push(`${name}=${encodeURIComponent(text).replaceAll("%2C", ",")}`);
  }
  return parts.join("&");
}

/** What is no number, or unknown, is left out. @param {string} text @returns {State} */
export function fromAddress(text) {
  /** @type {Record<string, any>} */
  const state = {};
  for (const [name, value] of new URLSearchParams(text.replace(/^#/, ""))) {
    if (NUMBERS.includes(name)) {
      const numbers = value.split(",").map(Number);
      if (value && numbers.every(Number.isFinite)) state[name] = numbers;
    } else if (["step", "unit", "versus"].includes(name)) {
      if (/^\d+$/.test(value)) state[name] = Number(value);
    } else if (name === "show") state.show = value ? value.split(",") : [];
    else if (["fill", "way"].includes(name)) state[name] = value;
  }
  if (state.at && !(state.at.length === 3 && state.at[2] > 0)) delete state.at;
  if (state.pin && state.pin.length !== 2) delete state.pin;
  return state;
}

const SHOWN_BY_NAME = /** @type {const} */ (["knots", "boundary", "anchors", "density", "coloured"]);

/** @param {import("./explorer.js").Explorer} view @returns {State} */
export function stateOf(view) {
  const { meta, look, comparing } = view;
  return {
    step: meta.steps[view.index],
    at: view.view(),
    fill: view.fill,
    show: SHOWN_BY_NAME.filter((name) => look[name]),
    hidden: look.layers.flatMap((on, l) => (on ? [] : [l])),
    pin: view.pin ?? undefined,
    unit: view.unit >= 0 ? view.unit : undefined,
    only: [...view.only],
    versus: comparing.index >= 0 ? meta.steps[comparing.index] : undefined,
    way: comparing.index >= 0 ? comparing.way : undefined,
  };
}

/** Shows what an address says. @param {import("./explorer.js").Explorer} view @param {State} state */
export async function restoreState(view, state) {
  const { meta, look } = view,
    index = state.step === undefined ? -1 : meta.steps.indexOf(state.step);
  for (const name of SHOWN_BY_NAME) if (state.show) look[name] = state.show.includes(name);
  if (state.show) look.layers.forEach((_, l) => (look.layers[l] = !state.hidden?.includes(l)));
  view.only = new Set(state.only ?? []);
  view.showLook();
  if (state.fill) view.setFill(state.fill, false);
  if (state.pin) view.pin = [state.pin[0], state.pin[1]];
  if (state.unit !== undefined && state.unit < (view.part?.layers.at(-1) ?? Infinity)) view.unit = state.unit;
  await view.show(index < 0 ? view.wanted : index, false);
  if (state.at) view.look_at(state.at);
  const versus = state.versus === undefined ? -1 : meta.steps.indexOf(state.versus);
  if (versus >= 0) await view.comparing.with(versus, state.way);
  view.following.start();
  view.showCompare();
}

/**
 * The square that shows all of the window that is in view; null where that is the whole window.
 * @param {number[]} at the view's middle and half side @param {{middle: number[], half: number}} window
 */
function squareInView([u, v, r], { middle, half }) {
  if (r >= half) return null;
  const held = (/** @type {number} */ c, /** @type {number} */ m) =>
    Math.min(m + (half - r), Math.max(m - (half - r), c));
  return [held(u, middle[0]), held(v, middle[1]), r];
}

/**
 * A command that draws the view for print.
 * @param {State} state
 * @param {string} base the command, the run, its plane and window
 * @param {{middle: number[], half: number}} window of the step
 * @param {{limits: Record<string, Limits>, layer_names: string[]}} meta
 */
export function figureCommand(state, base, window, { limits, layer_names: layers }) {
  const { step, at, fill = "slope", show = [], hidden = [], versus } = state,
    steps = versus === undefined ? [step] : [versus, step],
    shown = layers.map((_, l) => l).filter((l) => !hidden.includes(l)),
    knots = show.includes("knots") && shown.length > 0,
    scale = limits[fill];
  const words = [base, "--steps", ...steps, "--fill", fill];
  if (scale && scale[0] < scale[1]) words.push("--limits", ...scale);
  if (!knots) words.push("--no-knots");
  else {
    if (show.includes("coloured")) words.push("--color-knots");
    if (shown.length < layers.length) words.push("--knots-of", ...shown);
  }
  for (const name of /** @type {const} */ (["boundary", "anchors"])) if (!show.includes(name)) words.push(`--no-${name}`);
  const square = at && squareInView(at, window);
  if (square) words.push("--zoom", ...square);
  words.push("--out", "figure.pdf");
  return words.join(" ");
}
