// saving: the picture as PNG or SVG with its scale bar and its legend.
import { filterWords } from "./legend.js";
import { coloursOf } from "./paint.js";
import { panesOf } from "./comparing.js";
import { clip, partPlaces, visible } from "./complex.js";
import { pixelsOf, roundLength } from "./camera.js";
import { save } from "./dom.js";
import { formatNumber } from "./words.js";

/** @typedef {import("./explorer.js").Explorer} Explorer */

/** Regions in view above which an SVG holds them as a picture. */
const SHAPES = 40_000;
const LEGEND = 64;

/** The title, and what a filter shows. @param {Explorer} view */
const titleOf = (view) => [view.title.textContent, filterWords(view)].filter(Boolean).join(" · ");

/** Words and swatches of the legend as it stands in the page. @param {Explorer} view */
function legendWords(view) {
  const { legend } = view,
    items = [...legend.querySelectorAll("li")].map((item) => {
      const swatch = /** @type {HTMLElement | null} */ (item.querySelector("i"));
      return { text: item.textContent ?? "", colour: swatch?.style.background ?? "" };
    });
  const ends = [...legend.querySelectorAll(".sv-ends span")].map((one) => one.textContent ?? "");
  const heads = [...legend.children].filter((one) => one.tagName === "SPAN" && !one.className);
  const { density, palette } = { density: view.look.density, palette: view.meta.palette };
  return { items, ends, head: heads.map((one) => one.textContent).join(" · "), palette: density ? null : palette };
}

/**
 * Draws title and legend below the picture.
 * @param {CanvasRenderingContext2D} pen
 * @param {Explorer} view
 * @param {number} w
 * @param {number} top
 */
function drawLegend(pen, view, w, top) {
  const { items, ends, head } = legendWords(view),
    bar = /** @type {HTMLElement | null} */ (view.legend.querySelector(".sv-scale"));
  pen.fillStyle = "white";
  pen.fillRect(0, top, w, LEGEND);
  pen.fillStyle = "#111";
  pen.textBaseline = "middle";
  pen.font = "600 13px system-ui, sans-serif";
  pen.fillText(titleOf(view), 10, top + 14);
  pen.font = "12px system-ui, sans-serif";
  if (bar && ends.length === 3) {
    const palette = view.look.density ? null : view.meta.palette,
      shade = pen.createLinearGradient(10, 0, Math.min(330, w - 10), 0);
    (palette ?? ["#ffffff", "#fabf73", "#c73866", "#590f70", "#05031a"]).forEach((colour, i, all) => {
      shade.addColorStop(i / (all.length - 1), colour);
    });
    pen.fillStyle = shade;
    pen.fillRect(10, top + 26, Math.min(320, w - 20), 11);
    pen.fillStyle = "#111";
    ends.forEach((text, i) => {
      pen.textAlign = /** @type {const} */ (["left", "center", "right"])[i];
      pen.fillText(text, 10 + (Math.min(320, w - 20) * i) / 2, top + 48);
    });
    pen.textAlign = "left";
    return;
  }
  let x = 10;
  pen.fillText(head, x, top + 34);
  for (const { text, colour } of items) {
    const wide = pen.measureText(text).width + 26;
    if (x + wide > w) break;
    pen.fillStyle = colour;
    pen.fillRect(x, top + 46, 11, 11);
    pen.fillStyle = "#111";
    pen.fillText(text, x + 15, top + 52);
    x += wide;
  }
}

/** The picture, its scale bar and legend on a canvas. @param {Explorer} view */
export function composed(view) {
  const { stage, canvas } = view,
    scale = canvas.width / stage.clientWidth,
    sheet = document.createElement("canvas");
  sheet.width = canvas.width;
  sheet.height = canvas.height + Math.round(LEGEND * scale);
  const pen = /** @type {CanvasRenderingContext2D} */ (sheet.getContext("2d"));
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  view.scene.compose(pen);
  drawLegend(pen, view, stage.clientWidth, stage.clientHeight);
  return sheet;
}

/** @param {Explorer} view */
const named = (view) => `step-${view.meta.steps[view.index]}`;

/** @param {Explorer} view */
export function savePNG(view) {
  composed(view).toBlob((content) => content && save(`${named(view)}.png`, content), "image/png");
}

const escaped = (/** @type {string} */ text) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");

/** Faces, and the parts over them where the colours are those of parts. @param {Part} part @param {number[]} faces
 * @param {Uint8Array} colours */
function partsOfFaces({ faces: count, partStart }, faces, colours) {
  if (colours.length === 4 * count) return faces;
  return faces.flatMap((f) => [
    f,
    ...Array.from({ length: partStart[f + 1] - partStart[f] }, (_, n) => count + partStart[f] + n),
  ]);
}

/**
 * One step's regions, knots and boundary as vectors, cut at the view's rim.
 * @param {Explorer} view
 * @param {Pane} pane
 * @param {number[]} faces
 */
function shapes(view, pane, faces) {
  const { part, camera, left, width, height } = pane,
    unit = pixelsOf(camera, width, height),
    colours = coloursOf(part),
    reach = 1.2 * Math.max(width, height);
  const out = [],
    inks = view.scene.inked().ink.map((rgb) => `rgb(${rgb.map((share) => Math.round(255 * share)).join(",")})`);
  const px = (/** @type {number} */ x) => (x - camera.x) * unit,
    py = (/** @type {number} */ y) => (camera.y - y) * unit;
  const line = (/** @type {number[]} */ flat) =>
    clip(flat, reach)
      .slice(0, 4)
      .map((value) => +value.toFixed(2));
  const knots = part.layers.slice(1).map(() => new Set());
  for (const p of partsOfFaces(part, faces, colours)) {
    const shape = clip(
        partPlaces(part, p).map((value, i) => (i % 2 ? py(value) : px(value))),
        reach,
      ),
      shade = `rgb(${colours[4 * p]},${colours[4 * p + 1]},${colours[4 * p + 2]})`,
      points = shape.map((value) => value.toFixed(2)).join(" ");
    if (points) out.push(`<polygon points="${points}" fill="${shade}" stroke="${shade}" stroke-width="0.4"/>`);
  }
  for (const f of faces) {
    for (const e of part.sides.subarray(part.offsets[f], part.offsets[f + 1])) {
      if (part.layerOf[e] >= 0) knots[part.layerOf[e]].add(e);
    }
  }
  knots.forEach((edges, l) => {
    if (!view.look.knots || !view.look.layers[l]) return;
    const paths = [...edges].map((e) => {
      const [a, b] = [part.ends[2 * e], part.ends[2 * e + 1]],
        cut = line([px(part.x[a]), py(part.y[a]), px(part.x[b]), py(part.y[b])]);
      return cut.length === 4 ? `M${cut[0]} ${cut[1]}L${cut[2]} ${cut[3]}` : "";
    });
    out.push(`<path d="${paths.join("")}" fill="none" stroke="${inks[l]}" stroke-width="0.6" stroke-opacity="0.8"/>`);
  });
  if (view.look.boundary) {
    const s = part.boundary,
      m = part.segments,
      paths = Array.from({ length: m }, (_, i) => {
        const cut = line([px(s[i]), py(s[m + i]), px(s[2 * m + i]), py(s[3 * m + i])]);
        return cut.length === 4 ? `M${cut[0]} ${cut[1]}L${cut[2]} ${cut[3]}` : "";
      });
    out.push(`<path d="${paths.join("")}" fill="none" stroke="#e8000b" stroke-width="2" stroke-linecap="round"/>`);
  }
  const frame = `x="${left}" y="0" width="${width}" height="${height}"`;
  return `<svg ${frame} viewBox="${-width / 2} ${-height / 2} ${width} ${height}" overflow="hidden">${out.join("\n")}</svg>`;
}

/** @param {Explorer} view @returns {string} */
export function svgOf(view) {
  const { stage } = view,
    [w, h] = [stage.clientWidth, stage.clientHeight],
    panes = panesOf(view, 1);
  const body = panes.map((pane) => {
    const unit = pixelsOf(pane.camera, pane.width, pane.height),
      [rx, ry] = [pane.width / 2 / unit, pane.height / 2 / unit];
    const faces = visible(pane.part, pane.camera.x, pane.camera.y, rx, ry, 0, SHAPES);
    return faces && !view.look.density ? shapes(view, pane, faces) : null;
  });
  const whole = body.every((one) => one !== null) && !(panes.length > 1 && panes[1].left === 0);
  const picture = `<image width="${w}" height="${h}" href="${whole ? "" : view.canvas.toDataURL("image/png")}"/>`;
  const { items, ends, head } = legendWords(view);
  const swatches = items.map(({ text, colour }, i) => {
    const x = 10 + (i % 8) * 110,
      y = h + 44 + 16 * Math.floor(i / 8);
    const swatch = `<rect x="${x}" y="${y}" width="11" height="11" fill="${escaped(colour)}"/>`;
    return `${swatch}<text x="${x + 15}" y="${y + 10}">${escaped(text)}</text>`;
  });
  const pane = panes[panes.length - 1],
    unit = pixelsOf(pane.camera, pane.width, pane.height) / pane.part.half,
    length = roundLength(Math.min(160, 0.4 * pane.width) / unit),
    rows = Math.ceil(items.length / 8);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${h + 48 + 16 * rows}"`,
    `  font-family="sans-serif" font-size="12">`,
    `<rect width="100%" height="100%" fill="white"/>`,
    whole ? body.join("\n") : picture,
    `<path d="M${w - 14 - length * unit} ${h - 12}h${length * unit}" stroke="#111" stroke-width="2"/>`,
    `<text x="${w - 14}" y="${h - 18}" text-anchor="end">${formatNumber(length)}</text>`,
    `<text x="10" y="${h + 16}" font-weight="600">${escaped(titleOf(view))}</text>`,
    `<text x="10" y="${h + 34}">${escaped(ends.length ? `${ends[1]}: ${ends[0]} to ${ends[2]}` : head)}</text>`,
    ...swatches,
    "</svg>",
  ].join("\n");
}

/** @param {Explorer} view */
export function saveSVG(view) {
  save(`${named(view)}.svg`, new Blob([svgOf(view)], { type: "image/svg+xml" }));
}
