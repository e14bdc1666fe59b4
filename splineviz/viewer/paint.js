// paint: fills and knots with WebGL2. Two ways to the same picture:
//   whole   all of the step from textures; every coordinate is a pair of floats (high + low), less the camera's pair
//   local   few faces in view: gathered, re-centred and clipped in double precision, so that no zoom is too deep
import { clip, partPlaces, visible } from "./complex.js";

const WIDTH = 4096, LOCAL = 24000;

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

// Density: knots added up in a smaller picture, one a line and cell, then shown on a logarithmic scale. As legend.js.
const CELL = 3;
const SCREEN = `#version 300 es
out vec2 at;
void main() { vec2 p = vec2(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0); at = 0.5 * p + 0.5; gl_Position = vec4(p, 0.0, 1.0); }`;
const HEAT = `#version 300 es
precision highp float;
in vec2 at; uniform sampler2D counts; out vec4 pixel;
void main() {
  float t = 4.0 * min(log(1.0 + 255.0 * texture(counts, at).r) / log(256.0), 0.9999);
  vec3 a = vec3(1.0), b = vec3(0.98, 0.75, 0.45), c = vec3(0.78, 0.22, 0.4), d = vec3(0.35, 0.06, 0.44), e = vec3(0.02, 0.01, 0.1);
  pixel = vec4(t < 1.0 ? mix(a, b, t) : t < 2.0 ? mix(b, c, t - 1.0) : t < 3.0 ? mix(c, d, t - 2.0) : mix(d, e, t - 3.0), 1.0);
}`;

function program(gl, vertex, fragment = PIXEL) {
  const made = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text); gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  const at = (name) => gl.getUniformLocation(made, name);
  return { made, at };
}

function texture(gl, internal, format, type, make, per, count) {
  const rows = Math.max(1, Math.ceil(count / WIDTH)), data = make(rows * WIDTH * per), made = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, made);
  for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
  gl.texImage2D(gl.TEXTURE_2D, 0, internal, WIDTH, rows, 0, format, type, data);
  return made;
}

export class Painter {
  constructor(canvas) {
    this.canvas = canvas;
    const gl = (this.gl = canvas.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true }));
    if (!gl) throw new Error("expected a browser with WebGL2, got none; switch on hardware acceleration or use another browser.");
    this.whole = program(gl, WHOLE); this.local = program(gl, LOCALS); this.heat = program(gl, SCREEN, HEAT);
    this.empty = gl.createVertexArray();
    this.buffers = [gl.createBuffer(), gl.createBuffer()];
    this.held = new WeakMap(); this.order = [];
    gl.enable(gl.BLEND); gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  hold(part) {
    if (this.held.has(part)) return this.held.get(part);
    const gl = this.gl, { x, y, corners, offsets, faces } = part, whole = corners.length - 2 * faces, { partOffsets, partCorners } = part;
    const over = part.owner.length, triangles = whole + partCorners.length - 2 * over; // parts over faces come last, so they are seen
    const places = texture(gl, gl.RGBA32F, gl.RGBA, gl.FLOAT, (size) => {
      const data = new Float32Array(size), put = (v, a, b) => {
        data[4 * v] = a; data[4 * v + 1] = b;
        data[4 * v + 2] = a - data[4 * v]; data[4 * v + 3] = b - data[4 * v + 1];
      };
      for (let v = 0; v < part.vertices; v++) put(v, x[v], y[v]);
      for (let v = 0; v < part.places; v++) put(part.vertices + v, part.addedX[v], part.addedY[v]);
      return data;
    }, 4, part.vertices + part.places);
    const fans = texture(gl, gl.RGBA32UI, gl.RGBA_INTEGER, gl.UNSIGNED_INT, (size) => {
      const data = new Uint32Array(size);
      for (let f = 0, t = 0; f < faces; f++) {
        for (let k = offsets[f] + 1; k + 1 < offsets[f + 1]; k++, t += 4) {
          data[t] = corners[offsets[f]]; data[t + 1] = corners[k]; data[t + 2] = corners[k + 1]; data[t + 3] = f;
        }
      }
      for (let n = 0, t = 4 * whole; n < over; n++) {
        for (let k = partOffsets[n] + 1; k + 1 < partOffsets[n + 1]; k++, t += 4) {
          data[t] = partCorners[partOffsets[n]]; data[t + 1] = partCorners[k]; data[t + 2] = partCorners[k + 1]; data[t + 3] = faces + n;
        }
      }
      return data;
    }, 4, triangles);
    const layers = part.layers.length - 1, starts = new Uint32Array(layers + 1);
    for (const l of part.layerOf) if (l >= 0) starts[l + 1]++;
    for (let l = 0; l < layers; l++) starts[l + 1] += starts[l];
    let length = 0;
    const knots = texture(gl, gl.RGBA32UI, gl.RGBA_INTEGER, gl.UNSIGNED_INT, (size) => {
      const data = new Uint32Array(size), at = starts.slice();
      for (let e = 0; e < part.edgeCount; e++) {
        const l = part.layerOf[e];
        if (l < 0) continue;
        const a = part.ends[2 * e], b = part.ends[2 * e + 1], i = 4 * at[l]++;
        data[i] = a; data[i + 1] = b;
        length += Math.hypot(x[a] - x[b], y[a] - y[b]);
      }
      return data;
    }, 4, starts[layers]);
    const held = { places, fans, knots, whole, triangles, starts, length, shades: null };
    this.held.set(part, held); this.order.push(part);
    while (this.order.length > 6 || (this.order.length > 1 && this.order.reduce((n, p) => n + p.faces, 0) > 1.5e6)) this.drop(this.order.shift());
    return held;
  }

  drop(part) {
    const held = this.held.get(part);
    for (const made of [held.places, held.fans, held.knots, held.shades]) this.gl.deleteTexture(made);
    this.held.delete(part);
  }

  shade(part, colours) {
    const held = this.hold(part), gl = this.gl;
    if (held.shades) gl.deleteTexture(held.shades);
    held.colours = colours;
    held.shades = texture(gl, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, (size) => {
      const data = new Uint8Array(size);
      data.set(colours);
      return data;
    }, 4, colours.length / 4);
    held.shown = colours.length > 4 * part.faces ? held.triangles : held.whole;
  }

  // camera: {x, y, r} in the window's units, r is half the view's shorter side; look: knots, layers on, ink a layer
  draw(part, camera, look) {
    const gl = this.gl, held = this.hold(part), { width, height } = this.canvas, short = Math.min(width, height);
    if (look.density) this.beginDensity();
    else { gl.viewport(0, 0, width, height); gl.clearColor(1, 1, 1, 1); gl.clear(gl.COLOR_BUFFER_BIT); }
    const rx = (camera.r * width) / short, ry = (camera.r * height) / short;
    const share = Math.min(1, rx) * Math.min(1, ry);
    const few = share * part.faces < LOCAL ? visible(part, camera.x, camera.y, rx, ry, camera.face || 0, 2 * LOCAL) : null;
    if (few && few.length) { camera.face = few[0]; this.drawLocal(part, held, few, camera, rx, ry, look); }
    else this.drawWhole(part, held, camera, rx, ry, look);
    if (look.density) this.endDensity();
    this.way = few ? "local" : "whole";
  }

  beginDensity() {
    const gl = this.gl, w = Math.ceil(this.canvas.width / CELL), h = Math.ceil(this.canvas.height / CELL);
    if (!this.counts || this.countsSize !== w * 65536 + h) {
      if (this.counts) { gl.deleteTexture(this.counts); gl.deleteFramebuffer(this.sheet); }
      this.countsSize = w * 65536 + h; this.counts = gl.createTexture(); this.sheet = gl.createFramebuffer();
      gl.bindTexture(gl.TEXTURE_2D, this.counts);
      for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.LINEAR);
      for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, w, h, 0, gl.RGBA, gl.UNSIGNED_BYTE, null);
      gl.bindFramebuffer(gl.FRAMEBUFFER, this.sheet);
      gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, this.counts, 0);
    }
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.sheet);
    gl.viewport(0, 0, w, h); gl.clearColor(0, 0, 0, 0); gl.clear(gl.COLOR_BUFFER_BIT);
    gl.blendFunc(gl.ONE, gl.ONE);
  }

  endDensity() {
    const gl = this.gl, { made, at } = this.heat;
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.blendFunc(gl.ONE, gl.ZERO);
    gl.useProgram(made); gl.bindVertexArray(this.empty);
    gl.activeTexture(gl.TEXTURE0); gl.bindTexture(gl.TEXTURE_2D, this.counts); gl.uniform1i(at("counts"), 0);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  // The ink of a layer's knots; for the density one of 255 levels a knot.
  ink(look, l, alpha) { return look.density ? [1 / 255, 0, 0, 1] : [...look.ink[l], alpha]; }

  // Knots fade where they would cover more than they leave free.
  alpha(pixelsOfKnots, pixels) { return Math.min(0.9, Math.max(0.1, (0.34 * pixels) / Math.max(pixelsOfKnots, 1))); }

  drawWhole(part, held, camera, rx, ry, look) {
    const gl = this.gl, { made, at } = this.whole, { width, height } = this.canvas, f = Math.fround;
    gl.useProgram(made); gl.bindVertexArray(this.empty);
    const bind = (unit, name, what) => { gl.activeTexture(gl.TEXTURE0 + unit); gl.bindTexture(gl.TEXTURE_2D, what); gl.uniform1i(at(name), unit); };
    bind(0, "places", held.places); bind(1, "items", held.fans); bind(2, "shades", held.shades);
    gl.uniform4f(at("camera"), f(camera.x), f(camera.y), camera.x - f(camera.x), camera.y - f(camera.y));
    gl.uniform2f(at("zoom"), 1 / rx, 1 / ry);
    gl.uniform1i(at("corners"), 3); gl.uniform1i(at("start"), 0); gl.uniform4f(at("ink"), 0, 0, 0, 0);
    if (!look.density) gl.drawArrays(gl.TRIANGLES, 0, 3 * held.shown);
    if (!look.knots && !look.density) return;
    bind(1, "items", held.knots);
    gl.uniform1i(at("corners"), 2);
    const perUnit = width / (2 * rx), alpha = this.alpha(held.length * perUnit, 4 * perUnit * perUnit);
    look.layers.forEach((on, l) => {
      if (!on || held.starts[l + 1] === held.starts[l]) return;
      gl.uniform1i(at("start"), held.starts[l]); gl.uniform4f(at("ink"), ...this.ink(look, l, alpha));
      gl.drawArrays(gl.LINES, 0, 2 * (held.starts[l + 1] - held.starts[l]));
    });
  }

  drawLocal(part, held, faces, camera, rx, ry, look) {
    const { corners, offsets, x, y, sides, layerOf, ends } = part, fills = [], lines = part.layers.slice(1).map(() => []);
    const done = new Set(), tints = [];
    const sx = 1 / rx, sy = 1 / ry, colours = held.colours;
    let length = 0;
    for (const f of faces) {
      const points = [];
      for (let k = offsets[f]; k < offsets[f + 1]; k++) {
        const v = corners[k], e = sides[k], l = layerOf[e];
        points.push((x[v] - camera.x) * sx, (y[v] - camera.y) * sy);
        if (l < 0 || done.has(e)) continue;
        done.add(e);
        const a = ends[2 * e], b = ends[2 * e + 1];
        let ax = (x[a] - camera.x) * sx, ay = (y[a] - camera.y) * sy, bx = (x[b] - camera.x) * sx, by = (y[b] - camera.y) * sy;
        if (Math.max(Math.abs(ax), Math.abs(ay), Math.abs(bx), Math.abs(by)) > 4) {
          const cut = clip([ax, ay, bx, by], 4);
          if (cut.length < 4) continue;
          [ax, ay, bx, by] = cut;
        }
        lines[l].push(ax, ay, bx, by);
        length += Math.hypot((ax - bx) * this.canvas.width, (ay - by) * this.canvas.height) / 2;
      }
      const fill = (points, p) => {
        const shape = points.every((value) => Math.abs(value) <= 4) ? points : clip(points, 4);
        for (let i = 2; i + 3 < shape.length; i += 2) {
          fills.push(shape[0], shape[1], shape[i], shape[i + 1], shape[i + 2], shape[i + 3]);
          for (let n = 0; n < 3; n++) tints.push(colours[4 * p], colours[4 * p + 1], colours[4 * p + 2], 255);
        }
      };
      fill(points, f);
      if (colours.length === 4 * part.faces) continue;
      for (let p = part.faces + part.partStart[f]; p < part.faces + part.partStart[f + 1]; p++) {
        fill(partPlaces(part, p).map((value, i) => (i % 2 ? (value - camera.y) * sy : (value - camera.x) * sx)), p);
      }
    }
    const gl = this.gl, { made, at } = this.local;
    gl.useProgram(made); gl.bindVertexArray(null);
    const place = gl.getAttribLocation(made, "place"), tint = gl.getAttribLocation(made, "tint");
    const send = (points) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[0]);
      gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(points), gl.STREAM_DRAW);
      gl.enableVertexAttribArray(place); gl.vertexAttribPointer(place, 2, gl.FLOAT, false, 0, 0);
    };
    send(fills);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[1]);
    gl.bufferData(gl.ARRAY_BUFFER, new Uint8Array(tints), gl.STREAM_DRAW);
    gl.enableVertexAttribArray(tint); gl.vertexAttribPointer(tint, 4, gl.UNSIGNED_BYTE, true, 0, 0);
    gl.uniform4f(at("ink"), 0, 0, 0, 0);
    if (!look.density) gl.drawArrays(gl.TRIANGLES, 0, fills.length / 2);
    gl.disableVertexAttribArray(tint);
    if (!look.knots && !look.density) return;
    const alpha = this.alpha(length, this.canvas.width * this.canvas.height);
    look.layers.forEach((on, l) => {
      if (!on || !lines[l].length) return;
      send(lines[l]); gl.uniform4f(at("ink"), ...this.ink(look, l, alpha));
      gl.drawArrays(gl.LINES, 0, lines[l].length / 2);
    });
  }
}
