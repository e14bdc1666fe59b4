// explorer: the page itself. `mount` builds it in an element and returns what Python and tests talk to.
import { inflate, unpack } from "./decode.js";
import { area, connect, locate, outputsAt } from "./complex.js";
import { colourFaces } from "./colours.js";
import { Painter } from "./paint.js";
import { drawOverlay, pictureAt } from "./overlay.js";
import { Curves } from "./curves.js";

const FILLS = ["slope", "class", "margin", "layer", "area", "hash"];
const HELP = "drag: pan · wheel: zoom · click: keep a region · shift+drag: select · arrows, + − 0 · , . step · space play · f fill · k knots · b boundary · a anchors · Esc";

function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) name.startsWith("on") ? made.addEventListener(name.slice(2), value) : made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function mount(root, meta, load, told = () => {}) {
  return new Explorer(root, meta, load, told);
}

class Explorer {
  constructor(root, meta, load, told) {
    Object.assign(this, { root, meta, load, told, index: -1, fill: meta.fill, hover: -1, pinned: -1, unit: -1, onlyClass: -1 });
    Object.assign(this, { neighbours: [], selected: [], box: null, cache: new Map(), camera: { x: 0, y: 0, r: 1.04 }, wanted: -1 });
    this.look = { knots: true, boundary: true, anchors: true, layers: meta.layer_names.map(() => true), ink: meta.layer_names.map(() => [0, 0, 0]) };
    this.build();
    this.painter = new Painter(this.canvas);
    this.thumbnails = meta.anchors.map(([u, v]) => pictureAt(meta, u, v));
    new ResizeObserver(() => this.refresh()).observe(this.stage);
    this.ready = this.show(meta.start);
  }

  build() {
    const { meta } = this, toggle = (name, text) => {
      const input = make("input", { type: "checkbox", onchange: () => { this.look[name] = input.checked; this.refresh(); } });
      input.checked = true; this[`${name}Box`] = input;
      return make("label", {}, input, text);
    };
    this.canvas = make("canvas", { class: "sv-regions" });
    this.over = make("canvas", { class: "sv-over" });
    this.status = make("div", { class: "sv-status", role: "status" });
    this.stage = make("div", { class: "sv-stage", tabindex: "0", role: "application", "aria-label": "Regions of the slice. " + HELP }, this.canvas, this.over, this.status);
    this.fills = make("select", { "aria-label": "fill", onchange: () => this.setFill(this.fills.value) }, ...FILLS.map((name) => make("option", { value: name }, name)));
    this.fills.value = this.fill;
    const layers = meta.layer_names.map((name, l) => {
      const input = make("input", { type: "checkbox", onchange: () => { this.look.layers[l] = input.checked; this.refresh(); } });
      input.checked = true;
      return make("label", { title: name }, input, `layer ${l + 1}`);
    });
    this.slider = make("input", { type: "range", min: 0, max: meta.steps.length - 1, step: 1, "aria-label": "training step", oninput: () => this.show(+this.slider.value) });
    this.playButton = make("button", { type: "button", "aria-label": "play", onclick: () => this.play() }, "▶");
    this.title = make("strong", { class: "sv-title" });
    const time = make("div", { class: "sv-time" }, this.playButton, this.slider);
    if (meta.steps.length < 2) time.style.display = "none";
    const curves = meta.panels.map((panel) => [make("canvas", { class: "sv-curves", role: "img", "aria-label": panel.title + " over training steps" }), panel]);
    this.charts = curves.map(([canvas, panel]) => new Curves(canvas, panel, meta.steps, (i) => this.show(i)));
    this.info = make("div", { class: "sv-info", "aria-live": "polite" });
    const bar = make("div", { class: "sv-bar" }, make("label", {}, "fill ", this.fills), toggle("knots", "knots"), ...layers, toggle("boundary", "boundary"), toggle("anchors", "anchors"));
    this.root.classList.add("sv-explorer");
    this.root.replaceChildren(make("div", { class: "sv-main" }, bar, this.stage), make("aside", { class: "sv-side" }, this.title, time, ...curves.map(([canvas]) => canvas), this.info, make("p", { class: "sv-help" }, HELP)));
    this.root.explorer = this;
    this.listen();
  }

  // ---- time ----

  async show(index, tell = true) {
    index = Math.min(this.meta.steps.length - 1, Math.max(0, index));
    this.wanted = index; this.slider.value = index;
    this.status.textContent = this.cache.has(index) ? "" : "loading …";
    try {
      if (!this.cache.has(index)) {
        this.cache.set(index, (async () => connect(unpack(await inflate(await this.load(index)))))());
        let total = 0;
        for (const i of [...this.cache.keys()].reverse()) {
          total += this.meta.regions[i];
          if (i !== index && total > 1.5e6) this.cache.delete(i);
        }
      }
      const part = await this.cache.get(index);
      if (this.wanted !== index) return;
      const changed = this.index !== index;
      Object.assign(this, { part, index, hover: -1 });
      if (changed) Object.assign(this, { pinned: -1, neighbours: [], selected: [] });
      this.camera.face = 0;
      this.recolour();
      this.title.textContent = `step ${this.meta.steps[index].toLocaleString("en")} · ${part.faces.toLocaleString("en")} regions`;
      this.status.textContent = "";
      this.refresh(); this.describe(-1);
      this.charts.forEach((chart) => chart.draw(index));
      if (tell) this.told("step", this.meta.steps[index]);
    } catch (error) {
      this.cache.delete(index);
      this.status.textContent = `step ${this.meta.steps[index]}: ${error.message}`;
    }
  }

  play() {
    this.playing = !this.playing;
    this.playButton.textContent = this.playing ? "❚❚" : "▶";
    this.playButton.setAttribute("aria-label", this.playing ? "pause" : "play");
    if (this.playing && this.index === this.meta.steps.length - 1) this.wanted = -1, this.index = -1;
    const next = async () => {
      if (!this.playing) return;
      if (this.index >= this.meta.steps.length - 1) return this.play();
      await this.show(this.index + 1);
      setTimeout(next, 160);
    };
    if (this.playing) next();
  }

  // ---- look ----

  recolour() { this.painter.shade(this.part, colourFaces(this.part, this.fill, this.meta, area, this.onlyClass)); }

  setFill(name, tell = true) {
    if (!FILLS.includes(name)) return;
    this.fill = name; this.fills.value = name;
    if (this.part) { this.recolour(); this.refresh(); }
    if (tell) this.told("fill", name);
  }

  refresh() {
    if (this.frame || !this.part) return;
    this.frame = requestAnimationFrame(() => { this.frame = 0; this.paint(); });
  }

  // A whole picture that takes long is not painted at every move: the last one is moved, then painted when all is still.
  paint() {
    if (this.busy && this.moving) {
      const old = this.drawn, now = this.camera, scale = old.r / now.r, pixels = Math.min(this.stage.clientWidth, this.stage.clientHeight) / 2 / now.r;
      this.canvas.style.transform = this.over.style.transform = `translate(${(old.x - now.x) * pixels}px, ${(now.y - old.y) * pixels}px) scale(${scale})`;
      clearTimeout(this.settle);
      this.settle = setTimeout(() => { this.moving = false; this.refresh(); }, 140);
    } else {
      const scale = window.devicePixelRatio || 1, w = Math.max(1, Math.round(this.stage.clientWidth * scale)), h = Math.max(1, Math.round(this.stage.clientHeight * scale));
      if (this.canvas.width !== w || this.canvas.height !== h) { this.canvas.width = w; this.canvas.height = h; }
      const began = performance.now();
      this.painter.draw(this.part, this.camera, this.look);
      this.painter.gl.readPixels(0, 0, 1, 1, this.painter.gl.RGBA, this.painter.gl.UNSIGNED_BYTE, new Uint8Array(4));
      this.took = performance.now() - began;
      this.busy = this.took > 45; this.drawn = { ...this.camera };
      this.canvas.style.transform = this.over.style.transform = "";
      drawOverlay(this.over, this);
    }
  }

  moved() { this.moving = true; this.refresh(); this.told("camera", this.view()); }

  // The camera in plane coordinates: middle, and half the view's shorter side.
  view() { const { middle, half } = this.part; return [middle[0] + half * this.camera.x, middle[1] + half * this.camera.y, half * this.camera.r]; }

  look_at([u, v, r]) {
    const { middle, half } = this.part;
    Object.assign(this.camera, { x: (u - middle[0]) / half, y: (v - middle[1]) / half, r: r / half });
    this.refresh();
  }

  // ---- asking ----

  toPlane(px, py) {
    const w = this.stage.clientWidth, h = this.stage.clientHeight, unit = this.camera.r / (Math.min(w, h) / 2);
    return [this.camera.x + (px - w / 2) * unit, this.camera.y - (py - h / 2) * unit];
  }

  ask(x, y) {
    this.hover = locate(this.part, x, y, this.hover >= 0 ? this.hover : this.camera.face || 0);
    this.describe(this.hover, x, y);
    this.refreshOverlay();
    return this.hover;
  }

  refreshOverlay() { if (!this.frame && !(this.busy && this.moving)) drawOverlay(this.over, this); }

  facts(f, x, y) {
    const { part, meta } = this, name = (c) => (part.channels === 1 || meta.class_names.length <= c ? String(c) : meta.class_names[c]);
    const units = [];
    for (let k = part.offsets[f]; k < part.offsets[f + 1]; k++) {
      const e = part.sides[k], l = part.layerOf[e];
      units.push(l < 0 ? { border: true } : { layer: l, unit: part.units[e] - 1 - part.layers[l], id: part.units[e] - 1 });
    }
    return {
      region: f, step: meta.steps[this.index], class: part.classes[f], class_name: name(part.classes[f]), margin: part.margins[f],
      area: area(part, f), slope: part.slopes[f], units, outputs: outputsAt(part, f, x, y),
      u: part.middle[0] + part.half * x, v: part.middle[1] + part.half * y,
    };
  }

  describe(f, x, y) {
    if (f < 0 && this.pinned >= 0) return;
    if (f < 0) { this.info.replaceChildren(make("p", {}, "Point at a region.")); return; }
    const facts = this.facts(f, x, y), number = (value) => (value === 0 ? "0" : Math.abs(value) >= 1e-3 && Math.abs(value) < 1e5 ? value.toPrecision(4) : value.toExponential(3));
    const rows = [["region", facts.region.toLocaleString("en")], ["class", facts.class_name], ["margin", number(facts.margin)], ["area", number(facts.area)], ["slope norm", number(facts.slope)], ["at (u, v)", `${number(facts.u)}, ${number(facts.v)}`]];
    const list = make("dl", {}, ...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
    const parts = [list], picture = pictureAt(this.meta, facts.u, facts.v);
    if (picture) { picture.className = "sv-input"; picture.setAttribute("role", "img"); picture.setAttribute("aria-label", "the input at this point"); parts.unshift(picture); }
    const knots = facts.units.map((one) => (one.border ? make("span", {}, "window") : make("button", { type: "button", title: "show this unit's knots", onclick: () => { this.unit = this.unit === one.id ? -1 : one.id; this.refreshOverlay(); } }, `${one.layer + 1}/${one.unit}`)));
    parts.push(make("div", { class: "sv-units" }, "sides, layer/unit ", ...knots));
    if (this.pinned === f) parts.push(make("div", { class: "sv-units" }, make("button", { type: "button", onclick: () => { this.neighbours = this.neighbours.length ? [] : this.around(f); this.refreshOverlay(); } }, "neighbours"), make("button", { type: "button", onclick: () => { this.onlyClass = this.onlyClass >= 0 ? -1 : facts.class; this.recolour(); this.refresh(); } }, `class ${facts.class_name} only`)));
    if (facts.outputs.length) {
      const low = Math.min(...facts.outputs), high = Math.max(...facts.outputs), names = this.meta.class_names;
      parts.push(make("table", {}, ...facts.outputs.map((value, c) => {
        const meter = make("i"), row = make("tr", c === facts.class && facts.outputs.length > 1 ? { class: "sv-top" } : {}, make("th", {}, names[c] ?? String(c)), make("td", {}, number(value)), make("td", { class: "sv-meter" }, meter));
        meter.style.width = `${(100 * (value - low)) / (high - low || 1)}%`;
        return row;
      })));
    }
    this.info.replaceChildren(...parts);
  }

  around(f) { return [...new Set(this.part.across.subarray(this.part.offsets[f], this.part.offsets[f + 1]))].filter((g) => g >= 0); }

  pin(x, y) {
    const f = locate(this.part, x, y, this.hover);
    this.pinned = this.pinned === f ? -1 : f; this.neighbours = [];
    this.describe(f, x, y); this.refreshOverlay();
    this.choose(this.pinned >= 0 ? [this.pinned] : []);
  }

  choose(faces) { this.selected = faces.length > 1 ? faces : []; this.told("selected_ids", faces); this.refreshOverlay(); }

  // Regions with a corner in the box, and the one at its middle.
  chooseBox(left, top, width, height) {
    const [x0, y1] = this.toPlane(left, top), [x1, y0] = this.toPlane(left + width, top + height), { part } = this, found = new Set();
    for (let f = 0; f < part.faces; f++) {
      for (let k = part.offsets[f]; k < part.offsets[f + 1]; k++) {
        const v = part.corners[k];
        if (part.x[v] >= x0 && part.x[v] <= x1 && part.y[v] >= y0 && part.y[v] <= y1) { found.add(f); break; }
      }
    }
    const middle = locate(part, (x0 + x1) / 2, (y0 + y1) / 2, this.hover);
    if (middle >= 0) found.add(middle);
    this.choose([...found].sort((a, b) => a - b));
  }

  // ---- hands ----

  zoom(factor, px = this.stage.clientWidth / 2, py = this.stage.clientHeight / 2) {
    const [x, y] = this.toPlane(px, py), r = Math.min(4, Math.max(1e-12, this.camera.r * factor)), share = r / this.camera.r;
    Object.assign(this.camera, { x: x + (this.camera.x - x) * share, y: y + (this.camera.y - y) * share, r });
    this.moved();
  }

  listen() {
    const { stage } = this, place = (event) => { const box = stage.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
    let grip = null;
    stage.addEventListener("wheel", (event) => { event.preventDefault(); if (this.part) this.zoom(Math.exp(Math.sign(event.deltaY) * Math.min(0.5, Math.abs(event.deltaY) * 0.0016)), ...place(event)); }, { passive: false });
    stage.addEventListener("pointerdown", (event) => { stage.focus({ preventScroll: true, focusVisible: false }); stage.setPointerCapture(event.pointerId); grip = { from: place(event), last: place(event), box: event.shiftKey, far: false }; });
    stage.addEventListener("pointermove", (event) => {
      if (!this.part) return;
      const here = place(event);
      if (!grip) { this.ask(...this.toPlane(...here)); return; }
      grip.far ||= Math.hypot(here[0] - grip.from[0], here[1] - grip.from[1]) > 4;
      if (!grip.far) return;
      if (grip.box) {
        this.box = [Math.min(here[0], grip.from[0]), Math.min(here[1], grip.from[1]), Math.abs(here[0] - grip.from[0]), Math.abs(here[1] - grip.from[1])];
        this.refreshOverlay();
      } else {
        const unit = this.camera.r / (Math.min(stage.clientWidth, stage.clientHeight) / 2);
        this.camera.x -= (here[0] - grip.last[0]) * unit; this.camera.y += (here[1] - grip.last[1]) * unit;
        grip.last = here; this.moved();
      }
    });
    stage.addEventListener("pointerup", (event) => {
      if (!grip || !this.part) return;
      const held = grip;
      grip = null;
      if (held.box && this.box) { const box = this.box; this.box = null; this.chooseBox(...box); }
      else if (!held.far) this.pin(...this.toPlane(...place(event)));
    });
    stage.addEventListener("pointerleave", () => { if (this.part && !grip) { this.hover = -1; this.describe(-1); this.refreshOverlay(); } });
    stage.addEventListener("dblclick", (event) => this.zoom(0.4, ...place(event)));
    this.root.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    if (!this.part || event.ctrlKey || event.metaKey || event.altKey || (/SELECT|INPUT|BUTTON/.test(event.target.tagName) && event.key !== "Escape")) return;
    const pan = (dx, dy) => { this.camera.x += 0.15 * dx * this.camera.r; this.camera.y += 0.15 * dy * this.camera.r; this.moved(); };
    const flip = (name) => { this.look[name] = !this.look[name]; this[`${name}Box`].checked = this.look[name]; this.refresh(); };
    const keys = {
      ArrowLeft: () => pan(-1, 0), ArrowRight: () => pan(1, 0), ArrowUp: () => pan(0, 1), ArrowDown: () => pan(0, -1),
      "+": () => this.zoom(0.7), "=": () => this.zoom(0.7), "-": () => this.zoom(1 / 0.7),
      0: () => { Object.assign(this.camera, { x: 0, y: 0, r: 1.04 }); this.moved(); },
      ".": () => this.show(this.wanted + 1), ",": () => this.show(this.wanted - 1), " ": () => this.play(),
      f: () => this.setFill(FILLS[(FILLS.indexOf(this.fill) + 1) % FILLS.length]), k: () => flip("knots"), b: () => flip("boundary"), a: () => flip("anchors"),
      Enter: () => this.pin(this.camera.x, this.camera.y),
      Escape: () => { Object.assign(this, { pinned: -1, unit: -1, neighbours: [] }); if (this.onlyClass >= 0) { this.onlyClass = -1; this.recolour(); this.refresh(); } this.choose([]); },
    };
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  }
}
