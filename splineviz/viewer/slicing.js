// slicing: another slice, which only Python can cut: anchors moved by hand, or the plane through other samples.
//
// While one is cut, only the latest place is kept: the anchors follow the hand as fast as Python can. While the hand moves,
// Python may cut a smaller window; when it has let go, the whole one.
import { HOME } from "./camera.js";
import { pictureAt } from "./overlay.js";

/** @typedef {import("./explorer.js").Explorer} Explorer */

export class Slicing {
  /** @param {Explorer} view @param {(message: any) => void} demand */
  constructor(view, demand) {
    this.view = view;
    this.demand = demand;
    this.cutting = this.partial = false;
    /** @type {any} */
    this.next = null;
  }

  /** @param {[number, number][]} anchors @param {boolean} last whether the hand has let go */
  moveAnchors(anchors, last) {
    this.cut({ kind: "anchors", anchors: anchors.map((place) => [...place]), whole: last }, last);
  }

  typedSamples() {
    const samples = this.view.sampleBoxes.map((box) => (box.value === "" ? -1 : +box.value));
    if (samples.every((i) => Number.isInteger(i) && i >= 0)) this.cut({ kind: "samples", samples }, true);
  }

  /** @param {any} message @param {boolean} last */
  cut(message, last) {
    if (last) this.view.say("slicing …");
    if (this.cutting) {
      this.next = message;
      return;
    }
    this.cutting = true;
    this.demand(message);
  }

  /**
   * Python has cut another slice; what it says of it: anchors, samples, and a picture where the plane is another.
   * @param {{slice: number, anchors: [number, number][], samples: number[],
   *   picture?: Picture | null, partial?: boolean}} said
   */
  async sliced({ slice, anchors, samples, picture, partial = false }) {
    const { view } = this,
      { meta } = view;
    this.partial = partial;
    Object.assign(meta, { anchors, ...(picture === undefined ? {} : { picture }) });
    if (picture !== undefined) {
      view.elsewhere = true;
      view.pin = null;
      view.camera = { ...HOME };
    }
    view.sampleBoxes.forEach((box, i) => (box.value = String(samples[i] ?? "")));
    view.thumbnails = anchors.map(([u, v]) => pictureAt(meta, u, v));
    view.charts = view.charts.filter(({ canvas, panel }) => {
      canvas.hidden = Boolean(panel.slice);
      return !panel.slice;
    });
    view.comparing.forget();
    view.steps.reset(slice);
    await view.show(view.wanted < 0 ? meta.start : view.wanted, false);
    this.done();
  }

  /** @param {string} text */
  refused(text) {
    if (this.next) return this.done();
    this.cutting = false;
    this.view.say(text);
  }

  done() {
    const { next } = this;
    this.cutting = false;
    this.next = null;
    if (next) this.cut(next, false);
  }
}
