// keys: what the keyboard does while the explorer has the focus; the list that `?` shows is the same table.
import { className } from "./words.js";

/** @typedef {import("./explorer.js").Explorer} Explorer */
/** @typedef {[keys: string[], does: string, act: (view: Explorer) => void]} Key */

/** @param {Explorer} view @param {number} dx @param {number} dy */
function pan(view, dx, dy) {
  view.pan(0.15 * dx, 0.15 * dy);
  if (!view.pin) view.ask(view.camera.x, view.camera.y); // what the cross stands on
}

/** @type {Key[]} */
export const KEYS = [
  [["ArrowLeft"], "pan", (view) => pan(view, -1, 0)],
  [["ArrowRight"], "pan", (view) => pan(view, 1, 0)],
  [["ArrowUp"], "pan", (view) => pan(view, 0, 1)],
  [["ArrowDown"], "pan", (view) => pan(view, 0, -1)],
  [["+", "="], "nearer", (view) => view.zoom(0.7)],
  [["-"], "further", (view) => view.zoom(1 / 0.7)],
  [["0"], "the whole window", (view) => view.home()],
  [["u"], "back to the camera before", (view) => view.undo()],
  [["."], "next step", (view) => void view.show(view.wanted + 1)],
  [[","], "step before", (view) => void view.show(view.wanted - 1)],
  [["Home"], "first step", (view) => void view.show(0)],
  [["End"], "last step", (view) => void view.show(view.meta.steps.length - 1)],
  [[" "], "play, pause", (view) => view.play()],
  [["Enter"], "pin the input at the cross", (view) => view.pinAt(view.camera.x, view.camera.y)],
  [["Escape"], "let go of pin, unit, selection and filter", (view) => view.forget()],
  [["f"], "next fill", (view) => view.nextFill()],
  [["k"], "knots", (view) => view.flip("knots")],
  [["i"], "knots coloured by layer", (view) => view.flip("coloured")],
  [["b"], "decision boundary", (view) => view.flip("boundary")],
  [["a"], "anchors", (view) => view.flip("anchors")],
  [["d"], "density of knots", (view) => view.flip("density")],
  [["n"], "neighbours of the pinned region", (view) => view.toggleNeighbours()],
  [["c"], "the pinned region's class alone", (view) => view.pinned >= 0 && view.filterPinned()],
  [["p"], "mouse: pan", (view) => view.setTool("pan")],
  [["x"], "mouse: box (or shift + drag)", (view) => view.setTool("box")],
  [["l"], "mouse: lasso (or alt + drag)", (view) => view.setTool("lasso")],
  [["/"], "search for a unit or a class", (view) => view.searchBox.focus()],
  [["?"], "these keys", (view) => view.toggleHelp()],
];

const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "space" };

/** Rows of the help: keys and what they do. @returns {[string, string][]} */
export function keyList() {
  const name = (/** @type {string} */ key) => NAMES[/** @type {keyof typeof NAMES} */ (key)] ?? key;
  /** @type {Map<string, string[]>} */
  const rows = new Map();
  for (const [keys, does] of KEYS) rows.set(does, [...(rows.get(does) ?? []), ...keys.map(name)]);
  return [...rows].map(([does, keys]) => [keys.join(" "), does]);
}

/** @param {Explorer} view @param {KeyboardEvent} event */
export function pressed(view, event) {
  const target = /** @type {any} */ (event.target),
    typing = target.tagName === "SELECT" || /^(number|search|text)$/.test(target.type);
  const control = /INPUT|BUTTON|SUMMARY/.test(target.tagName) && /^( |Enter|Arrow.*|Home|End)$/.test(event.key);
  const own = typing ? event.key !== "Escape" : control;
  if (!view.part || event.ctrlKey || event.metaKey || event.altKey || own) return;
  const found = KEYS.find(([keys]) => keys.includes(event.key));
  if (!found) return;
  event.preventDefault();
  event.stopPropagation();
  found[2](view);
}

/**
 * What a search means: `3/187` or `3.187` a unit by layer and number, as Python counts; `class name` or its number a class.
 * @param {string} text @param {Meta} meta @param {Part} part
 * @returns {{unit: number} | {class: number} | {error: string}}
 */
export function understood(text, meta, part) {
  const asked = text.trim(),
    pair = /^(\d+)\s*[/.]\s*(\d+)$/.exec(asked),
    layers = part.layers.length - 1;
  if (pair) {
    const [layer, unit] = [+pair[1], +pair[2]];
    if (layer >= layers) return { error: `expected a layer from 0 to ${layers - 1}, got ${layer}` };
    const units = part.layers[layer + 1] - part.layers[layer];
    if (unit >= units) return { error: `expected a unit from 0 to ${units - 1} of layer ${layer}, got ${unit}` };
    return { unit: part.layers[layer] + unit };
  }
  const wanted = asked.replace(/^class\s+/i, "").toLowerCase(),
    count = Math.max(part.channels, meta.class_names.length, ...new Set(part.classes)) + 1;
  const exact = [],
    begins = [];
  for (let c = 0; c < count; c++) {
    const names = [String(c), className(meta, c, part.channels).toLowerCase()];
    if (names.includes(wanted)) exact.push(c);
    else if (wanted && names[1].startsWith(wanted)) begins.push(c);
  }
  const found = [...exact, ...begins];
  return found.length ? { class: found[0] } : { error: `expected a unit like 3/187 or a class, got "${asked}"` };
}
