// elements: the parts of the page by name. build.js makes them, the explorer what draws them; all others find them here.

/** @typedef {import("./curves.js").Curves} Curves */

export const FILLS = ["slope", "class", "margin", "layer", "area", "hash"];
/** Name, text and title of what the mouse may do. @type {[string, string, string][]} */
export const TOOLS = [
  ["pan", "pan", "drag moves the map (key p)"],
  ["box", "box", "drag a box to select regions (key x, or shift + drag)"],
  ["lasso", "lasso", "draw round regions to select them (key l, or alt + drag)"],
];

export class Elements {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    const absent = /** @type {any} */ (null);
    /** @type {HTMLCanvasElement} */
    this.canvas = absent;
    /** @type {HTMLCanvasElement} */
    this.under = absent;
    /** @type {HTMLCanvasElement} */
    this.over = absent;
    /** @type {HTMLCanvasElement} */
    this.minimap = absent;
    /** @type {HTMLElement} */
    this.stage = absent;
    /** @type {HTMLElement} */
    this.status = absent;
    /** @type {HTMLElement} */
    this.title = absent;
    /** @type {HTMLElement} */
    this.legend = absent;
    /** @type {HTMLElement} */
    this.chosenPanel = absent;
    /** @type {HTMLElement} */
    this.info = absent;
    /** @type {HTMLElement} */
    this.pinPanel = absent;
    /** @type {HTMLDetailsElement} */
    this.help = absent;
    /** @type {HTMLSelectElement} */
    this.fills = absent;
    /** @type {HTMLSelectElement} */
    this.versus = absent;
    /** @type {HTMLSelectElement} */
    this.ways = absent;
    /** @type {HTMLInputElement} */
    this.slider = absent;
    /** @type {HTMLInputElement} */
    this.searchBox = absent;
    /** @type {HTMLButtonElement} */
    this.playButton = absent;
    /** @type {import("./scene.js").Scene} */
    this.scene = absent;
    /** @type {import("./selection.js").Selection} */
    this.selection = absent;
    /** @type {import("./comparing.js").Comparing} */
    this.comparing = absent;
    /** @type {(HTMLCanvasElement | null)[]} the anchors' inputs as pictures */
    this.thumbnails = [];
    /** @type {HTMLButtonElement[]} */
    this.tools = [];
    /** @type {Record<string, HTMLInputElement>} */
    this.boxes = {};
    /** @type {HTMLInputElement[]} */
    this.layerBoxes = [];
    /** @type {HTMLInputElement[]} */
    this.sampleBoxes = [];
    /** @type {Curves[]} */
    this.charts = [];
  }
}
