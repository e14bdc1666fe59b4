// sight: what is seen and from where: the look, the filters, and the camera by hand. The half of the explorer without data.
import { bornIn, colourFaces, pale } from "./colours.js";
import { HOME, History, bounded, panned, toPlane, zoomed } from "./camera.js";
import { ownerOf, partsInView, visible } from "./complex.js";
import { paneAt } from "./comparing.js";
import { make, rewrite } from "./dom.js";
import { Elements, FILLS, TOOLS } from "./elements.js";
import { legendOf } from "./legend.js";
import { drawMinimap } from "./overlay.js";
import { shade } from "./paint.js";
import { stateOf, toAddress } from "./address.js";
import { studio } from "./studio.js";

/** Regions in view up to which the classes in view are those of the faces that meet it. */
const LOOKED_AT = 60_000;

export class Sight extends Elements {
  /** @param {HTMLElement} root @param {Meta} meta */
  constructor(root, meta) {
    super(root);
    this.meta = meta;
    this.addressed = this.closed = false;
    /** @type {Part | null} */
    this.part = null;
    this.index = this.wanted = this.hover = this.pinned = this.unit = -1;
    this.fill = meta.fill;
    this.tool = "pan";
    /** @type {Set<number>} classes and layers of birth that are shown alone; empty: all */
    this.only = new Set();
    /** @type {Set<number>} */
    this.onlyLayers = new Set();
    /** @type {Camera} */
    this.camera = { ...HOME };
    this.history = new History();
    /** @type {Look} */
    this.look = {
      knots: true,
      boundary: true,
      anchors: true,
      density: false,
      coloured: false,
      layers: meta.layer_names.map(() => true),
    };
    this.timer = 0;
    /** A trait that the view changed, for Python. @type {(name: string, value: any) => void} */
    this.told = () => {};
  }

  /** This half with the other, for modules that need both. */
  get self() {
    return /** @type {import("./explorer.js").Explorer} */ (/** @type {unknown} */ (this));
  }

  // ---- look ----

  recolour() {
    if (!this.part) return;
    const { part, only, onlyLayers, selection } = this,
      changes = this.comparing.changes;
    const paint = (/** @type {Part} */ of) => {
      const colours = colourFaces(of, this.fill, this.meta, only.size > 0);
      if (only.size) pale(colours, (f) => only.has(of.classes[f]));
      if (onlyLayers.size && this.fill === "layer") {
        const born = bornIn(of);
        pale(colours, (p) => onlyLayers.has(born[ownerOf(of, p)]));
      }
      return colours;
    };
    const colours = changes ? this.comparing.colour() : paint(part);
    if (this.comparing.part && !changes) shade(this.comparing.part, paint(this.comparing.part));
    const chosen = selection.chosen;
    if (chosen) pale(colours, (p) => chosen[ownerOf(part, p)] === 1);
    shade(part, colours);
    this.explain();
  }

  explain() {
    if (this.part) rewrite(this.legend, legendOf(make, this.self));
  }

  changed() {
    this.explain();
    this.refresh();
    this.wrote();
  }

  /** @param {string} name @param {boolean} [on] */
  flip(name, on = !(/** @type {any} */ (this.look)[name])) {
    /** @type {any} */ (this.look)[name] = on;
    if (name === "density" && on && !studio.painter && !studio.context?.gl)
      this.say("the density of knots needs WebGL2");
    this.showLook();
    this.changed();
  }

  /** Writes the look into its boxes. */
  showLook() {
    for (const [name, box] of Object.entries(this.boxes)) box.checked = /** @type {any} */ (this.look)[name];
    this.layerBoxes.forEach((box, l) => (box.checked = this.look.layers[l]));
  }

  /** @param {string} name */
  setTool(name) {
    this.tool = name;
    this.tools.forEach((button, i) => button.setAttribute("aria-pressed", String(TOOLS[i][0] === name)));
  }

  /** @param {string} name @param {boolean} [tell] */
  setFill(name, tell = true) {
    if (!FILLS.includes(name)) return;
    this.fill = name;
    this.fills.value = name;
    this.recolour();
    this.changed();
    if (tell) this.told("fill", name);
  }

  nextFill() {
    this.setFill(FILLS[(FILLS.indexOf(this.fill) + 1) % FILLS.length]);
  }

  /** All classes where they are few, else those of the regions in view, of the most regions. @param {number} most */
  classesInView(most) {
    const { part, stage, camera } = this;
    if (!part) return { classes: [], more: 0 };
    const short = Math.min(stage.clientWidth, stage.clientHeight) || 1,
      [rx, ry] = [(camera.r * stage.clientWidth) / short, (camera.r * stage.clientHeight) / short];
    const whole = rx >= 1 && ry >= 1,
      faces = whole ? null : visible(part, camera.x, camera.y, rx, ry, camera.face || 0, LOOKED_AT);
    /** @type {Map<number, number>} */
    const counts = new Map(),
      count = (/** @type {number} */ c) => counts.set(c, (counts.get(c) ?? 0) + 1);
    if (!faces) part.classes.forEach(count);
    for (const f of faces ?? []) partsInView(part, f, camera, rx, ry).forEach((p) => count(part.classes[p]));
    const all = part.channels || this.meta.class_names.length;
    if (all > 1 && all <= most) return { classes: Array.from({ length: all }, (_, c) => c), more: 0 };
    const sorted = [...counts].sort((a, b) => b[1] - a[1]).map(([c]) => c);
    return { classes: sorted.slice(0, most).sort((a, b) => a - b), more: Math.max(0, sorted.length - most) };
  }

  // ---- the picture ----

  refresh() {
    this.scene.refresh();
  }

  refreshMarks() {
    this.scene.refreshMarks();
  }

  refreshOverlay() {
    if (!this.scene.frame) this.scene.paintOver();
  }

  /** The camera moved by hand. @param {Camera} camera */
  moveTo(camera) {
    this.history.note(this.camera, performance.now());
    this.camera = camera;
    this.scene.touched();
    drawMinimap(this.minimap, camera);
    this.told("camera", this.view());
    this.later();
  }

  /** What follows the camera once it rests: the legend's classes in view, and the address. */
  later() {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => {
      if (this.closed) return;
      if (/class|margin/.test(this.fill)) this.explain();
      this.wrote();
    }, 200);
  }

  wrote() {
    if (this.addressed && this.part) this.told("address", toAddress(stateOf(this.self)));
  }

  home() {
    this.moveTo({ ...HOME });
  }

  undo() {
    const camera = this.history.back();
    if (!camera) return;
    this.camera = bounded(camera);
    this.scene.touched();
    drawMinimap(this.minimap, camera);
    this.told("camera", this.view());
    this.later();
  }

  /** @param {number} dx @param {number} dy in views */
  pan(dx, dy) {
    this.moveTo(panned(this.camera, dx, dy));
  }

  /** By pixels. @param {number} dx @param {number} dy */
  slide(dx, dy) {
    const pane = paneAt(this.self, 0),
      short = Math.min(pane.width, pane.height) / 2;
    this.pan(-dx / short, dy / short);
  }

  /** @param {number} factor @param {number} [px] @param {number} [py] */
  zoom(factor, px, py) {
    const pane = paneAt(this.self, px ?? Infinity),
      about = this.toPlane(px ?? pane.left + pane.width / 2, py ?? pane.height / 2);
    this.moveTo(zoomed(this.camera, factor, about));
  }

  /** The camera in plane coordinates: middle, and half the view's shorter side. */
  view() {
    const { middle, half } = /** @type {Part} */ (this.part);
    return [middle[0] + half * this.camera.x, middle[1] + half * this.camera.y, half * this.camera.r];
  }

  /** @param {number[]} view */
  look_at([u, v, r]) {
    const { middle, half } = /** @type {Part} */ (this.part);
    this.camera = bounded({ ...this.camera, x: (u - middle[0]) / half, y: (v - middle[1]) / half, r: r / half });
    drawMinimap(this.minimap, this.camera);
    this.refresh();
    this.later();
  }

  /** @param {number} px @param {number} py in pixels of the stage */
  toPlane(px, py) {
    return toPlane({ ...paneAt(this.self, px), camera: this.camera }, px, py);
  }

  /** @param {string} text */
  say(text) {
    this.status.textContent = text;
  }
}
