// hands: mouse, pen and fingers on the picture. One pointer pans, boxes, lassos or drags a star; two pinch and pan.
import { paneAt } from "./comparing.js";
import { toPixels } from "./camera.js";
import { placeIn } from "./dom.js";

/** @typedef {import("./explorer.js").Explorer} Explorer */
/** @typedef {{from: number[], last: number[], tool: string, star: number, far: boolean}} Grip */

const GRIP = 14;

/** Index of the star under a place of the stage, -1 for none. @param {Explorer} view @param {number[]} at */
function starAt(view, [px, py]) {
  const pane = paneAt(view, px),
    { middle, half } = pane.part;
  if (!view.meta.live || !view.look.anchors) return -1;
  return view.meta.anchors.findIndex(([u, v]) => {
    const [x, y] = toPixels(pane, (u - middle[0]) / half, (v - middle[1]) / half);
    return Math.hypot(px - x, py - y) <= GRIP;
  });
}

class Hands {
  /** @param {Explorer} view */
  constructor(view) {
    this.view = view;
    /** @type {Map<number, number[]>} where each pointer is */
    this.down = new Map();
    /** @type {Grip | null} */
    this.grip = null;
  }

  /** @param {PointerEvent | WheelEvent | MouseEvent} event @returns {[number, number]} */
  place(event) {
    const { stage } = this.view;
    const [x, y] = placeIn(stage, event);
    return [x - stage.clientLeft, y - stage.clientTop];
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode ? 16 : 1,
      steps = Math.sign(event.deltaY) * Math.min(0.5, Math.abs(event.deltaY) * lines * 0.0016);
    if (this.view.part) this.view.zoom(Math.exp(steps), ...this.place(event));
  }

  /** @param {PointerEvent} event */
  press(event) {
    const { view } = this,
      { stage } = view;
    if (!view.part) return;
    if (event.button === 2) return view.offerCopy();
    if (event.button !== 0) return;
    if (!view.cutting) view.say(""); // what was said has been read, and must not lie over the picture for ever
    stage.focus({ preventScroll: true, focusVisible: false });
    try {
      stage.setPointerCapture(event.pointerId);
    } catch {
      // the pointer has gone already, or was made by a script
    }
    const from = this.place(event);
    this.down.set(event.pointerId, from);
    if (this.down.size === 2) {
      this.grip = null;
      view.line = null;
      return;
    }
    if (this.down.size > 2) return;
    const star = starAt(view, from),
      tool = star >= 0 ? "star" : event.shiftKey ? "box" : event.altKey ? "lasso" : view.tool;
    this.grip = { from, last: from, tool, star, far: false };
  }

  /** @param {PointerEvent} event */
  move(event) {
    const { view } = this;
    if (!view.part) return;
    const here = this.place(event);
    if (this.down.size > 1) return this.pinch(event.pointerId, here);
    if (!this.grip) {
      view.stage.classList.toggle("sv-grab", starAt(view, here) >= 0);
      view.ask(...view.toPlane(...here));
      return;
    }
    this.down.set(event.pointerId, here);
    const { from } = this.grip;
    this.grip.far ||= Math.hypot(here[0] - from[0], here[1] - from[1]) > 4;
    if (this.grip.far) this.drag(this.grip, here);
    this.grip.last = here;
  }

  /** Two fingers: their middle pans, their distance zooms. @param {number} id @param {[number, number]} here */
  pinch(id, here) {
    const was = this.down.get(id);
    if (!was || this.down.size !== 2) return;
    const other = [...this.down].find(([key]) => key !== id)?.[1] ?? here;
    const middle = (/** @type {number[]} */ a) => [(a[0] + other[0]) / 2, (a[1] + other[1]) / 2],
      wide = (/** @type {number[]} */ a) => Math.max(8, Math.hypot(a[0] - other[0], a[1] - other[1]));
    const [x0, y0] = middle(was),
      [x1, y1] = middle(here);
    this.down.set(id, here);
    this.view.slide(x1 - x0, y1 - y0);
    this.view.zoom(wide(was) / wide(here), x1, y1);
  }

  /** @param {Grip} grip @param {[number, number]} here */
  drag(grip, here) {
    const { view } = this;
    if (grip.tool === "box") {
      const [a, b] = grip.from,
        [c, d] = here;
      view.line = [a, b, c, b, c, d, a, d];
    } else if (grip.tool === "lasso") {
      view.line ||= [...grip.from];
      view.line.push(...here);
    } else if (grip.tool === "star") {
      const part = /** @type {Part} */ (view.part),
        [x, y] = view.toPlane(...here);
      view.meta.anchors[grip.star] = [part.middle[0] + part.half * x, part.middle[1] + part.half * y];
      view.slicing.moveAnchors(view.meta.anchors, false);
      view.refreshMarks();
    } else return view.slide(here[0] - grip.last[0], here[1] - grip.last[1]);
    view.refreshOverlay();
  }

  /** @param {PointerEvent} event */
  lift(event) {
    const { view, grip } = this;
    const two = this.down.size > 1;
    this.down.delete(event.pointerId);
    if (two) this.down.clear(); // the finger that is left must not drag or click
    this.grip = null;
    if (!grip || !view.part || two) return;
    if (grip.tool === "star") {
      if (grip.far) view.slicing.moveAnchors(view.meta.anchors, true);
    } else if (view.line) {
      const line = view.line;
      view.line = null;
      view.choosePolygon(line);
    } else if (!grip.far) view.pinAt(...view.toPlane(...this.place(event)));
  }

  cancel() {
    this.down.clear();
    this.grip = null;
    this.view.line = null;
    this.view.refreshOverlay();
  }

  leave() {
    const { view } = this;
    if (!view.part || this.grip || view.scene.copying) return;
    view.hover = -1;
    view.describePinned();
    view.refreshOverlay();
  }
}

/** @param {Explorer} view */
export function listen(view) {
  const { stage } = view,
    hands = new Hands(view);
  const on = (/** @type {string} */ name, /** @type {(event: any) => void} */ act, options = {}) =>
    stage.addEventListener(name, act, options);
  on("wheel", (event) => hands.wheel(event), { passive: false });
  on("pointerdown", (event) => hands.press(event));
  on("pointermove", (event) => hands.move(event));
  on("pointerup", (event) => hands.lift(event));
  on("pointercancel", () => hands.cancel());
  on("pointerleave", () => hands.leave());
  on("dblclick", (event) => view.zoom(0.4, ...hands.place(event)));
}
