// curves: measures over training steps, with a cursor; a click on them names the nearest checkpoint, the hand reads values.
import { placeIn } from "./dom.js";
import { formatNumber } from "./words.js";

const PAD = { left: 44, right: 10, top: 20, bottom: 18 };
const FONT = "11px system-ui, sans-serif";

/** Places of steps in [0, 1], on a logarithmic axis with room for step 0. @param {number[]} steps */
export function stepPlaces(steps) {
  const positive = steps.filter((step) => step > 0),
    first = positive.length ? Math.min(...positive) : 1,
    room = steps[0] > 0 ? 0 : 0.6;
  const place = (/** @type {number} */ step) => (step > 0 ? Math.log10(step / first) + room : 0),
    span = place(steps[steps.length - 1]) || 1;
  return steps.map((step) => place(step) / span);
}

/** Least and largest of a panel's values with a margin, on its own scale. @param {Panel} panel */
export function rangeOf(panel) {
  let low = Infinity,
    high = -Infinity;
  for (const { values } of panel.curves) {
    for (const value of values) {
      if (value === null || (panel.logarithmic && value <= 0)) continue;
      const at = panel.logarithmic ? Math.log10(value) : value;
      low = Math.min(low, at);
      high = Math.max(high, at);
    }
  }
  if (panel.share || low > high) [low, high] = [0, 1];
  if (high <= low) high = low + 1;
  const gap = 0.06 * (high - low);
  return { low: low - gap, high: high + gap, gap };
}

/**
 * A number beside an axis: two digits, or all of them where it names a class.
 * @param {number} value @param {boolean} [whole]
 */
export function axisNumber(value, whole = false) {
  if (whole) return String(Math.round(value));
  return value >= 1e4 && value < 1e6 ? `${Math.round(value / 1e3)}k` : formatNumber(+value.toPrecision(2));
}

export class Curves {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Panel} panel
   * @param {number[]} steps
   * @param {(index: number) => void} pick
   */
  constructor(canvas, panel, steps, pick) {
    this.canvas = canvas;
    this.panel = panel;
    this.steps = steps;
    this.index = 0;
    this.hover = -1;
    this.at = stepPlaces(steps);
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      pick(this.nearest(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      this.hover = this.nearest(event);
      if (event.buttons) pick(this.hover);
      this.draw(this.index);
    });
    canvas.addEventListener("pointerleave", () => {
      this.hover = -1;
      this.draw(this.index);
    });
  }

  /** @param {PointerEvent} event */
  nearest(event) {
    const t = (placeIn(this.canvas, event)[0] - PAD.left) / (this.canvas.clientWidth - PAD.left - PAD.right);
    return this.at.reduce((best, place, i) => (Math.abs(place - t) < Math.abs(this.at[best] - t) ? i : best), 0);
  }

  /** @param {number} index the step at the cursor */
  draw(index) {
    this.index = index;
    const { canvas } = this,
      scale = window.devicePixelRatio || 1,
      w = canvas.clientWidth,
      h = canvas.clientHeight;
    if (!w || !h) return;
    canvas.width = w * scale;
    canvas.height = h * scale;
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")),
      style = getComputedStyle(canvas);
    pen.scale(scale, scale);
    const ink = style.color,
      rule = style.getPropertyValue("--sv-rule").trim() || "#e4e4e4",
      range = rangeOf(this.panel);
    const px = (/** @type {number} */ i) => PAD.left + this.at[i] * (w - PAD.left - PAD.right),
      py = (/** @type {number} */ value) => {
        const at = this.panel.logarithmic ? Math.log10(Math.max(value, 1e-300)) : value;
        return PAD.top + (1 - (at - range.low) / (range.high - range.low)) * (h - PAD.top - PAD.bottom);
      };
    this.drawAxes(pen, range, px, py, w, h, ink, rule);
    this.drawLines(pen, px, py);
    for (const [i, width] of [[index, 1], [this.hover, 0.5]]) {
      if (i < 0) continue;
      pen.strokeStyle = ink;
      pen.lineWidth = width;
      pen.beginPath();
      pen.moveTo(px(i), PAD.top);
      pen.lineTo(px(i), h - PAD.bottom);
      pen.stroke();
    } // prettier-ignore
    this.drawWords(pen, w, ink);
  }

  /** @param {CanvasRenderingContext2D} pen @param {any} range
   * @param {(i: number) => number} px @param {(v: number) => number} py
   * @param {number} w @param {number} h @param {string} ink @param {string} rule */
  drawAxes(pen, { low, high, gap }, px, py, w, h, ink, rule) {
    pen.font = FONT;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    for (let n = 0; n <= 2; n++) {
      if (this.panel.stepped && n === 1) continue; // there is no half a class
      const at = this.panel.share ? n / 2 : low + gap + ((high - low - 2 * gap) * n) / 2,
        value = this.panel.logarithmic ? 10 ** at : at;
      pen.strokeStyle = rule;
      pen.lineWidth = 1;
      pen.beginPath();
      pen.moveTo(PAD.left, py(value));
      pen.lineTo(w - PAD.right, py(value));
      pen.stroke();
      pen.fillStyle = ink;
      pen.fillText(axisNumber(value, this.panel.stepped), PAD.left - 5, py(value));
    }
    pen.textAlign = "center";
    let last = -1e9;
    this.steps.forEach((step, i) => {
      const decade = step === 0 || Math.abs(Math.log10(step) - Math.round(Math.log10(step))) < 1e-9;
      if (!decade || px(i) - last <= 34) return;
      pen.fillText(step >= 1e6 ? `${step / 1e6}M` : step >= 1e3 ? `${step / 1e3}k` : String(step), px(i), h - 8);
      last = px(i);
    });
  }

  /** @param {CanvasRenderingContext2D} pen @param {(i: number) => number} px @param {(v: number) => number} py */
  drawLines(pen, px, py) {
    for (const { color, dash, values } of this.panel.curves) {
      pen.strokeStyle = pen.fillStyle = this.shade(color);
      pen.setLineDash(dash ?? []);
      pen.lineWidth = 2;
      pen.beginPath();
      let down = false;
      values.forEach((value, i) => {
        if (value === null || (this.panel.logarithmic && value <= 0)) {
          down = false;
          return;
        }
        if (down && this.panel.stepped) pen.lineTo(px(i), py(values[i - 1] ?? value));
        if (down) pen.lineTo(px(i), py(value));
        else pen.moveTo(px(i), py(value));
        down = true;
      });
      pen.stroke();
      pen.setLineDash([]);
      for (const i of [this.index, this.hover]) {
        const value = values[i];
        if (value === null || value === undefined || (this.panel.logarithmic && value <= 0)) continue;
        pen.beginPath();
        pen.arc(px(i), py(value), 4, 0, 7);
        pen.fill();
      }
    }
  }

  /** Colours are made for white paper; on dark paper they are lightened. @param {string} color */
  shade(color) {
    const dark = getComputedStyle(this.canvas).getPropertyValue("--sv-dark").trim() === "1";
    return dark ? `color-mix(in srgb, ${color} 45%, white)` : color;
  }

  /** Title and names; while the hand is on the curves, their values there. @param {CanvasRenderingContext2D} pen
   * @param {number} w @param {string} ink */
  drawWords(pen, w, ink) {
    const { curves, title } = this.panel,
      i = this.hover >= 0 ? this.hover : -1;
    pen.textAlign = "left";
    pen.fillStyle = ink;
    pen.font = "600 12px system-ui, sans-serif";
    const head = i >= 0 ? `step ${this.steps[i].toLocaleString("en")}` : title;
    pen.fillText(head, PAD.left, 9);
    let right = w - PAD.right;
    const least = PAD.left + pen.measureText(head).width + 8;
    pen.textAlign = "right";
    pen.font = i >= 0 ? FONT : pen.font;
    for (const curve of [...curves].reverse()) {
      const value = i >= 0 ? curve.values[i] : null;
      if (i < 0 && curves.length < 2) break;
      const named = curves.length > 1 ? curve.label + " " : "",
        text = i < 0 ? curve.label : named + (value === null ? "–" : formatNumber(value));
      const wide = pen.measureText(text).width;
      if (right - wide < least) break;
      pen.fillStyle = ink; // a line beside it has the curve's colour, which need not be readable as text
      pen.fillText(text, right, 9);
      right -= wide + 4;
      pen.strokeStyle = this.shade(curve.color);
      pen.lineWidth = 2;
      pen.setLineDash(curve.dash ?? []);
      pen.beginPath();
      pen.moveTo(right - 16, 9);
      pen.lineTo(right, 9);
      pen.stroke();
      pen.setLineDash([]);
      right -= 26;
    }
  }
}
