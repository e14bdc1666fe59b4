// raster: a crowded picture without graphics hardware, by one processor, in the time of its pixels and not of its regions.
//
//   regions  every row of pixels walks from region to region across the sides that it meets: exact along the row, a few
//            lines of samples a row
//   knots    how much of each pixel they cover, added up; n knots of opacity a leave (1 - a)^n of what is below
//
// A row meets a side where it lies in [lower end, upper end): so the next region is met by the same rule, whatever rounding.
import { pixelsOf } from "./camera.js";
import { within } from "./complex.js";

/** Lines of samples a row of pixels, up to so many regions and above. */
const FINE = 4,
  COARSE = 2,
  CROWDED = 30_000;

/** @typedef {{k: Uint32Array, f: Uint32Array, low: Float64Array}} Border sides of the window's left, from low to high */
/** @type {WeakMap<Part, Border>} */
const borders = new WeakMap();

/** The window's left: its sides that lead down, with their regions. @param {Part} part @returns {Border} */
function leftOf(part) {
  const known = borders.get(part);
  if (known) return known;
  const { corners, offsets, across, faces, y } = part,
    /** @type {[number, number, number][]} */ found = [];
  for (let f = 0; f < faces; f++) {
    for (let k = offsets[f], end = offsets[f + 1]; k < end; k++) {
      if (across[k] >= 0) continue;
      const below = y[corners[k + 1 < end ? k + 1 : offsets[f]]];
      if (below < y[corners[k]]) found.push([below, k, f]);
    }
  }
  found.sort((a, b) => a[0] - b[0]);
  const made = {
    low: Float64Array.from(found, (one) => one[0]),
    k: Uint32Array.from(found, (one) => one[1]),
    f: Uint32Array.from(found, (one) => one[2]),
  };
  borders.set(part, made);
  return made;
}

/** Number of the left side at a height, -1 above and below the window.
 * @param {{corners: Uint32Array, y: Float64Array}} part @param {Border} left @param {number} at */
function entryAt({ corners, y }, { low, k }, at) {
  let a = 0,
    b = low.length;
  while (a < b) {
    const m = (a + b) >> 1;
    if (low[m] <= at) a = m + 1;
    else b = m;
  }
  return a > 0 && at < y[corners[k[a - 1]]] ? a - 1 : -1;
}

/** A row of pixels: three shares of light a pixel, and how much of the pixel is covered. */
class Row {
  /** @param {number} width */
  constructor(width) {
    this.width = width;
    this.sums = new Float32Array(4 * width);
  }

  /** Adds light from x = a to b, in pixels. @param {number} a @param {number} b @param {number} r @param {number} g
   * @param {number} bl @param {number} cover */
  add(a, b, r, g, bl, cover) {
    const { sums, width } = this;
    a = a < 0 ? 0 : a;
    b = b > width ? width : b;
    for (let i = Math.floor(a); i < b; i++) {
      const share = (b < i + 1 ? b : i + 1) - (a > i ? a : i),
        at = 4 * i;
      sums[at] += share * r;
      sums[at + 1] += share * g;
      sums[at + 2] += share * bl;
      sums[at + 3] += share * cover;
    }
  }
}

/** The regions that a line of samples meets, from left to right, and where each of them ends. */
class Runs {
  constructor() {
    this.count = 0;
    this.start = 0;
    this.faces = new Int32Array(4096);
    this.ends = new Float64Array(4096);
  }

  grow() {
    const faces = new Int32Array(2 * this.faces.length),
      ends = new Float64Array(2 * this.ends.length);
    faces.set(this.faces);
    ends.set(this.ends);
    this.faces = faces;
    this.ends = ends;
  }

  /** Follows a line at a height in the window's units, as far as `right`.
   * @param {Part} part @param {Border} left @param {number} at @param {number} right */
  follow({ corners, offsets, across, x, y, faces }, left, at, right) {
    this.count = 0;
    const n = entryAt({ corners, y }, left, at);
    if (n < 0) return;
    let f = left.f[n],
      first = offsets[f];
    const entry = left.k[n],
      a = corners[entry],
      c = corners[entry + 1 < offsets[f + 1] ? entry + 1 : first];
    let from = (this.start = x[a] + ((at - y[a]) / (y[c] - y[a])) * (x[c] - x[a]));
    for (let hop = 0; hop <= faces && f >= 0 && from < right; hop++) {
      first = offsets[f];
      const last = offsets[f + 1] - 1;
      let exit = -1;
      // The side from corner k to the next leads up where the line leaves the region.
      for (let k = last, high = y[corners[first]]; k >= first; k--) {
        const low = y[corners[k]];
        if (low <= at && at < high) {
          exit = k;
          break;
        }
        high = low;
      }
      if (exit < 0) return;
      const p = corners[exit],
        q = corners[exit < last ? exit + 1 : first],
        to = x[p] + ((at - y[p]) / (y[q] - y[p])) * (x[q] - x[p]);
      if (to > from) from = to;
      if (this.count === this.faces.length) this.grow();
      this.faces[this.count] = f;
      this.ends[this.count++] = from;
      f = across[exit];
    }
  }
}

/** Parts of one class that lie over regions, by the first row of pixels that they meet. */
class Over {
  /** @param {Part} part @param {Uint8Array} colours @param {(y: number) => number} py */
  constructor(part, colours, py) {
    this.part = part;
    this.colours = colours;
    const { faces, owner, partOffsets } = part,
      count = colours.length > 4 * faces ? owner.length : 0;
    this.first = new Int32Array(count);
    this.last = new Int32Array(count);
    for (let n = 0; n < count; n++) {
      let [low, high] = [Infinity, -Infinity];
      for (let k = partOffsets[n]; k < partOffsets[n + 1]; k++) {
        const row = py(this.place(k)[1]);
        low = Math.min(low, row);
        high = Math.max(high, row);
      }
      this.first[n] = Math.max(-1, Math.floor(low));
      this.last[n] = Math.floor(high);
    }
    this.order = Uint32Array.from({ length: count }, (_, n) => n).sort((a, b) => this.first[a] - this.first[b]);
    this.next = 0;
    /** @type {number[]} */
    this.open = [];
  }

  /** @param {number} k @returns {[number, number]} */
  place(k) {
    const { partCorners, vertices, x, y, addedX, addedY } = this.part,
      v = partCorners[k];
    return v < vertices ? [x[v], y[v]] : [addedX[v - vertices], addedY[v - vertices]];
  }

  /** Those that may meet row r. @param {number} r */
  enter(r) {
    const { order, first, last } = this;
    while (this.next < order.length && first[order[this.next]] <= r) this.open.push(order[this.next++]);
    this.open = this.open.filter((n) => last[n] >= r);
  }

  /** Puts their colours in the place of their regions'.
   * @param {Row} row @param {number} at @param {(x: number) => number} px
   * @param {number} weight */
  walk(row, at, px, weight) {
    const { part, colours } = this,
      { partOffsets, owner, faces } = part;
    for (const n of this.open) {
      let [from, to] = [Infinity, -Infinity];
      for (let k = partOffsets[n], end = partOffsets[n + 1]; k < end; k++) {
        const [ax, ay] = this.place(k),
          [bx, by] = this.place(k + 1 < end ? k + 1 : partOffsets[n]);
        if (ay <= at === by <= at) continue;
        const meets = px(ax + ((at - ay) / (by - ay)) * (bx - ax));
        from = Math.min(from, meets);
        to = Math.max(to, meets);
      }
      if (!(to > from && to > 0 && from < row.width)) continue;
      const p = 4 * (faces + n),
        f = 4 * owner[n],
        less = (/** @type {number} */ i) => weight * (colours[p + i] - colours[f + i]);
      row.add(from, to, less(0), less(1), less(2), 0);
    }
  }
}

/** Cells a side of the grid that knows where searches begin. */
const CELLS = 192;
/** @type {WeakMap<Part, Int32Array>} */
const grids = new WeakMap();

/** A region near a point of the window, where a search of it begins: few sides away however many regions there are.
 * @param {Part} part @param {number} px @param {number} py */
export function regionNear(part, px, py) {
  let grid = grids.get(part);
  if (!grid) grids.set(part, (grid = gridOf(part)));
  const cell = (/** @type {number} */ at) => Math.min(CELLS - 1, Math.max(0, Math.floor(((at + 1) / 2) * CELLS)));
  return grid[cell(py) * CELLS + cell(px)];
}

/** The region at the middle of every cell, 0 where there is none. @param {Part} part */
function gridOf(part) {
  const grid = new Int32Array(CELLS * CELLS),
    left = leftOf(part),
    runs = new Runs();
  for (let r = 0; r < CELLS; r++) {
    runs.follow(part, left, ((r + 0.5) / CELLS) * 2 - 1, 1);
    const cell = (/** @type {number} */ x) => ((x + 1) / 2) * CELLS - 0.5;
    let i = Math.max(0, Math.ceil(cell(runs.start)));
    for (let n = 0; n < runs.count; n++) {
      for (const last = Math.min(CELLS - 1, cell(runs.ends[n])); i <= last; i++) grid[r * CELLS + i] = runs.faces[n];
    }
  }
  return grid;
}

/**
 * The regions alone, four bytes a pixel.
 * @param {Part} part @param {Camera} camera @param {number} width @param {number} height in device pixels
 * @param {Uint8Array} colours @param {number[]} ground what lies round the window, shares of light
 */
export function regionPixels(part, camera, width, height, colours, ground) {
  const unit = pixelsOf(camera, width, height),
    lines = part.faces > CROWDED ? COARSE : FINE,
    weight = 1 / lines,
    left = leftOf(part),
    runs = new Runs(),
    row = new Row(width),
    pixels = new Uint8ClampedArray(4 * width * height);
  const px = (/** @type {number} */ x) => width / 2 + (x - camera.x) * unit,
    over = new Over(part, colours, (y) => height / 2 - (y - camera.y) * unit),
    [red, green, blue] = ground.map((share) => 255 * share);
  for (let r = 0; r < height; r++) {
    row.sums.fill(0);
    over.enter(r);
    for (let line = 0; line < lines; line++) {
      const at = camera.y - (r + (line + 0.5) / lines - height / 2) / unit;
      runs.follow(part, left, at, camera.x + width / 2 / unit);
      for (let n = 0, from = px(runs.start); n < runs.count; n++) {
        const c = 4 * runs.faces[n],
          to = px(runs.ends[n]);
        if (to > 0) row.add(from, to, weight * colours[c], weight * colours[c + 1], weight * colours[c + 2], weight);
        from = to;
      }
      if (over.open.length) over.walk(row, at, px, weight);
    }
    for (let i = 0, at = 4 * r * width; i < 4 * width; i += 4, at += 4) {
      const free = 1 - row.sums[i + 3];
      pixels[at] = row.sums[i] + free * red;
      pixels[at + 1] = row.sums[i + 1] + free * green;
      pixels[at + 2] = row.sums[i + 2] + free * blue;
      pixels[at + 3] = 255;
    }
  }
  return pixels;
}

/**
 * Adds to `cover` the area of each pixel that knots of the chosen layers cover, a pixel wide.
 * @param {Part} part @param {Camera} camera @param {number} width @param {number} height
 * @param {(layer: number) => boolean} on @param {Float32Array} cover
 */
export function knotCover(part, camera, width, height, on, cover) {
  const { x, y, ends, layerOf, edgeCount, layers } = part,
    unit = pixelsOf(camera, width, height),
    shown = layers.slice(1).map((_, l) => on(l)),
    [rx, ry] = [width / 2 / unit, height / 2 / unit];
  for (let e = 0; e < edgeCount; e++) {
    const l = layerOf[e];
    if (l < 0 || !shown[l]) continue;
    let ax = x[ends[2 * e]] - camera.x,
      ay = y[ends[2 * e]] - camera.y,
      dx = x[ends[2 * e + 1]] - camera.x - ax,
      dy = y[ends[2 * e + 1]] - camera.y - ay;
    const inside = Math.abs(ax) <= rx && Math.abs(ay) <= ry && Math.abs(ax + dx) <= rx && Math.abs(ay + dy) <= ry;
    if (!inside) {
      const part_ = within(ax, ay, ax + dx, ay + dy, rx, ry);
      if (!part_) continue;
      ax += part_[0] * dx;
      ay += part_[0] * dy;
      dx *= part_[1] - part_[0];
      dy *= part_[1] - part_[0];
    }
    stroke(cover, width, height, width / 2 + ax * unit, height / 2 - ay * unit, dx * unit, -dy * unit);
  }
}

/** A line from (x, y) on by (dx, dy), in pixels: its area is shared by the two pixels across it.
 * @param {Float32Array} cover @param {number} width @param {number} height @param {number} x @param {number} y
 * @param {number} dx @param {number} dy */
function stroke(cover, width, height, x, y, dx, dy) {
  const flat = Math.abs(dx) >= Math.abs(dy),
    steps = Math.max(1, Math.ceil(flat ? Math.abs(dx) : Math.abs(dy))),
    weight = Math.sqrt(dx * dx + dy * dy) / steps;
  const along = flat ? width : height,
    aside = flat ? height : width;
  for (let i = 0; i < steps; i++) {
    const t = (i + 0.5) / steps,
      u = Math.floor(flat ? x + t * dx : y + t * dy),
      v = (flat ? y + t * dy : x + t * dx) - 0.5,
      w = Math.floor(v),
      second = weight * (v - w);
    if (u < 0 || u >= along) continue;
    if (w >= 0 && w < aside) cover[flat ? w * width + u : u * width + w] += weight - second;
    if (w >= -1 && w < aside - 1) cover[flat ? (w + 1) * width + u : u * width + w + 1] += second;
  }
}

/** Lays ink over pixels where it covers them. @param {Uint8ClampedArray} pixels @param {Float32Array} cover
 * @param {number[]} ink shares of light @param {number} alpha of one knot */
export function lay(pixels, cover, ink, alpha) {
  const fade = Math.log(1 - alpha),
    [red, green, blue] = ink.map((share) => 255 * share);
  for (let i = 0, at = 0; i < cover.length; i++, at += 4) {
    if (!cover[i]) continue;
    const left = Math.exp(fade * cover[i]);
    pixels[at] = red + left * (pixels[at] - red);
    pixels[at + 1] = green + left * (pixels[at + 1] - green);
    pixels[at + 2] = blue + left * (pixels[at + 2] - blue);
  }
}

/** Length of all knots in half sides of the window. @type {WeakMap<Part, number>} */
const lengths = new WeakMap();

/** @param {Part} part */
export function knotLength(part) {
  let total = lengths.get(part);
  if (total !== undefined) return total;
  const { x, y, ends, layerOf, edgeCount } = part;
  total = 0;
  for (let e = 0; e < edgeCount; e++) {
    if (layerOf[e] < 0) continue;
    const dx = x[ends[2 * e]] - x[ends[2 * e + 1]],
      dy = y[ends[2 * e]] - y[ends[2 * e + 1]];
    total += Math.sqrt(dx * dx + dy * dy);
  }
  lengths.set(part, total);
  return total;
}
