// explorer: the page itself. `mount` builds it in an element and returns what Python and tests talk to.
import { around, locate } from "./complex.js";
import { touched } from "./choose.js";
import { pictureAt } from "./overlay.js";
import { Comparing } from "./comparing.js";
import { Following } from "./following.js";
import { Scene, watch } from "./scene.js";
import { Selection } from "./selection.js";
import { Slicing } from "./slicing.js";
import { Steps } from "./steps.js";
import { build } from "./build.js";
import { Sight } from "./sight.js";
import { describeRegion, factsOf } from "./asking.js";
import { copyText, make, rewrite } from "./dom.js";
import { figureCommand, stateOf, toAddress } from "./address.js";
import { savePNG, saveSVG } from "./saving.js";
import { knotOf } from "./follow.js";
import { regionNear } from "./raster.js";
import { listen } from "./hands.js";
import { pressed, understood } from "./keys.js";
import { play, showStep, sliderText } from "./time.js";
import { studio } from "./studio.js";
import { counted } from "./words.js";

/**
 * @param {HTMLElement} root @param {Meta} meta
 * @param {(index: number, slice: number) => Promise<Uint8Array<ArrayBuffer>>} load
 * @param {{told?: (name: string, value: any) => void, ask?: (message: any) => void, addressed?: boolean}} [talk]
 *   told: a trait that the view changed; ask: what only Python can do; addressed: the page's address may hold the view
 */
export function mount(root, meta, load, talk = {}) {
  return new Explorer(root, meta, load, talk);
}

export class Explorer extends Sight {
  /** @param {HTMLElement} root @param {Meta} meta @param {any} load @param {any} talk */
  constructor(root, meta, load, { told = () => {}, ask = () => {}, addressed = false }) {
    super(root, meta);
    this.hover = -1;
    this.told = told;
    this.addressed = addressed;
    /** @type {[number, number] | null} the pinned input, in plane coordinates */
    this.pin = null;
    /** @type {number[]} */
    this.neighbours = [];
    /** @type {number[] | null} what a box or lasso draws, in pixels of the stage */
    this.line = null;
    this.elsewhere = this.playing = false;
    this.round = 0;
    this.steps = new Steps(meta, load);
    this.selection = new Selection(this);
    this.comparing = new Comparing(this);
    this.following = new Following(this);
    this.slicing = new Slicing(this, ask);
    this.scene = new Scene(this);
    this.prepare();
    this.ready = this.show(meta.start);
  }

  prepare() {
    build(this);
    this.showLook();
    this.thumbnails = this.meta.anchors.map(([u, v]) => pictureAt(this.meta, u, v));
    listen(this);
    this.onkey = (/** @type {KeyboardEvent} */ event) => pressed(this, event);
    this.root.addEventListener("keydown", this.onkey);
    this.unwatch = watch(this.stage, () => {
      this.refresh();
      this.drawCharts();
    });
    studio.enter(this);
    Object.assign(this.root, { explorer: this });
  }

  /** Frees the worker, the context and all listeners outside the root. */
  close() {
    this.closed = true;
    this.playing = false;
    this.following.stop();
    this.scene.stop();
    this.unwatch?.();
    studio.leave(this);
    this.steps.stop();
    if (this.onkey) this.root.removeEventListener("keydown", this.onkey);
    this.root.replaceChildren();
  }

  get painter() {
    return studio.painter;
  }
  get frame() {
    return this.scene.frame;
  }
  get cutting() {
    return this.slicing.cutting;
  }
  get selected() {
    return this.selection.faces;
  }
  get onlyClass() {
    return this.only.size === 1 ? [...this.only][0] : -1;
  }

  // ---- time ----

  /** @param {number} index @param {boolean} [tell] */
  show(index, tell = true) {
    return showStep(this, index, tell);
  }

  /** @param {Part} part @param {number} index */
  enter(part, index) {
    const before = this.part;
    const seen = before && !this.elsewhere ? this.view() : null;
    Object.assign(this, { part, index, hover: -1, elsewhere: false });
    if (part !== before) {
      this.neighbours = [];
      this.line = null;
      this.selection.set([]);
    }
    const other = before && (part.half !== before.half || part.middle.some((value, i) => value !== before.middle[i]));
    if (seen && other) this.look_at(seen);
    this.camera.face = 0;
    this.findPinned(part !== before);
    this.recolour();
    const words = [
      `step ${this.meta.steps[index].toLocaleString("en")}`,
      counted(part.faces, "region"),
      this.meta.note,
    ];
    if (this.slicing.partial) words.push("the middle of the window, while you drag");
    this.title.textContent = words.filter(Boolean).join(" · ");
    this.slider.setAttribute("aria-valuetext", sliderText(this));
    this.say("");
    this.refresh();
    this.describePinned();
    this.drawCharts();
    this.wrote();
  }

  play() {
    play(this);
  }

  // ---- asking ----

  /**
   * Shows a class (or layer of birth) alone, beside those that are, or no longer.
   * @param {number} kind
   * @param {string} [what]
   */
  filter(kind, what = "class") {
    const set = what === "layer" ? this.onlyLayers : this.only;
    if (!set.delete(kind)) set.add(kind);
    this.recolour();
    this.changed();
    this.describePinned();
  }

  filterPinned() {
    const [x, y] = this.pinPlace();
    this.filter(this.facts(this.pinned, x, y).class);
  }

  drawCharts() {
    if (!this.part) return;
    this.charts.forEach((chart) => chart.draw(this.index));
    this.following.draw();
  }

  /** @param {number} x @param {number} y */
  ask(x, y) {
    const part = /** @type {Part} */ (this.part);
    this.hover = locate(part, x, y, regionNear(part, x, y));
    this.describe(this.hover, x, y);
    this.refreshOverlay();
    return this.hover;
  }

  /** @param {number} f @param {number} x @param {number} y */
  facts(f, x, y) {
    return factsOf(this, f, x, y);
  }

  /** @param {number} f @param {number} [x] @param {number} [y] */
  describe(f, x = 0, y = 0) {
    const said = f < 0 ? [make("p", {}, "Point at a region.")] : describeRegion(this, f, x, y);
    rewrite(this.info, said);
  }

  /** The pinned input in the window's units. @returns {[number, number]} */
  pinPlace() {
    const { middle, half } = /** @type {Part} */ (this.part);
    return this.pin ? [(this.pin[0] - middle[0]) / half, (this.pin[1] - middle[1]) / half] : [2, 2];
  }

  describePinned() {
    if (this.part) this.describe(this.pinned, ...this.pinPlace());
  }

  /** The pinned input's region at the present step. @param {boolean} tell */
  findPinned(tell) {
    this.pinned = this.pin && this.part ? locate(this.part, ...this.pinPlace()) : -1;
    if (tell && this.pinned >= 0) this.told("selected_ids", [this.pinned]);
  }

  /**
   * Pins the input at a place, or lets it go where its region is pinned already.
   * @param {number} x
   * @param {number} y
   */
  pinAt(x, y) {
    const part = /** @type {Part} */ (this.part),
      f = locate(part, x, y, this.hover),
      again = f < 0 || f === this.pinned;
    this.pin = again ? null : [part.middle[0] + part.half * x, part.middle[1] + part.half * y];
    this.pinned = again ? -1 : f;
    this.neighbours = [];
    this.choose(again ? [] : [f]);
    this.describe(f, x, y);
    this.refresh();
    this.following.start();
    this.wrote();
  }

  /** @param {number} unit -1: none */
  pinUnit(unit) {
    this.unit = unit;
    this.describePinned();
    this.refreshMarks();
    this.following.start();
    this.wrote();
  }

  knotNow() {
    return this.part ? knotOf(this.part, this.unit) : new Float64Array(0);
  }

  toggleNeighbours() {
    if (!this.part || this.pinned < 0) return;
    this.neighbours = this.neighbours.length ? [] : around(this.part, this.pinned);
    this.describePinned();
    this.refreshMarks();
  }

  /** @param {number[]} faces @param {boolean} [tell] */
  choose(faces, tell = true) {
    this.selection.set(faces);
    this.refresh();
    if (tell) this.told("selected_ids", faces);
  }

  /** Python chose: one region is pinned, several are selected. @param {number[]} faces */
  chosenByPython(faces) {
    if (!this.part) return;
    this.selection.set(faces);
    this.pin = null;
    this.pinned = faces.length === 1 && faces[0] < this.part.faces ? faces[0] : -1;
    this.describe(-1);
    this.refresh();
  }

  /** The regions that a polygon on the stage touches: flat x, y in pixels. @param {number[]} line */
  choosePolygon(line) {
    const polygon = [];
    for (let i = 0; i < line.length; i += 2) polygon.push(...this.toPlane(line[i], line[i + 1]));
    this.pin = null;
    this.pinned = -1;
    this.neighbours = [];
    this.choose(touched(/** @type {Part} */ (this.part), polygon, this.hover));
    this.describe(-1);
    this.following.start();
  }

  forget() {
    this.pin = null;
    this.pinned = this.unit = -1;
    this.neighbours = [];
    this.line = null;
    this.only.clear();
    this.onlyLayers.clear();
    this.choose([]);
    this.recolour();
    this.describe(-1);
    this.following.start();
    this.wrote();
  }

  // ---- the rest of the page ----

  /** @param {string} text */
  search(text) {
    if (!text.trim() || !this.part) return;
    const found = understood(text, this.meta, this.part);
    if ("error" in found) return this.say(found.error);
    this.say("");
    if ("unit" in found) return this.pinUnit(found.unit);
    if (!/class|margin/.test(this.fill)) this.setFill("class");
    this.only = new Set([found.class]);
    this.recolour();
    this.changed();
  }

  toggleHelp() {
    this.help.open = !this.help.open;
    if (this.help.open) this.help.scrollIntoView({ block: "nearest" });
  }

  compare() {
    this.comparing.with(+this.versus.value, this.ways.value);
  }

  /** Writes what is compared into its boxes. */
  showCompare() {
    this.versus.value = String(this.comparing.index);
    this.ways.value = this.comparing.way;
  }

  /** The browser's own menu copies the topmost canvas: it holds the whole picture while the menu is open. */
  offerCopy() {
    this.scene.copying = true;
    this.scene.paintOver();
    const end = () => {
      this.scene.copying = false;
      this.refreshOverlay();
    };
    setTimeout(() => window.addEventListener("pointermove", end, { once: true }), 400);
  }

  async copyLink() {
    this.wrote();
    const done = await copyText(location.href.split("#")[0] + "#" + toAddress(stateOf(this)));
    this.say(done ? "link copied" : "expected leave to write to the clipboard, got none; copy the page's address");
  }

  async copyCommand() {
    if (!this.part) return;
    const command = figureCommand(stateOf(this), this.meta.figure, this.part, this.meta),
      left = [...(this.look.density ? ["density"] : []),
        ...(this.only.size + this.onlyLayers.size ? ["filter"] : [])],
      without = left.length ? ` (for print without ${left.join(" and ")})` : "";
    this.say(((await copyText(command)) ? `copied: ${command}` : command) + without);
  }

  savePNG() {
    savePNG(this);
  }

  saveSVG() {
    saveSVG(this);
  }
}
