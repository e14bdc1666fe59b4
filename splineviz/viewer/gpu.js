// gpu: the one WebGL2 context of a page, whichever number of explorers it shows; a lost one is made again.
//
// Pictures are painted here and copied into each view's own canvas, which keeps what it shows when the context goes.

/** @param {WebGL2RenderingContext} gl @param {string} vertex @param {string} fragment */
export function program(gl, vertex, fragment) {
  const made = gl.createProgram();
  for (const [kind, text] of /** @type {[number, string][]} */ ([
    [gl.VERTEX_SHADER, vertex],
    [gl.FRAGMENT_SHADER, fragment],
  ])) {
    const shader = /** @type {WebGLShader} */ (gl.createShader(kind));
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost()) {
      throw new Error(gl.getShaderInfoLog(shader) ?? "a shader does not compile");
    }
    gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  /** @type {Map<string, WebGLUniformLocation | null>} */
  const places = new Map();
  const at = (/** @type {string} */ name) => {
    if (!places.has(name)) places.set(name, gl.getUniformLocation(made, name));
    return places.get(name) ?? null;
  };
  return { made, at };
}

export const WIDTH = 4096;

/**
 * A texture of `count` items of `per` numbers in rows of WIDTH; make(size) fills an array of at least that many numbers.
 * @param {WebGL2RenderingContext} gl @param {number} internal @param {number} format @param {number} type
 * @param {(size: number) => ArrayBufferView} make @param {number} per @param {number} count
 */
export function texture(gl, internal, format, type, make, per, count) {
  const rows = Math.max(1, Math.ceil(count / WIDTH)),
    data = make(rows * WIDTH * per),
    made = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, made);
  for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
  gl.texImage2D(gl.TEXTURE_2D, 0, internal, WIDTH, rows, 0, format, type, data);
  return made;
}

/** Calls `changed` when the context is lost and again when there is one. */
export class Context {
  /** @param {() => void} lost @param {() => void} back */
  constructor(lost, back) {
    this.lost = lost;
    this.back = back;
    /** @type {WebGL2RenderingContext | null} */
    this.gl = null;
    this.timer = 0;
    /** Whether a program stands for the graphics hardware: it paints many regions slower than raster.js does. */
    this.software = false;
    this.open();
  }

  open() {
    const canvas = document.createElement("canvas");
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault(); // else it is never restored
      if (canvas !== this.canvas) return;
      this.lost();
      // A browser that does not restore it by itself gets a new one.
      this.timer = window.setTimeout(() => canvas === this.canvas && this.open(), 400);
    });
    canvas.addEventListener("webglcontextrestored", () => {
      clearTimeout(this.timer);
      if (canvas === this.canvas) this.back();
    });
    this.canvas = canvas;
    this.gl = canvas.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true, alpha: false });
    if (!this.gl) return;
    const named = this.gl.getExtension("WEBGL_debug_renderer_info"),
      renderer = this.gl.getParameter(named ? named.UNMASKED_RENDERER_WEBGL : this.gl.RENDERER);
    this.software = /swiftshader|llvmpipe|softpipe|software|basic render/i.test(String(renderer));
    this.back();
  }

  close() {
    clearTimeout(this.timer);
    const gl = this.gl;
    this.canvas = undefined;
    this.gl = null;
    gl?.getExtension("WEBGL_lose_context")?.loseContext();
  }
}
