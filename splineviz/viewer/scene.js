// scene: when and where the picture is painted. Three canvases lie over one another:
//   canvas   regions and knots, painted by the studio and copied here, so that it outlives a lost context
//   under    boundary, selection, anchors: drawn when the camera or they change
//   over     what follows the hand: drawn at every move
import { paintPlainly, paintRows, regionsInView } from "./plain.js";
import { drawOver, drawUnder } from "./overlay.js";
import { studio } from "./studio.js";
import { panesOf } from "./comparing.js";
import { hexBytes } from "./colours.js";

/** @typedef {import("./explorer.js").Explorer} Explorer */

/** A picture that takes longer (milliseconds) is moved while the hand moves, and painted when it rests this long. */
const SLOW = 45,
  REST = 130;
/** Without graphics hardware more regions than these are painted row by row. */
const CROWD = 8000;
/** While a star is dragged every slice is another picture, which graphics without hardware would first have to take in. */
const BRIEF = 1000;

/** Without graphics hardware a canvas is best kept where the processor paints: else each picture is sent through a program
 * that stands for the hardware, which takes longer than painting it. */
const kept = () => ({ willReadFrequently: !studio.context?.gl || studio.context.software });

/** @param {HTMLCanvasElement} canvas @param {number} width @param {number} height in CSS pixels */
export function fitted(canvas, width, height) {
  const scale = window.devicePixelRatio || 1,
    w = Math.max(1, Math.round(width * scale)),
    h = Math.max(1, Math.round(height * scale));
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", kept()));
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  return pen;
}

export class Scene {
  /** @param {Explorer} view */
  constructor(view) {
    this.view = view;
    this.frame = 0;
    this.settle = 0;
    this.moved = -Infinity;
    this.took = 0;
    /** @type {Camera | null} where the painted picture was taken */
    this.drawn = null;
    this.copying = false;
    /** Whether the regions are another picture than the one painted. */
    this.stale = true;
    this.crowd = CROWD;
  }

  /** The camera moves by hand: a slow picture waits. */
  touched() {
    this.moved = performance.now();
    this.refresh();
  }

  /** Everything anew, in the next frame. */
  refresh() {
    this.later(true);
  }

  /** What lies over the regions anew: a star is dragged, a unit pinned. The regions stay: they are what takes time. */
  refreshMarks() {
    this.later(false);
  }

  /** @param {boolean} regions */
  later(regions) {
    if (!this.view.part) return;
    this.stale ||= regions;
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      if (this.stale || !this.drawn) return this.paint();
      if (!this.view.stage.clientWidth || !this.view.stage.clientHeight) return;
      this.paintUnder();
      this.paintOver();
    });
  }

  paint() {
    const { view } = this,
      rested = performance.now() - this.moved;
    if (!view.part || !view.stage.clientWidth || !view.stage.clientHeight) return; // hidden: painted when it is seen
    if (this.took > SLOW && rested < REST && this.drawn) {
      this.shift(this.drawn);
      clearTimeout(this.settle);
      this.settle = window.setTimeout(() => this.refresh(), REST + 10 - rested);
    } else this.paintRegions();
    this.paintUnder();
    this.paintOver();
  }

  /** Moves the last picture to where it belongs by now. @param {Camera} old */
  shift(old) {
    const { camera, canvas } = this.view,
      [pane] = panesOf(this.view, 1),
      pixels = Math.min(pane.width, pane.height) / 2 / camera.r;
    const x = (old.x - camera.x) * pixels,
      y = (camera.y - old.y) * pixels;
    canvas.style.transform = this.panes === 1 ? `translate(${x}px, ${y}px) scale(${old.r / camera.r})` : "";
  }

  paintRegions() {
    const { view } = this,
      { canvas, stage } = view,
      scale = window.devicePixelRatio || 1;
    const look = this.inked(),
      panes = panesOf(view, scale),
      began = performance.now(),
      soft = !studio.context?.gl || (studio.context.software && !look.density),
      most = view.slicing.partial ? Math.min(BRIEF, this.crowd) : this.crowd,
      rows = panes.map((pane) => soft && regionsInView(pane) > most);
    // The context is lost and comes again: what is shown stays. A canvas is blank as soon as its size is set.
    if (studio.context?.gl && !studio.painter && rows.includes(false)) return;
    const pen = fitted(canvas, stage.clientWidth, stage.clientHeight);
    pen.setTransform(1, 0, 0, 1, 0, 0);
    for (const [i, pane] of panes.entries()) {
      pen.globalAlpha = i && pane.left === 0 ? view.comparing.mix : 1; // onion skin
      if (rows[i]) paintRows(pen, pane, look);
      else if (studio.painter) this.copy(pen, pane, look);
      else paintPlainly(pen, pane, look);
    }
    this.took = performance.now() - began;
    this.stale = false;
    this.panes = panes.length;
    this.drawn = { ...view.camera };
    canvas.style.transform = "";
  }

  /** @param {CanvasRenderingContext2D} pen @param {Pane} pane in device pixels @param {any} look */
  copy(pen, pane, look) {
    const painter = /** @type {NonNullable<typeof studio.painter>} */ (studio.painter),
      canvas = /** @type {HTMLCanvasElement} */ (painter.gl.canvas),
      { left, width, height } = pane;
    if (canvas.width < width || canvas.height < height) {
      canvas.width = Math.max(canvas.width, width);
      canvas.height = Math.max(canvas.height, height);
    }
    painter.draw(pane, look);
    pen.drawImage(canvas, 0, canvas.height - height, width, height, left, 0, width, height);
  }

  paintUnder() {
    const { under, stage } = this.view;
    drawUnder(fitted(under, stage.clientWidth, stage.clientHeight), this.view, panesOf(this.view, 1));
  }

  /** What follows the hand; only this is drawn when the hand moves and the camera does not. */
  paintOver() {
    const { view } = this;
    if (!view.part || !view.stage.clientWidth) return;
    const pen = fitted(view.over, view.stage.clientWidth, view.stage.clientHeight);
    if (this.copying) this.compose(pen);
    drawOver(pen, view, panesOf(view, 1));
  }

  /** The whole picture on one canvas: what "copy image" of the browser's menu takes, and what is saved.
   * @param {CanvasRenderingContext2D} pen */
  compose(pen) {
    const { canvas, under, stage } = this.view;
    pen.clearRect(0, 0, stage.clientWidth, stage.clientHeight);
    for (const layer of [canvas, under]) pen.drawImage(layer, 0, 0, stage.clientWidth, stage.clientHeight);
  }

  /** What the painter needs of the look: also the ink of each layer's knots and the ground round the window. */
  inked() {
    const { look, meta, root } = this.view,
      share = (/** @type {string} */ hex) => hexBytes(hex).map((value) => value / 255);
    const ground = getComputedStyle(root).getPropertyValue("--sv-paper").trim() || "#ffffff";
    const ink = meta.knot_colors.map((hex) => (look.coloured ? share(hex) : [0, 0, 0]));
    return { ...look, ink, ground: share(/^#[0-9a-f]{6}$/i.test(ground) ? ground : "#ffffff") };
  }

  stop() {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.settle);
  }
}

/**
 * Calls `changed` when the picture may no longer fit: another size, another density of pixels, seen again, another theme.
 * Returns what ends it.
 * @param {HTMLElement} stage @param {() => void} changed
 */
export function watch(stage, changed) {
  const end = new AbortController(),
    { signal } = end,
    size = new ResizeObserver(changed),
    seen = new IntersectionObserver(changed),
    theme = new MutationObserver(changed);
  size.observe(stage);
  seen.observe(stage);
  for (const element of [document.documentElement, document.body]) theme.observe(element, { attributes: true });
  // No event tells of another density of pixels in every browser and way to get there: a screen, a zoom, a tool.
  let density = window.devicePixelRatio;
  const look = setInterval(() => {
    if (density === window.devicePixelRatio) return;
    density = window.devicePixelRatio;
    changed();
  }, 400);
  document.addEventListener("visibilitychange", changed, { signal });
  for (const name of ["pageshow", "resize"]) window.addEventListener(name, changed, { signal });
  for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) {
    matchMedia(query).addEventListener("change", changed, { signal });
  }
  return () => {
    end.abort();
    clearInterval(look);
    for (const observer of [size, seen, theme]) observer.disconnect();
  };
}
