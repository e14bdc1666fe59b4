// paint: fills and knots with WebGL2. Two ways to the same picture:
//   whole   all of the step from textures; every coordinate is a pair of floats (high + low), less the camera's pair
//   local   few faces in view: gathered in double precision (near.js)
import { visible } from "./complex.js";
import { Density } from "./density.js";
import { program, texture } from "./gpu.js";
import { gather } from "./near.js";

const LOCAL = 24000;
/** Regions of all steps, of all views, whose textures are kept; and steps. */
const TEXTURED = 1.5e6,
  MOST = 8;

const WHOLE = `#version 300 es
precision highp float; precision highp int;
uniform highp sampler2D places; uniform highp usampler2D items; uniform sampler2D shades;
uniform vec4 camera; uniform vec2 zoom; uniform int corners; uniform int start; uniform vec4 ink;
flat out vec4 shade;
ivec2 spot(int i) { return ivec2(i & 4095, i >> 12); }
void main() {
  int item = gl_VertexID / corners + start, k = gl_VertexID - corners * (gl_VertexID / corners);
  uvec4 q = texelFetch(items, spot(item), 0);
  vec4 p = texelFetch(places, spot(int(k == 0 ? q.x : k == 1 ? q.y : q.z)), 0);
  vec2 d = (p.xy - camera.xy) + (p.zw - camera.zw);
  shade = corners == 3 ? texelFetch(shades, spot(int(q.w)), 0) : ink;
  gl_Position = vec4(d * zoom, 0.0, 1.0);
}`;
const LOCALS = `#version 300 es
precision highp float;
in vec2 place; in vec4 tint; uniform vec4 ink; flat out vec4 shade;
void main() { shade = ink.a > 0.0 ? ink : tint; gl_Position = vec4(place, 0.0, 1.0); }`;
const PIXEL = `#version 300 es
precision highp float;
flat in vec4 shade; out vec4 pixel;
void main() { pixel = vec4(shade.rgb * shade.a, shade.a); }`;

/** What the painter needs of the look, beside the pane. @typedef {Look & {ink: number[][], ground: number[]}} Inked */

/** The colours of each step's faces; they outlive contexts. @type {WeakMap<Part, Uint8Array>} */
const colours = new WeakMap();
/** @param {Part} part @param {Uint8Array} found four bytes a face */
export const shade = (part, found) => colours.set(part, found);
export const coloursOf = (/** @type {Part} */ part) => colours.get(part) ?? new Uint8Array(4 * part.faces).fill(204);

export class Painter {
  /** @param {WebGL2RenderingContext} gl */
  constructor(gl) {
    this.gl = gl;
    this.whole = program(gl, WHOLE, PIXEL);
    this.local = program(gl, LOCALS, PIXEL);
    this.density = new Density(gl);
    this.empty = gl.createVertexArray();
    this.buffers = [gl.createBuffer(), gl.createBuffer()];
    /** @type {Map<Part, any>} those used last at the end */
    this.held = new Map();
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  /** @param {Part} part */
  hold(part) {
    const found = this.held.get(part);
    if (found) {
      this.held.delete(part);
      this.held.set(part, found);
      return found;
    }
    const own = part.corners.length - 2 * part.faces, // parts over faces come last, so they are seen
      triangles = own + part.partCorners.length - 2 * part.owner.length,
      { items, starts, length } = knotItems(part),
      { gl } = this;
    const whole = (/** @type {any} */ data, /** @type {number} */ count) =>
      texture(gl, gl.RGBA32UI, gl.RGBA_INTEGER, gl.UNSIGNED_INT, (size) => padded(data, size), 4, count);
    const held = {
      places: texture(gl, gl.RGBA32F, gl.RGBA, gl.FLOAT, (size) => pairs(part, size), 4, part.vertices + part.places),
      fans: whole(fans(part, triangles), triangles),
      knots: whole(items, starts[starts.length - 1]),
      own, triangles, starts, length, shades: null, shown: null,
    }; // prettier-ignore
    this.held.set(part, held);
    for (const old of this.held.keys()) {
      const faces = [...this.held.keys()].reduce((n, one) => n + one.faces, 0);
      if (old === part || (this.held.size <= MOST && faces <= TEXTURED)) break;
      this.drop(old);
    }
    return held;
  }

  /** Frees what a step takes. @param {Part} part */
  drop(part) {
    const held = this.held.get(part);
    if (!held) return;
    for (const made of [held.places, held.fans, held.knots, held.shades]) this.gl.deleteTexture(made);
    this.held.delete(part);
  }

  /** The step's textures with its present colours. @param {Part} part */
  shaded(part) {
    const held = this.hold(part),
      gl = this.gl,
      wanted = coloursOf(part);
    if (held.shown === wanted) return held;
    gl.deleteTexture(held.shades);
    held.shown = wanted;
    held.shades = texture(
      gl,
      gl.RGBA8,
      gl.RGBA,
      gl.UNSIGNED_BYTE,
      (size) => padded(wanted, size),
      4,
      wanted.length / 4,
    );
    held.seen = wanted.length > 4 * part.faces ? held.triangles : held.own;
    return held;
  }

  /**
   * Paints a pane into the lower left corner of the context's canvas.
   * @param {Pane} pane in device pixels
   * @param {Inked} look
   */
  draw({ part, camera, width, height }, look) {
    const gl = this.gl,
      held = this.shaded(part),
      short = Math.min(width, height);
    if (look.density) this.density.begin(width, height);
    else {
      gl.viewport(0, 0, width, height);
      gl.enable(gl.SCISSOR_TEST);
      gl.scissor(0, 0, width, height);
      gl.clearColor(look.ground[0], look.ground[1], look.ground[2], 1);
      gl.clear(gl.COLOR_BUFFER_BIT);
      gl.disable(gl.SCISSOR_TEST);
    }
    const rx = (camera.r * width) / short,
      ry = (camera.r * height) / short;
    const share = Math.min(1, rx) * Math.min(1, ry);
    const near = share * part.faces < LOCAL;
    const few = near ? visible(part, camera.x, camera.y, rx, ry, camera.face || 0, 2 * LOCAL) : null;
    if (few?.length) {
      camera.face = few[0];
      this.drawLocal(part, few, camera, rx, ry, look, width, height);
    } else this.drawWhole(held, camera, rx, ry, look, width);
    if (look.density) this.density.end(this.empty, width, height);
    this.way = few ? "local" : "whole";
  }

  /** The ink of a layer's knots; for the density one of 255 levels a knot.
   * @param {Inked} look @param {number} l @param {number} alpha @returns {[number, number, number, number]} */
  ink(look, l, alpha) {
    const [red, green, blue] = look.ink[l];
    return look.density ? [1 / 255, 0, 0, 1] : [red, green, blue, alpha];
  }

  /**
   * @param {any} held
   * @param {Camera} camera
   * @param {number} rx
   * @param {number} ry
   * @param {Inked} look
   * @param {number} width
   */
  drawWhole(held, camera, rx, ry, look, width) {
    const gl = this.gl,
      { made, at } = this.whole,
      f = Math.fround;
    gl.useProgram(made);
    gl.bindVertexArray(this.empty);
    [["places", held.places], ["items", held.fans], ["shades", held.shades]].forEach(([name, what], unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, what);
      gl.uniform1i(at(name), unit);
    }); // prettier-ignore
    gl.uniform4f(at("camera"), f(camera.x), f(camera.y), camera.x - f(camera.x), camera.y - f(camera.y));
    gl.uniform2f(at("zoom"), 1 / rx, 1 / ry);
    gl.uniform1i(at("corners"), 3);
    gl.uniform1i(at("start"), 0);
    gl.uniform4f(at("ink"), 0, 0, 0, 0);
    if (!look.density) gl.drawArrays(gl.TRIANGLES, 0, 3 * held.seen);
    if (!look.knots && !look.density) return;
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, held.knots);
    gl.uniform1i(at("corners"), 2);
    const perUnit = width / (2 * rx),
      alpha = opacity(held.length * perUnit, 4 * perUnit * perUnit);
    look.layers.forEach((on, l) => {
      if (!on || held.starts[l + 1] === held.starts[l]) return;
      gl.uniform1i(at("start"), held.starts[l]);
      gl.uniform4f(at("ink"), ...this.ink(look, l, alpha));
      gl.drawArrays(gl.LINES, 0, 2 * (held.starts[l + 1] - held.starts[l]));
    });
  }

  /** @param {Part} part @param {number[]} faces @param {Camera} camera @param {number} rx @param {number} ry
   * @param {Inked} look @param {number} width @param {number} height */
  drawLocal(part, faces, camera, rx, ry, look, width, height) {
    const { fills, tints, lines } = gather(part, faces, camera, rx, ry, coloursOf(part));
    const gl = this.gl,
      { made, at } = this.local;
    gl.useProgram(made);
    gl.bindVertexArray(null);
    const place = gl.getAttribLocation(made, "place"),
      tint = gl.getAttribLocation(made, "tint");
    const send = (/** @type {Float32Array} */ points) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[0]);
      gl.bufferData(gl.ARRAY_BUFFER, points, gl.STREAM_DRAW);
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, 2, gl.FLOAT, false, 0, 0);
    };
    send(fills);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[1]);
    gl.bufferData(gl.ARRAY_BUFFER, tints, gl.STREAM_DRAW);
    gl.enableVertexAttribArray(tint);
    gl.vertexAttribPointer(tint, 4, gl.UNSIGNED_BYTE, true, 0, 0);
    gl.uniform4f(at("ink"), 0, 0, 0, 0);
    if (!look.density) gl.drawArrays(gl.TRIANGLES, 0, fills.length / 2);
    gl.disableVertexAttribArray(tint);
    if (!look.knots && !look.density) return;
    let length = 0;
    for (const line of lines) {
      for (let i = 0; i < line.length; i += 4) {
        length += Math.hypot((line[i] - line[i + 2]) * width, (line[i + 1] - line[i + 3]) * height) / 2;
      }
    }
    const alpha = opacity(length, width * height);
    look.layers.forEach((on, l) => {
      if (!on || !lines[l].length) return;
      send(new Float32Array(lines[l]));
      gl.uniform4f(at("ink"), ...this.ink(look, l, alpha));
      gl.drawArrays(gl.LINES, 0, lines[l].length / 2);
    });
  }
}

/** Knots fade where they would cover more than they leave free. @param {number} pixelsOfKnots @param {number} pixels */
export function opacity(pixelsOfKnots, pixels) {
  return Math.min(0.9, Math.max(0.1, (0.34 * pixels) / Math.max(pixelsOfKnots, 1)));
}

/** @template {Uint8Array | Uint32Array} T @param {T} data @param {number} size @returns {T} */
function padded(data, size) {
  const whole = new /** @type {any} */ (data.constructor)(size);
  whole.set(data);
  return whole;
}

/** Every place as a float and what it leaves over. @param {Part} part @param {number} size */
function pairs({ x, y, vertices, places, addedX, addedY }, size) {
  const data = new Float32Array(size);
  const put = (/** @type {number} */ v, /** @type {number} */ a, /** @type {number} */ b) => {
    data[4 * v] = a;
    data[4 * v + 1] = b;
    data[4 * v + 2] = a - data[4 * v];
    data[4 * v + 3] = b - data[4 * v + 1];
  };
  for (let v = 0; v < vertices; v++) put(v, x[v], y[v]);
  for (let n = 0; n < places; n++) put(vertices + n, addedX[n], addedY[n]);
  return data;
}

/** Three corners and the face, or the part over faces, of each triangle. @param {Part} part @param {number} triangles */
function fans({ corners, offsets, faces, partCorners, partOffsets, owner }, triangles) {
  const data = new Uint32Array(4 * triangles);
  let t = 0;
  const fan = (
    /** @type {Numbers} */ ids,
    /** @type {number} */ from,
    /** @type {number} */ to,
    /** @type {number} */ p,
  ) => {
    for (let k = from + 1; k + 1 < to; k++, t += 4) {
      data[t] = ids[from];
      data[t + 1] = ids[k];
      data[t + 2] = ids[k + 1];
      data[t + 3] = p;
    }
  };
  for (let f = 0; f < faces; f++) fan(corners, offsets[f], offsets[f + 1], f);
  for (let n = 0; n < owner.length; n++) fan(partCorners, partOffsets[n], partOffsets[n + 1], faces + n);
  return data;
}

/** Knots layer after layer, where each layer begins, and their length in all. @param {Part} part */
function knotItems({ layers, layerOf, ends, edgeCount, x, y }) {
  const starts = new Uint32Array(layers.length);
  for (const l of layerOf) if (l >= 0) starts[l + 1]++;
  for (let l = 1; l < starts.length; l++) starts[l] += starts[l - 1];
  const items = new Uint32Array(4 * starts[starts.length - 1]),
    at = starts.slice();
  let length = 0;
  for (let e = 0; e < edgeCount; e++) {
    if (layerOf[e] < 0) continue;
    const a = ends[2 * e],
      b = ends[2 * e + 1],
      i = 4 * at[layerOf[e]]++;
    items[i] = a;
    items[i + 1] = b;
    length += Math.hypot(x[a] - x[b], y[a] - y[b]);
  }
  return { items, starts, length };
}
