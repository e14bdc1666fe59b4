// widget: the explorer in a notebook (anywidget). Steps are asked for when they are first shown, other slices when a
// star is dragged or a sample is named.
import { fromBase64 } from "./decode.js";
import { mount } from "./explorer.js";
import { make } from "./dom.js";

/** A kernel that says nothing for this long (milliseconds) is taken for absent. */
const PATIENCE = 20_000;

/** What a kernel's answer holds: a buffer, or base64 where the notebook passes none on.
 * @param {any} message @param {any[]} buffers @returns {Uint8Array<ArrayBuffer>} */
function bytesOf(message, buffers) {
  const view = buffers?.[0];
  if (view instanceof ArrayBuffer) return new Uint8Array(view);
  if (view?.buffer) return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  if (message.base64) return fromBase64(message.base64);
  throw new Error("expected the step's numbers as a buffer or as base64, got neither; this notebook passes no data on");
}

/** Asks the kernel for steps. */
class Asker {
  /** @param {any} model */
  constructor(model) {
    this.model = model;
    /**
     * @type {Map<string, {resolve: (bytes: any) => void, reject: (error: Error) => void, index: number, slice: number}>}
     */
    this.waiting = new Map();
    /** @type {ReturnType<typeof setTimeout>[]} */
    this.timers = [];
    /** @type {{key: string, bytes: Uint8Array<ArrayBuffer>} | null} a step that came unasked, with the slice it is of */
    this.early = null;
  }

  /** @param {number} index @param {number} slice @returns {Promise<Uint8Array<ArrayBuffer>>} */
  load(index, slice) {
    const { early } = this,
      key = `${slice}/${index}`;
    this.early = null; // used at most once: what is loaded, Steps keeps
    if (early?.key === key) return Promise.resolve(early.bytes);
    return new Promise((resolve, reject) => {
      this.waiting.set(key, { resolve, reject, index, slice });
      this.model.send({ kind: "step", index, slice });
      const late = () => reject(new Error("the kernel does not answer; run the cell again, or restart the kernel"));
      this.timers.push(setTimeout(late, PATIENCE * 15));
    });
  }

  /** @param {any} message @param {any[]} buffers */
  received(message, buffers) {
    const key = `${message.slice}/${message.index}`,
      one = this.waiting.get(key);
    if (!one) {
      if (message.early && buffers?.length) this.early = { key, bytes: bytesOf(message, buffers) };
      return;
    }
    if (!message.error && !buffers?.length && !message.base64) {
      // This notebook loses buffers (Colab, some of VS Code): once more, as text.
      this.model.send({ kind: "step", index: one.index, slice: one.slice, base64: true });
      return;
    }
    this.waiting.delete(key);
    try {
      if (message.error) throw new Error(message.error);
      one.resolve(bytesOf(message, buffers));
    } catch (error) {
      one.reject(/** @type {Error} */ (error));
    }
  }

  stop() {
    this.timers.forEach(clearTimeout);
    this.waiting.clear();
  }
}

/** The last picture that Python drew, where no kernel answers. @param {any} model @param {HTMLElement} element */
function still(model, element) {
  const picture = model.get("still"),
    words = "No kernel: a picture. Run the cell to explore it.";
  element.replaceChildren(make("p", { class: "sv-still" }, words));
  if (picture)
    element.append(make("img", { src: `data:image/png;base64,${picture}`, alt: words, style: "max-width: 100%" }));
}

/** Hides the static pictures that stand in the notebook for this widget, as long as it lives. @param {any} model */
function hideStill(model) {
  for (const picture of document.querySelectorAll("img")) {
    if (picture.alt === `splineviz ${model.get("name")}`) picture.style.display = "none";
  }
}

/**
 * Traits that Python changes, and what the explorer does then.
 * @param {any} model
 * @param {() => any} current
 * @param {() => void} start
 */
function listenersOf(model, current, start) {
  const same = (/** @type {any} */ a, /** @type {any} */ b) => JSON.stringify(a) === JSON.stringify(b);
  return {
    "change:step": () => {
      const view = current(),
        i = view.meta.steps.indexOf(model.get("step"));
      if (i >= 0 && i !== view.wanted) view.show(i, false);
    },
    "change:camera": () => {
      const view = current(),
        camera = model.get("camera");
      if (view.part && camera.length === 3 && !same(camera, view.view())) view.look_at(camera);
    },
    "change:fill": () => model.get("fill") !== current().fill && current().setFill(model.get("fill"), false),
    "change:selected_ids": () => {
      const view = current(),
        ids = model.get("selected_ids"),
        shown = view.selected.length ? view.selected : view.pinned >= 0 ? [view.pinned] : [];
      if (!same(ids, shown)) view.ready.then(() => view.chosenByPython(ids));
    },
    "change:height": () => (current().root.style.height = model.get("height")),
    "change:sliced": () => current().slicing.sliced(model.get("sliced")),
    "change:meta": start,
  };
}

/** @param {{model: any, el: HTMLElement}} host */
function render({ model, el }) {
  const element = make("div", { style: `height: ${model.get("height") ?? "620px"}` }),
    asker = new Asker(model);
  /** @type {any} */
  let explorer = null,
    timer = 0;
  el.append(element);
  if (model.get("alive") === false || typeof model.send !== "function") {
    still(model, element);
    return;
  }
  const received = (/** @type {any} */ message, /** @type {any[]} */ buffers) => {
    if (message?.kind === "step" && !message.error) hideStill(model); // not before: where no kernel answers, it stays
    if (message?.kind === "refused") explorer.slicing.refused(message.error);
    if (message?.kind === "step") asker.received(message, buffers);
  };
  const told = (/** @type {string} */ name, /** @type {any} */ value) => {
    if (JSON.stringify(model.get(name)) === JSON.stringify(value)) return;
    model.set(name, value);
    clearTimeout(timer);
    timer = window.setTimeout(() => model.save_changes(), 60);
  };
  // A second view of the same widget begins with the slice, the step and the fill that the first is at.
  const start = () => {
    explorer?.close();
    const meta = structuredClone(model.get("meta")),
      said = model.get("sliced"),
      at = meta.steps.indexOf(model.get("step"));
    const now = { ...meta, start: at < 0 ? meta.start : at, fill: model.get("fill") ?? meta.fill };
    const ask = (/** @type {any} */ message) => model.send(message);
    explorer = mount(element, now, (/** @type {number} */ i, /** @type {number} */ s) => asker.load(i, s), {
      told,
      ask,
    });
    if (said?.slice) explorer.ready = explorer.slicing.sliced(said);
    explorer.ready.then(() => {
      listeners["change:camera"]();
      listeners["change:selected_ids"]();
    });
  };
  const listeners = listenersOf(model, () => explorer, start);
  model.on("msg:custom", received);
  start();
  for (const [name, listener] of Object.entries(listeners)) model.on(name, listener);
  return () => {
    clearTimeout(timer);
    model.off("msg:custom", received);
    for (const [name, listener] of Object.entries(listeners)) model.off(name, listener);
    asker.stop();
    explorer.close();
  };
}

export default { render };
