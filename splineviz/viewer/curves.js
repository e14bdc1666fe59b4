// curves: measures over training steps, with a cursor; a click on them names the nearest checkpoint.

const PAD = { left: 44, right: 10, top: 20, bottom: 18 };

export class Curves {
  constructor(canvas, panel, steps, pick) {
    this.canvas = canvas; this.panel = panel; this.steps = steps;
    const positive = steps.filter((step) => step > 0), first = positive.length ? Math.min(...positive) : 1;
    const place = (step) => (step > 0 ? Math.log10(step / first) + (steps[0] > 0 ? 0 : 0.6) : 0), span = place(steps[steps.length - 1]) || 1;
    this.at = steps.map((step) => place(step) / span);
    const choose = (event) => {
      const box = canvas.getBoundingClientRect(), t = (event.clientX - box.left - PAD.left) / (box.width - PAD.left - PAD.right);
      let best = 0;
      this.at.forEach((place, i) => { if (Math.abs(place - t) < Math.abs(this.at[best] - t)) best = i; });
      pick(best);
    };
    canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); choose(event); });
    canvas.addEventListener("pointermove", (event) => { if (event.buttons) choose(event); });
  }

  draw(index) {
    const { canvas, panel } = this, scale = window.devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight;
    canvas.width = w * scale; canvas.height = h * scale;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const inner = { w: w - PAD.left - PAD.right, h: h - PAD.top - PAD.bottom };
    const values = panel.curves.flatMap((curve) => curve.values).filter((value) => value !== null);
    let low = panel.share ? 0 : Math.min(...values), high = panel.share ? 1 : Math.max(...values);
    if (high <= low) { high = low + 1; }
    const gap = 0.06 * (high - low); low -= gap; high += gap;
    const px = (i) => PAD.left + this.at[i] * inner.w, py = (value) => PAD.top + (1 - (value - low) / (high - low)) * inner.h;
    pen.font = "11px system-ui, sans-serif"; pen.textBaseline = "middle"; pen.textAlign = "right";
    for (let n = 0; n <= 2; n++) {
      const value = panel.share ? n / 2 : low + gap + ((high - low - 2 * gap) * n) / 2;
      pen.strokeStyle = "#e4e4e4"; pen.lineWidth = 1; pen.beginPath(); pen.moveTo(PAD.left, py(value)); pen.lineTo(w - PAD.right, py(value)); pen.stroke();
      pen.fillStyle = "#444"; pen.fillText(value >= 1e4 ? `${Math.round(value / 1e3)}k` : String(+value.toPrecision(2)), PAD.left - 5, py(value));
    }
    pen.textAlign = "left"; pen.fillStyle = "#111"; pen.font = "600 12px system-ui, sans-serif"; pen.fillText(panel.title, PAD.left, 9);
    pen.textAlign = "right";
    let right = w - PAD.right;
    for (const curve of [...panel.curves].reverse()) {
      if (panel.curves.length > 1) {
        pen.fillStyle = "#222"; pen.fillText(curve.label, right, 9); right -= pen.measureText(curve.label).width + 4;
        pen.strokeStyle = curve.color; pen.lineWidth = 2; pen.setLineDash(curve.dash ?? []);
        pen.beginPath(); pen.moveTo(right - 20, 9); pen.lineTo(right, 9); pen.stroke(); pen.setLineDash([]); right -= 30;
      }
      pen.strokeStyle = curve.color; pen.lineWidth = 2; pen.setLineDash(curve.dash ?? []); pen.beginPath();
      let down = false;
      curve.values.forEach((value, i) => {
        if (value === null) { down = false; return; }
        if (down) pen.lineTo(px(i), py(value)); else pen.moveTo(px(i), py(value));
        down = true;
      });
      pen.stroke(); pen.setLineDash([]);
      const value = curve.values[index];
      if (value !== null) { pen.fillStyle = curve.color; pen.beginPath(); pen.arc(px(index), py(value), 4, 0, 7); pen.fill(); }
    }
    pen.strokeStyle = "#222"; pen.lineWidth = 1; pen.beginPath(); pen.moveTo(px(index), PAD.top); pen.lineTo(px(index), h - PAD.bottom); pen.stroke();
    pen.font = "11px system-ui, sans-serif"; pen.fillStyle = "#444"; pen.textAlign = "center";
    let last = -1e9;
    this.steps.forEach((step, i) => {
      const decade = step === 0 || Math.abs(Math.log10(step) - Math.round(Math.log10(step))) < 1e-9;
      if (decade && px(i) - last > 34) { pen.fillText(step >= 1e6 ? `${step / 1e6}M` : step >= 1e3 ? `${step / 1e3}k` : step, px(i), h - 8); last = px(i); }
    });
  }
}
