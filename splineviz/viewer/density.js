// density: knots added up in a smaller picture, one a line and cell, then shown on a logarithmic scale.
import { program } from "./gpu.js";

const CELL = 3;
/** White over orange and violet to black: also in grey, more is darker. */
const STOPS = [
  [1, 1, 1],
  [0.98, 0.75, 0.45],
  [0.78, 0.22, 0.4],
  [0.35, 0.06, 0.44],
  [0.02, 0.01, 0.1],
];

/** The colour of a share of the scale, each part in [0, 1]. @param {number} t */
export function densityShade(t) {
  const at = Math.min(t, 0.9999) * 4,
    i = Math.floor(at);
  return STOPS[i].map((value, k) => value + (STOPS[i + 1][k] - value) * (at - i));
}

export const DENSITY_SHADES = Array.from({ length: 61 }, (_, i) => {
  const [r, g, b] = densityShade(i / 60);
  return `rgb(${Math.round(255 * r)}, ${Math.round(255 * g)}, ${Math.round(255 * b)})`;
});

const SCREEN = `#version 300 es
out vec2 at;
void main() {
  vec2 p = vec2(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0);
  at = 0.5 * p + 0.5; gl_Position = vec4(p, 0.0, 1.0);
}`;
const HEAT = `#version 300 es
precision highp float;
in vec2 at; uniform sampler2D counts; uniform vec3 stops[5]; out vec4 pixel;
void main() {
  float t = 4.0 * min(log(1.0 + 255.0 * texture(counts, at).r) / log(256.0), 0.9999);
  int i = int(t);
  pixel = vec4(mix(stops[i], stops[i + 1], t - float(i)), 1.0);
}`;

export class Density {
  /** @param {WebGL2RenderingContext} gl */
  constructor(gl) {
    this.gl = gl;
    this.heat = program(gl, SCREEN, HEAT);
    this.size = "";
    /** @type {WebGLTexture | null} */
    this.counts = null;
    /** @type {WebGLFramebuffer | null} */
    this.sheet = null;
  }

  /** What is drawn from now on is counted. @param {number} width @param {number} height */
  begin(width, height) {
    const gl = this.gl,
      w = Math.ceil(width / CELL),
      h = Math.ceil(height / CELL);
    if (this.size !== `${w} ${h}`) this.resize(w, h);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.sheet);
    gl.viewport(0, 0, w, h);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.blendFunc(gl.ONE, gl.ONE);
  }

  /** @param {number} w @param {number} h */
  resize(w, h) {
    const gl = this.gl;
    gl.deleteTexture(this.counts);
    gl.deleteFramebuffer(this.sheet);
    this.size = `${w} ${h}`;
    this.counts = gl.createTexture();
    this.sheet = gl.createFramebuffer();
    gl.bindTexture(gl.TEXTURE_2D, this.counts);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.LINEAR);
    for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) {
      gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
    }
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, w, h, 0, gl.RGBA, gl.UNSIGNED_BYTE, null);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.sheet);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, this.counts, 0);
  }

  /**
   * Shows the counts in the canvas.
   * @param {WebGLVertexArrayObject | null} empty
   * @param {number} width
   * @param {number} height
   */
  end(empty, width, height) {
    const gl = this.gl,
      { made, at } = this.heat;
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.viewport(0, 0, width, height);
    gl.blendFunc(gl.ONE, gl.ZERO);
    gl.useProgram(made);
    gl.bindVertexArray(empty);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.counts);
    gl.uniform1i(at("counts"), 0);
    gl.uniform3fv(at("stops"), STOPS.flat());
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }
}
