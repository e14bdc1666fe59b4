// camera: where the view is. {x, y} is its middle and r half its shorter side, in half sides of the window; bounded so
// that the window never leaves the view.

/** @type {Camera} */
export const HOME = { x: 0, y: 0, r: 1.04 };
export const DEEPEST = 1e-12;
export const WIDEST = 4;
/** Cameras that undo goes back to. */
const REMEMBERED = 100;

const held = (/** @type {number} */ value, /** @type {number} */ most) => Math.min(most, Math.max(-most, value));

/** @param {Camera} camera @returns {Camera} */
export function bounded(camera) {
  const r = Math.min(WIDEST, Math.max(DEEPEST, camera.r));
  return { ...camera, x: held(camera.x, 1), y: held(camera.y, 1), r };
}

/** Nearer (factor below 1) or further, about a point that stays where it is.
 * @param {Camera} camera @param {number} factor @param {[number, number]} about */
export function zoomed(camera, factor, [x, y]) {
  const r = Math.min(WIDEST, Math.max(DEEPEST, camera.r * factor)),
    share = r / camera.r;
  return bounded({ ...camera, x: x + (camera.x - x) * share, y: y + (camera.y - y) * share, r });
}

/** @param {Camera} camera @param {number} dx in views to the right @param {number} dy in views up */
export function panned(camera, dx, dy) {
  return bounded({ ...camera, x: camera.x + dx * camera.r, y: camera.y + dy * camera.r });
}

/** Pixels a half side of the window. @param {Camera} camera @param {number} width @param {number} height */
export const pixelsOf = (camera, width, height) => Math.min(width, height) / 2 / camera.r;

/** @param {Pane} pane @param {number} px @param {number} py @returns {[number, number]} */
export function toPlane({ camera, left, width, height }, px, py) {
  const unit = pixelsOf(camera, width, height);
  return [camera.x + (px - left - width / 2) / unit, camera.y - (py - height / 2) / unit];
}

/** @param {Pane} pane @param {number} x @param {number} y @returns {[number, number]} */
export function toPixels({ camera, left, width, height }, x, y) {
  const unit = pixelsOf(camera, width, height);
  return [left + width / 2 + (x - camera.x) * unit, height / 2 - (y - camera.y) * unit];
}

/** A round length (1, 2 or 5 times a power of ten) that is at most `most` long. @param {number} most */
export function roundLength(most) {
  const decade = 10 ** Math.floor(Math.log10(most));
  const step = [5, 2, 1].find((one) => one * decade <= most * (1 + 1e-12)) ?? 1;
  return Number((step * decade).toPrecision(3));
}

/** Cameras that were left, to go back to. A run of moves within `pause` milliseconds is one. */
export class History {
  constructor(pause = 500) {
    this.pause = pause;
    this.last = -Infinity;
    /** @type {Camera[]} */
    this.left = [];
  }

  /** @param {Camera} camera before a move @param {number} now */
  note(camera, now) {
    if (now - this.last > this.pause) this.left = [...this.left, { ...camera }].slice(-REMEMBERED);
    this.last = now;
  }

  back() {
    this.last = -Infinity;
    return this.left.pop() ?? null;
  }
}
