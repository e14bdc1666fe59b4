// overlay: what lies over the regions, in double precision on 2D canvases: boundary, anchors, highlights, pins, the scale.
import { segmentMeets } from "./complex.js";
import { pixelsOf, roundLength, toPixels } from "./camera.js";
import { formatNumber } from "./words.js";

/** @typedef {import("./explorer.js").Explorer} Explorer */
/** @typedef {CanvasRenderingContext2D} Pen */

const BLUE = "#0050c8",
  RED = "#e8000b",
  ORANGE = "#d0590a";

/** @param {Pen} pen @param {number} width @param {string} colour @param {string} [halo] */
function strokes(pen, width, colour, halo = "white") {
  pen.lineCap = pen.lineJoin = "round";
  pen.lineWidth = width + 2;
  pen.strokeStyle = halo;
  pen.stroke();
  pen.lineWidth = width;
  pen.strokeStyle = colour;
  pen.stroke();
}

/** Lines from (ax, ay) to (bx, by) as far as they may be in view. @param {Pen} pen @param {Pane} pane */
function liner(pen, pane) {
  const { camera, width, height } = pane,
    unit = pixelsOf(camera, width, height),
    rx = (1.1 * width) / 2 / unit,
    ry = (1.1 * height) / 2 / unit;
  return (/** @type {number} */ ax, /** @type {number} */ ay, /** @type {number} */ bx, /** @type {number} */ by) => {
    if (!segmentMeets(ax - camera.x, ay - camera.y, bx - camera.x, by - camera.y, rx, ry)) return;
    pen.moveTo(...toPixels(pane, ax, ay));
    pen.lineTo(...toPixels(pane, bx, by));
  };
}

/** @param {Pen} pen @param {Pane} pane @param {number[]} faces */
function outline(pen, pane, faces) {
  const { part } = pane;
  pen.beginPath();
  for (const f of faces) {
    for (let k = part.offsets[f]; k < part.offsets[f + 1]; k++) {
      const v = part.corners[k],
        at = toPixels(pane, part.x[v], part.y[v]);
      if (k === part.offsets[f]) pen.moveTo(...at);
      else pen.lineTo(...at);
    }
    pen.closePath();
  }
}

/** The decision boundary's segments. @param {Pen} pen @param {Pane} pane @param {Part} of */
function boundaryPath(pen, pane, of) {
  const line = liner(pen, pane),
    s = of.boundary,
    m = of.segments,
    scale = of.half / pane.part.half,
    dx = (of.middle[0] - pane.part.middle[0]) / pane.part.half,
    dy = (of.middle[1] - pane.part.middle[1]) / pane.part.half;
  pen.beginPath();
  for (let i = 0; i < m; i++) {
    line(dx + scale * s[i], dy + scale * s[m + i], dx + scale * s[2 * m + i], dy + scale * s[3 * m + i]);
  }
}

/**
 * Knots of one unit, flat u0, v0, u1, v1 in plane coordinates.
 * @param {Pen} pen
 * @param {Pane} pane
 * @param {ArrayLike<number>} flat
 */
function knotPath(pen, pane, flat) {
  const line = liner(pen, pane),
    { middle, half } = pane.part;
  const x = (/** @type {number} */ u) => (u - middle[0]) / half,
    y = (/** @type {number} */ v) => (v - middle[1]) / half;
  pen.beginPath();
  for (let i = 0; i < flat.length; i += 4) line(x(flat[i]), y(flat[i + 1]), x(flat[i + 2]), y(flat[i + 3]));
}

/** What only changes with the camera and the choice. @param {Pen} pen @param {Explorer} view @param {Pane[]} panes */
export function drawUnder(pen, view, panes) {
  const { stage } = view;
  pen.clearRect(0, 0, stage.clientWidth, stage.clientHeight);
  panes.forEach((pane, i) => {
    pen.save();
    pen.beginPath();
    pen.rect(pane.left, 0, pane.width, pane.height);
    pen.clip();
    underOne(pen, view, pane);
    if (i) {
      pen.fillStyle = "#222";
      pen.fillRect(pane.left - 1, 0, 2, pane.height);
    }
    if (panes.length > 1)
      label(pen, `step ${view.meta.steps[pane.index].toLocaleString("en")}`, pane.left + (i ? 10 : 50), 8);
    pen.restore();
  });
  drawScale(pen, panes[panes.length - 1]);
}

/** @param {Pen} pen @param {Explorer} view @param {Pane} pane */
function underOne(pen, view, pane) {
  const { look, meta, part } = view,
    now = pane.part === part;
  if (look.boundary) {
    for (const past of view.comparing.pastBoundaries(pane)) {
      boundaryPath(pen, pane, past);
      pen.setLineDash([7, 5]);
      strokes(pen, 2.2, "#222");
      pen.setLineDash([]);
    }
    boundaryPath(pen, pane, pane.part);
    strokes(pen, 2.4, RED, "rgb(255 255 255 / 0.75)");
  }
  view.following.trail(pane.index).forEach(([knot, age]) => {
    knotPath(pen, pane, knot);
    pen.globalAlpha = 1 - 0.85 * age;
    strokes(pen, age ? 1.4 : 2.6, age ? ORANGE : BLUE);
    pen.globalAlpha = 1;
  });
  if (now && view.selection.border.length) {
    pen.beginPath();
    const line = liner(pen, pane),
      b = view.selection.border;
    for (let i = 0; i < b.length; i += 4) line(b[i], b[i + 1], b[i + 2], b[i + 3]);
    strokes(pen, 2.6, BLUE);
  }
  if (now && view.neighbours.length) {
    outline(pen, pane, view.neighbours);
    pen.fillStyle = "rgb(255 255 255 / 0.45)";
    pen.fill();
    pen.lineWidth = 1;
    pen.strokeStyle = "#333";
    pen.stroke();
  }
  if (now && view.pinned >= 0) {
    outline(pen, pane, [view.pinned]);
    strokes(pen, 2.6, BLUE);
  }
  const { middle, half } = pane.part,
    at = (/** @type {[number, number]} */ [u, v]) => toPixels(pane, (u - middle[0]) / half, (v - middle[1]) / half);
  if (view.pin) drawPin(pen, at(view.pin));
  if (look.anchors) meta.anchors.forEach((uv, i) => drawAnchor(pen, at(uv), view.thumbnails[i], pane));
}

/** What follows the hand. @param {Pen} pen @param {Explorer} view @param {Pane[]} panes */
export function drawOver(pen, view, panes) {
  const { stage, hover, pinned, line, part } = view,
    w = stage.clientWidth,
    h = stage.clientHeight;
  if (!view.scene.copying) pen.clearRect(0, 0, w, h);
  if (hover >= 0 && hover !== pinned && !view.scene.copying) {
    for (const pane of panes) {
      if (pane.part !== part) continue;
      pen.save();
      pen.beginPath();
      pen.rect(pane.left, 0, pane.width, pane.height);
      pen.clip();
      outline(pen, pane, [hover]);
      strokes(pen, 1.8, "#111");
      pen.restore();
    }
  }
  if (line) {
    pen.beginPath();
    for (let i = 0; i < line.length; i += 2) pen.lineTo(line[i], line[i + 1]);
    pen.closePath();
    pen.fillStyle = "rgb(0 90 200 / 0.12)";
    pen.fill();
    pen.setLineDash([5, 4]);
    strokes(pen, 1.5, BLUE);
    pen.setLineDash([]);
  }
  if (stage.matches(":focus-visible")) drawCross(pen, panes[panes.length - 1]);
}

/** Where Enter asks. @param {Pen} pen @param {Pane} pane */
function drawCross(pen, { left, width, height }) {
  const [x, y] = [left + width / 2, height / 2];
  pen.beginPath();
  for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    pen.moveTo(x + 4 * dx, y + 4 * dy);
    pen.lineTo(x + 14 * dx, y + 14 * dy);
  } // prettier-ignore
  strokes(pen, 1.6, BLUE);
}

/** @param {Pen} pen @param {string} text @param {number} x @param {number} y */
function label(pen, text, x, y) {
  pen.font = "600 12px system-ui, sans-serif";
  pen.textBaseline = "top";
  const wide = pen.measureText(text).width;
  pen.fillStyle = "rgb(255 255 255 / 0.88)";
  pen.fillRect(x - 4, y - 3, wide + 8, 20);
  pen.fillStyle = "#111";
  pen.fillText(text, x, y);
}

/** A round length in input-space units, and how often the view is enlarged. @param {Pen} pen @param {Pane} pane */
function drawScale(pen, { part, camera, left, width, height }) {
  const unit = pixelsOf(camera, width, height) / part.half,
    length = roundLength(Math.min(160, 0.4 * width) / unit),
    wide = length * unit,
    [x, y] = [left + width - 14 - wide, height - 14];
  const times = 1 / camera.r,
    text = times > 1.5 ? `${formatNumber(length)}  ·  ×${formatNumber(+times.toPrecision(3))}` : formatNumber(length);
  pen.font = "600 12px system-ui, sans-serif";
  const textWide = Math.max(wide, pen.measureText(text).width);
  pen.fillStyle = "rgb(255 255 255 / 0.88)";
  pen.fillRect(left + width - 20 - textWide, y - 24, textWide + 12, 32);
  pen.beginPath();
  for (const [a, b, c, d] of [[x, y, x + wide, y], [x, y - 4, x, y + 4], [x + wide, y - 4, x + wide, y + 4]]) {
    pen.moveTo(a, b);
    pen.lineTo(c, d);
  } // prettier-ignore
  pen.lineWidth = 2;
  pen.strokeStyle = "#111";
  pen.stroke();
  pen.fillStyle = "#111";
  pen.textBaseline = "bottom";
  pen.fillText(text, left + width - 14 - textWide, y - 5);
}

/** @param {Pen} pen @param {[number, number]} at */
function drawPin(pen, [x, y]) {
  pen.beginPath();
  pen.arc(x, y, 5.5, 0, 7);
  strokes(pen, 2.4, BLUE);
  pen.beginPath();
  pen.arc(x, y, 1.6, 0, 7);
  pen.fillStyle = BLUE;
  pen.fill();
}

/**
 * @param {Pen} pen
 * @param {[number, number]} at
 * @param {HTMLCanvasElement | null | undefined} picture
 * @param {Pane} pane
 */
function drawAnchor(pen, [x, y], picture, { left, width, height }) {
  if (x < left - 50 || y < -50 || x > left + width + 50 || y > height + 50) return;
  if (picture) {
    const size = 44,
      from = x + (x > left + width / 2 ? 14 : -14 - size),
      top = y - size / 2;
    pen.fillStyle = "white";
    pen.fillRect(from - 2, top - 2, size + 4, size + 4);
    pen.strokeStyle = "black";
    pen.lineWidth = 1;
    pen.strokeRect(from - 2, top - 2, size + 4, size + 4);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(picture, from, top, size, size);
  }
  pen.beginPath();
  for (let i = 0; i < 10; i++) {
    const r = i % 2 ? 4.6 : 11,
      a = (i * Math.PI) / 5 - Math.PI / 2;
    pen.lineTo(x + r * Math.cos(a), y + r * Math.sin(a));
  }
  pen.closePath();
  pen.fillStyle = "white";
  pen.fill();
  pen.strokeStyle = "black";
  pen.lineWidth = 1.3;
  pen.stroke();
}

/**
 * An input of the plane as a picture; null where inputs are no pictures.
 * @param {Meta} meta
 * @param {number} u
 * @param {number} v
 */
export function pictureAt(meta, u, v) {
  if (!meta.picture) return null;
  const { height, width, channels, planes, low, high } = meta.picture,
    canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const pen = /** @type {Pen} */ (canvas.getContext("2d")),
    image = pen.createImageData(width, height),
    [o, e1, e2] = planes;
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) {
      const k = i * channels + (channels === 3 ? c : 0);
      image.data[4 * i + c] = (255 * (o[k] + u * e1[k] + v * e2[k] - low)) / (high - low);
    }
    image.data[4 * i + 3] = 255;
  }
  pen.putImageData(image, 0, 0);
  return canvas;
}

/** Where the view is in the window, when it is deep. @param {HTMLCanvasElement} canvas @param {Camera} camera */
export function drawMinimap(canvas, camera) {
  canvas.hidden = camera.r > 0.3;
  if (canvas.hidden) return;
  const pen = /** @type {Pen} */ (canvas.getContext("2d")),
    side = canvas.width,
    at = (/** @type {number} */ x, sign = 1) => side / 2 + (sign * x * (side - 8)) / 2,
    half = Math.max(2, (camera.r * (side - 8)) / 2);
  pen.clearRect(0, 0, side, side);
  pen.fillStyle = "rgb(255 255 255 / 0.9)";
  pen.fillRect(0, 0, side, side);
  pen.strokeStyle = "#222";
  pen.strokeRect(4, 4, side - 8, side - 8);
  pen.beginPath();
  pen.rect(at(camera.x) - half, at(camera.y, -1) - half, 2 * half, 2 * half);
  strokes(pen, 2, BLUE);
}
