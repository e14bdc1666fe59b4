// studio: the painter that all explorers of a page share, and what becomes of it when the graphics context is lost.
import { Context } from "./gpu.js";
import { Painter } from "./paint.js";

/** @typedef {import("./explorer.js").Explorer} Explorer */

class Studio {
  constructor() {
    /** @type {Set<Explorer>} */
    this.views = new Set();
    /** @type {Context | null} */
    this.context = null;
    /** @type {Painter | null} */
    this.painter = null;
  }

  /** @param {Explorer} view */
  enter(view) {
    this.views.add(view);
    this.context ??= new Context(
      () => (this.painter = null),
      () => this.began(),
    );
  }

  /** A view that closes frees what its steps take; the last one frees the context. @param {Explorer} view */
  leave(view) {
    this.views.delete(view);
    for (const part of view.steps.held.values()) this.painter?.drop(part);
    if (this.views.size) return;
    this.context?.close();
    this.context = this.painter = null;
  }

  began() {
    queueMicrotask(() => {
      const gl = this.context?.gl;
      if (!gl || gl.isContextLost()) return;
      this.painter = new Painter(gl);
      this.views.forEach((view) => view.refresh());
    });
  }
}

export const studio = new Studio();
