// curves: measures over training steps, with a cursor; a click on them names the nearest checkpoint, the hand reads values.
import { placeIn } from "./dom.js";
import { formatNumber } from "./words.js";

const PAD = { left: 44, right: 10, top: 20, bottom: 18 };
const FONT = "11px system-ui, sans-serif",
  HEAD = "600 12px system-ui, sans-serif",
  ROW = 15; // pixels of a second row, for names that have no room beside the title

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
    this.top = PAD.top;
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
      pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")),
      scale = window.devicePixelRatio || 1,
      w = canvas.clientWidth;
    if (!w || !canvas.clientHeight) return;
    const second = this.needsRow(pen, w);
    this.top = PAD.top + (second ? ROW : 0);
    canvas.style.height = second ? `calc(var(--sv-curve) + ${ROW}px)` : "";
    const h = canvas.clientHeight;
    canvas.width = w * scale;
    canvas.height = h * scale;
    const style = getComputedStyle(canvas);
    pen.scale(scale, scale);
    const ink = style.color,
      rule = style.getPropertyValue("--sv-rule").trim() || "#e4e4e4",
      range = rangeOf(this.panel);
    const px = (/** @type {number} */ i) => PAD.left + this.at[i] * (w - PAD.left - PAD.right),
      py = (/** @type {number} */ value) => {
        const at = this.panel.logarithmic ? Math.log10(Math.max(value, 1e-300)) : value;
        return this.top + (1 - (at - range.low) / (range.high - range.low)) * (h - this.top - PAD.bottom);
      };
    this.drawAxes(pen, range, px, py, w, h, ink, rule);
    this.drawLines(pen, px, py);
    for (const [i, width] of [[index, 1], [this.hover, 0.5]]) {
      if (i < 0) continue;
      pen.strokeStyle = ink;
      pen.lineWidth = width;
      pen.beginPath();
      pen.moveTo(px(i), this.top);
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

  /** Whether names, and values as long as they get, have no room beside the title: the same for every step and hand.
   * @param {CanvasRenderingContext2D} pen @param {number} w */
  needsRow(pen, w) {
    const { curves, title } = this.panel;
    if (curves.length < 2) return false;
    pen.font = HEAD;
    const head = Math.max(...[title, "step 888,888"].map((text) => pen.measureText(text).width));
    pen.font = FONT;
    const names = curves.reduce((sum, { label }) => sum + pen.measureText(`${label} 0.8888`).width + 30, 0);
    return PAD.left + head + 8 + names > w - PAD.right;
  }

  /** Title and names; while the hand is on the curves, their values there. @param {CanvasRenderingContext2D} pen
   * @param {number} w @param {string} ink */
  drawWords(pen, w, ink) {
    const { curves, title } = this.panel,
      i = this.hover >= 0 ? this.hover : -1,
      second = this.top > PAD.top;
    pen.textAlign = "left";
    pen.fillStyle = ink;
    pen.font = HEAD;
    pen.fillText(i >= 0 ? `step ${this.steps[i].toLocaleString("en")}` : title, PAD.left, 9);
    if (i < 0 && curves.length < 2) return;
    const texts = curves.map(({ label, values }) => {
      const value = i >= 0 ? values[i] : null,
        named = curves.length > 1 ? label + " " : "";
      return i < 0 ? label : named + (value === null ? "–" : formatNumber(value));
    });
    const size = this.sizeOf(pen, texts, second ? w - PAD.right - 4 : Infinity);
    pen.textAlign = "right";
    let right = w - PAD.right;
    const y = second ? 9 + ROW : 9;
    for (let n = curves.length - 1; n >= 0; n--) {
      pen.font = `${size}px system-ui, sans-serif`;
      pen.fillStyle = ink; // a line beside it has the curve's colour, which need not be readable as text
      pen.fillText(texts[n], right, y);
      right -= pen.measureText(texts[n]).width + 4;
      pen.strokeStyle = this.shade(curves[n].color);
      pen.lineWidth = 2;
      pen.setLineDash(curves[n].dash ?? []);
      pen.beginPath();
      pen.moveTo(right - 16, y);
      pen.lineTo(right, y);
      pen.stroke();
      pen.setLineDash([]);
      right -= 26;
    }
  }

  /** The largest size of letters, in pixels, at which texts with their lines fit side by side.
   * @param {CanvasRenderingContext2D} pen @param {string[]} texts @param {number} room */
  sizeOf(pen, texts, room) {
    for (let size = 11; size > 7; size -= 0.5) {
      pen.font = `${size}px system-ui, sans-serif`;
      if (texts.reduce((sum, text) => sum + pen.measureText(text).width + 30, -10) <= room) return size;
    }
    return 7;
  }
}
