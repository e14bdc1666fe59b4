// build: the page's elements. What they do is the explorer's business.
import { Curves } from "./curves.js";
import { FILLS, TOOLS } from "./elements.js";
import { make } from "./dom.js";
import { keyList } from "./keys.js";
import { WAYS } from "./comparing.js";
import { MEANINGS, layerName } from "./words.js";

/** @typedef {import("./explorer.js").Explorer} Explorer */

/** @type {[keyof Look, string, string][]} */
const TOGGLES = [
  ["knots", "knots", "edges of the regions (key k)"],
  ["coloured", "coloured", "knots in the colour of their layer (key i)"],
  ["boundary", "boundary", "decision boundary (key b)"],
  ["anchors", "anchors", "the samples that span the slice (key a)"],
  ["density", "density", "density of knots (key d)"],
];

/**
 * @param {Explorer} view
 * @param {string} text
 * @param {string} title
 * @param {() => void} onclick
 * @param {string} [label]
 */
const button = (view, text, title, onclick, label = text) =>
  make("button", { type: "button", title, "aria-label": label, onclick }, text);

/** @param {Explorer} view */
function stageOf(view) {
  view.canvas = make("canvas", { class: "sv-regions" });
  view.under = make("canvas", { class: "sv-under" });
  view.over = make("canvas", { class: "sv-over" });
  view.status = make("div", { class: "sv-status", role: "status" });
  view.minimap = make("canvas", {
    class: "sv-minimap",
    width: 96,
    height: 96,
    role: "img",
    "aria-label": "where the view is",
  });
  view.minimap.hidden = true;
  const label = "Regions of the slice. Arrows pan, plus and minus zoom, Enter pins, question mark lists the keys.";
  view.stage = make(
    "div",
    {
      class: "sv-stage",
      tabindex: "0",
      role: "application",
      "aria-label": label,
      onfocus: () => view.refreshOverlay(),
      onblur: () => view.refreshOverlay(),
    },
    ...[view.canvas, view.under, view.over, view.minimap, view.status],
  );
  const zoom = make(
    "div",
    { class: "sv-zoom", role: "group", "aria-label": "zoom" },
    button(view, "+", "nearer (key +)", () => view.zoom(0.7), "zoom in"),
    button(view, "−", "further (key -)", () => view.zoom(1 / 0.7), "zoom out"),
    button(view, "⌂", "the whole window (key 0)", () => view.home(), "whole window"),
    button(view, "↶", "back to the camera before (key u)", () => view.undo(), "camera before"),
  );
  return make("div", { class: "sv-frame" }, view.stage, zoom);
}

/** @param {Explorer} view */
function barOf(view) {
  view.fills = make(
    "select",
    { "aria-label": "fill", onchange: () => view.setFill(view.fills.value) },
    ...FILLS.map((name) => make("option", { value: name, title: MEANINGS[name] ?? "" }, name)),
  );
  view.fills.value = view.fill;
  view.tools = TOOLS.map(([name, text, title]) =>
    make(
      "button",
      { type: "button", title, "aria-pressed": String(name === view.tool), onclick: () => view.setTool(name) },
      text,
    ),
  );
  const toggles = TOGGLES.map(([name, text, title]) => {
    const input = make("input", { type: "checkbox", onchange: () => view.flip(name, input.checked) });
    view.boxes[name] = input;
    return make("label", { title }, input, text);
  });
  view.searchBox = make("input", {
    type: "search",
    class: "sv-search",
    placeholder: "3/187 or class",
    "aria-label": "search for a unit (layer/unit) or a class",
    title: "a unit as layer/unit, or a class by name or number (key /)",
    onchange: () => view.search(view.searchBox.value),
  });
  const group = make("span", { class: "sv-group", role: "group", "aria-label": "mouse" }, ...view.tools),
    fill = make("label", {}, "fill ", view.fills);
  return make(
    "div",
    { class: "sv-bar" },
    ...[fill, group, view.searchBox, ...toggles.slice(0, 2), layerMenu(view), ...toggles.slice(2)],
  );
}

/** Few layers stand in the bar, many in a list of their own with all, none and one alone. @param {Explorer} view */
function layerMenu(view) {
  const { meta, look } = view;
  view.layerBoxes = meta.layer_names.map((_, l) => make("input", { type: "checkbox", "aria-label": `layer ${l}` }));
  const set = (/** @type {(l: number) => boolean} */ on) => {
    look.layers.forEach((_, l) => (look.layers[l] = on(l)));
    view.showLook();
    view.changed();
  };
  const rows = view.layerBoxes.map((input, l) => {
    input.addEventListener("change", () => {
      look.layers[l] = input.checked;
      view.changed();
    });
    const alone = button(view, "solo", `layer ${l} alone`, () => set((k) => k === l), `layer ${l} alone`);
    const name = make("label", { title: layerName(meta, l) }, input, `layer ${l}`);
    if (meta.layer_names[l]) name.append(make("small", {}, meta.layer_names[l]));
    return { name, alone };
  });
  if (rows.length < 4) return make("span", { class: "sv-layers" }, ...rows.map(({ name }) => name));
  const all = [
    button(view, "all", "all layers", () => set(() => true), "all layers"),
    button(view, "none", "no layer", () => set(() => false), "no layer"),
  ];
  const each = rows.map(({ name, alone }) => make("div", {}, name, alone)),
    list = make("div", { class: "sv-list" }, make("div", {}, ...all), ...each); // over the picture, which stays where it is
  return make("details", { class: "sv-layers sv-menu" }, make("summary", {}, `layers (${rows.length})`), list);
}

/** @param {Explorer} view */
function timeOf(view) {
  const { meta } = view,
    last = meta.steps.length - 1;
  const attributes = { type: "range", min: 0, max: last, step: 1, "aria-label": "training step" };
  view.slider = make("input", { ...attributes, oninput: () => view.show(+view.slider.value) });
  view.playButton = button(view, "▶", "play (space)", () => view.play(), "play");
  view.title = make("strong", { class: "sv-title" });
  const time = make("div", { class: "sv-time" }, view.playButton, view.slider);
  if (last < 1) time.style.display = "none";
  return [time, view.title]; // the title may take more lines: what is pressed again and again stays where it is
}

/** Two steps at once. @param {Explorer} view */
function compareOf(view) {
  const { meta } = view;
  const step = (/** @type {number} */ i) => make("option", { value: i }, `step ${meta.steps[i].toLocaleString("en")}`);
  view.versus = make(
    "select",
    { "aria-label": "compare with", onchange: () => view.compare() },
    make("option", { value: -1 }, "nothing"),
    ...meta.steps.map((_, i) => step(i)),
  );
  view.ways = make(
    "select",
    { "aria-label": "how to compare", onchange: () => view.compare() },
    ...WAYS.map((way) => make("option", { value: way }, way)),
  );
  const made = make("div", { class: "sv-compare" }, "compare with ", view.versus, view.ways);
  made.hidden = meta.steps.length < 2;
  return made;
}

/** @param {Explorer} view */
function shareOf(view) {
  const items = [
    button(view, "copy link", "this view in the page's address", () => view.copyLink()),
    button(view, "copy command", "`splineviz figure` that draws this view for print", () => view.copyCommand()),
    button(view, "save PNG", "the picture with scale and legend", () => view.savePNG()),
    button(view, "save SVG", "the picture as vectors, with scale and legend", () => view.saveSVG()),
  ];
  if (!view.addressed) items.shift();
  return make("div", { class: "sv-share", role: "group", "aria-label": "share" }, ...items);
}

/** @param {Explorer} view */
function helpOf(view) {
  const rows = keyList().map(([keys, does]) =>
    make("tr", {}, make("th", { scope: "row" }, make("kbd", {}, keys)), make("td", {}, does)),
  );
  const words = "Drag moves the map, the wheel or two fingers zoom, a click pins an input.";
  view.help = make(
    "details",
    { class: "sv-help" },
    make("summary", {}, "mouse and keys"),
    make("p", {}, words),
    make("table", {}, ...rows),
  );
  return view.help;
}

/** @param {Explorer} view */
function samplesOf(view) {
  view.sampleBoxes = [];
  const { live, samples } = view.meta;
  if (!live || !samples) return [];
  const attributes = { type: "number", min: 0, max: samples - 1, step: 1, onchange: () => view.slicing.typedSamples() };
  view.sampleBoxes = [0, 1, 2].map((i) => make("input", { ...attributes, "aria-label": `sample of anchor ${i}` }));
  return [make("div", { class: "sv-samples" }, "through samples ", ...view.sampleBoxes)];
}

/** Fills the root and hands the explorer its elements. @param {Explorer} view */
export function build(view) {
  const { meta, root } = view;
  const main = make("div", { class: "sv-main" }, barOf(view), stageOf(view)),
    time = timeOf(view);
  view.legend = make("div", { class: "sv-legend" });
  view.chosenPanel = make("div", { class: "sv-chosen", role: "status" });
  view.info = make("div", { class: "sv-info", "aria-live": "polite" });
  view.pinPanel = make("details", { class: "sv-pinned", open: "" }, make("summary", {}, ""), make("div", {}));
  view.pinPanel.hidden = true;
  view.pinPanel.addEventListener("toggle", () => view.following.draw());
  const curves = (meta.steps.length < 2 ? [] : meta.panels).map((panel) => {
    const [title, label] = [MEANINGS[panel.title] ?? panel.note, `${panel.note} over training steps`];
    return make("canvas", { class: "sv-curves", role: "img", title, "aria-label": label });
  });
  view.charts = curves.map((canvas, i) => new Curves(canvas, meta.panels[i], meta.steps, (at) => view.show(at)));
  const measures = make(
    "details",
    { class: "sv-measures", open: "" },
    make("summary", {}, "measures over training"),
    ...curves,
  );
  measures.hidden = !curves.length;
  measures.addEventListener("toggle", () => view.drawCharts());
  const side = make(
    "aside",
    { class: "sv-side" },
    ...time,
    view.legend,
    compareOf(view),
    ...samplesOf(view),
    view.chosenPanel,
  );
  side.append(view.info, view.pinPanel, measures, shareOf(view), helpOf(view));
  root.classList.add("sv-explorer");
  root.dataset.lmSuppressShortcuts = "true"; // keys are the explorer's, not JupyterLab's, while it has the focus
  root.replaceChildren(make("div", { class: "sv-grid" }, main, side));
}
