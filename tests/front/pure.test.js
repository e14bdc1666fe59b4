// The pure modules by node's own runner: camera, address, colours, complex, curves, keys, selection.
import assert from "node:assert/strict";
import { test } from "node:test";
import { History, bounded, panned, roundLength, toPixels, toPlane, zoomed } from "../../splineviz/viewer/camera.js";
import { figureCommand, fromAddress, toAddress } from "../../splineviz/viewer/address.js";
import { colourChanges, hexBytes, pale } from "../../splineviz/viewer/colours.js";
import { answersAt, clip, connect, locate, within } from "../../splineviz/viewer/complex.js";
import { densityAt } from "../../splineviz/viewer/follow.js";
import { knotCover, knotLength, lay, regionNear, regionPixels } from "../../splineviz/viewer/raster.js";
import { axisNumber, rangeOf, stepPlaces } from "../../splineviz/viewer/curves.js";
import { unitHashes, walk } from "../../splineviz/viewer/restore.js";
import { classCounts, histogram, rimOf, tableOf } from "../../splineviz/viewer/selection.js";
import { understood } from "../../splineviz/viewer/keys.js";
import { counted, formatNumber, formatPlace, layerName } from "../../splineviz/viewer/words.js";

/** Two unit squares side by side: [-1, 0] and [0, 1] of the window, with the knot of unit 4 between them. */
function squares() {
  const part = {
    vertices: 6, faces: 2, edgeCount: 7, segments: 0, channels: 0, layers: [0, 3, 9], middle: [10, 20], half: 2, active: 0,
    x: Float64Array.of(-1, 0, 1, 1, 0, -1), y: Float64Array.of(-1, -1, -1, 1, 1, 1),
    corners: Uint32Array.of(0, 1, 4, 5, 1, 2, 3, 4), offsets: Uint32Array.of(0, 4, 8),
    units: Uint16Array.of(0, 5, 0, 0, 0, 0, 0), classes: Uint16Array.of(7, 2), slopes: Float32Array.of(1, 0.5),
    margins: Float32Array.of(3, 4), patterns: Float64Array.of(11, 12),
  };
  return connect(part);
}

test("edges, neighbours and layers", () => {
  const part = squares();
  assert.deepEqual([...part.across], [-1, 1, -1, -1, -1, -1, -1, 0]);
  assert.deepEqual([...part.layerOf], [-1, 1, -1, -1, -1, -1, -1]);
  assert.equal(locate(part, -0.5, 0), 0);
  assert.equal(locate(part, 0.5, 0.2, 0), 1);
  assert.equal(locate(part, 1.5, 0), -1);
  assert.deepEqual([...walk(part).order], [0, 1]);
});

test("a segment and a polygon are cut by a square", () => {
  assert.deepEqual(within(-2, 0, 2, 0, 1, 1), [0.25, 0.75]);
  assert.equal(within(-2, 2, 2, 2, 1, 1), null);
  assert.deepEqual(clip([-2, -2, 2, -2, 2, 2, -2, 2], 1).length, 8);
});

test("a zoom keeps its point, a pan stays in the window, undo goes back", () => {
  const camera = { x: 0.2, y: -0.1, r: 0.5 };
  const near = zoomed(camera, 0.1, [0.3, 0.1]);
  assert.ok(Math.abs((0.3 - near.x) / near.r - (0.3 - camera.x) / camera.r) < 1e-12);
  assert.equal(panned(camera, 1e9, -1e9).x, 1);
  assert.equal(panned(camera, 1e9, -1e9).y, -1);
  assert.equal(bounded({ x: 0, y: 0, r: 0 }).r, 1e-12);
  const pane = { camera, left: 40, width: 300, height: 200 };
  const [x, y] = toPlane(pane, 77, 51);
  assert.ok(Math.hypot(...toPixels(pane, x, y).map((value, i) => value - [77, 51][i])) < 1e-9);
  const history = new History(500);
  history.note(camera, 0);
  history.note(near, 100);
  history.note(near, 1000);
  assert.deepEqual([history.back(), history.back(), history.back()], [near, camera, null]);
});

test("an axis names classes with all their digits", () => {
  assert.deepEqual([axisNumber(871, true), axisNumber(871), axisNumber(12345)], ["871", "870", "12k"]);
});

test("round lengths", () => {
  assert.deepEqual([3, 0.0456, 1, 999, 2.1e-9].map(roundLength), [2, 0.02, 1, 500, 2e-9]);
});

test("an address holds every digit and refuses nonsense", () => {
  const state = { step: 0, at: [0.1 + 0.2, -1e-13, 1 / 3], fill: "class", show: [], hidden: [0, 2], pin: [1e-300, 2], unit: 0 };
  assert.deepEqual(fromAddress("#" + toAddress(state)), state);
  assert.deepEqual(fromAddress("#at=1,2&pin=1&unit=-3&step=x&versus=1e9&at=1,2,-1&only=a"), {});
  assert.deepEqual(fromAddress(toAddress({ way: "side by side", fill: "<b>" })), { way: "side by side", fill: "<b>" });
});

test("a command draws the view", () => {
  const state = { step: 9, at: [0, 1, 2], fill: "area", show: ["coloured", "knots", "boundary", "anchors"], versus: 3 };
  const window = { middle: [0, 0], half: 3 }, meta = { limits: { area: [0.5, 2], slope: null }, layer_names: ["a", "b", "c"] };
  const of = (changed, wide = window) => figureCommand({ ...state, ...changed }, "splineviz figure r", wide, meta);
  const drawn = "splineviz figure r --steps 3 9 --fill area --limits 0.5 2 --color-knots --zoom 0 1 2 --out figure.pdf";
  assert.equal(of({}), drawn);
  assert.ok(of({}, { middle: [0, 0], half: 2.9 }).includes("--zoom 0 0.8999999999999999 2 "), "moved into the window");
  assert.ok(!of({}, { middle: [0, 0], half: 2 }).includes("--zoom"), "all of the window");
  assert.ok(of({ hidden: [1] }).includes("--color-knots --knots-of 0 2 --zoom"));
  for (const none of [{ hidden: [0, 1, 2] }, { show: ["coloured"] }]) {
    assert.ok(of(none).includes("--no-knots") && !of(none).includes("--color-knots"), "no colours without knots");
  }
  assert.ok(of({ show: ["knots"], fill: "slope" }).includes("--fill slope --no-boundary --no-anchors --zoom"));
});

test("what stayed is grey, what was born is not", () => {
  const { into, changed } = colourChanges(squares(), new Set([11]), "now");
  assert.equal(changed, 1);
  assert.notDeepEqual([...into.slice(0, 3)], [...into.slice(4, 7)]);
  pale(into, (f) => f === 0);
  assert.deepEqual(hexBytes("#ff8000"), [255, 128, 0]);
});

test("class and margin of a point are those of the part that holds it", () => {
  // The left square is cut: its upper half is of class 3, which leads by 1 + y there.
  const part = Object.assign(squares(), {
    classes: Uint16Array.of(7, 2, 3), margins: Float32Array.of(3, 4, 1), owner: Uint16Array.of(0), partStart: Uint32Array.of(0, 1, 1),
    partOffsets: Uint32Array.of(0, 4), partCorners: Uint16Array.of(6, 7, 4, 5), addedX: Float64Array.of(-1, 0),
    addedY: Float64Array.of(0, 0), leadOffsets: Uint32Array.of(0, 1, 2, 3), leads: Float32Array.of(5, 6, 1, 0, 0, 0, 0, 0, 1),
  });
  assert.deepEqual(answersAt(part, 0, -0.5, 0.25), { class: 3, margin: 1.25, outputs: [] });
  assert.deepEqual(answersAt(part, 0, -0.5, -0.25), { class: 7, margin: 5, outputs: [] });
  assert.deepEqual(answersAt(part, 1, 0.5, 0.25), { class: 2, margin: 6, outputs: [] });
});

test("knots per area in a square that the window cuts", () => {
  assert.ok(Math.abs(densityAt(squares(), 0, 0) - 0.2 / 0.04 / 2) < 1e-12);
  assert.ok(Math.abs(densityAt(squares(), 0, 1) - 0.1 / 0.02 / 2) < 1e-12, "half of the square lies outside");
  assert.equal(densityAt(squares(), 0.5, 0), 0);
});

test("hashes of units are splitmix64", () => {
  const words = unitHashes(2); // splitmix64 with the seeds 1 and 2
  assert.equal(BigInt(words[0]) * 2n ** 32n + BigInt(words[1]), 0x910a2dec89025cc1n);
  assert.equal(BigInt(words[2]) * 2n ** 32n + BigInt(words[3]), 0x975835de1c9756cen);
});

test("a selection's rim, histogram and table", () => {
  const part = squares();
  assert.equal(rimOf(part, Uint8Array.of(1, 1), [0, 1]).length, 6 * 4);
  assert.equal(rimOf(part, Uint8Array.of(1, 0), [0]).length, 4 * 4);
  assert.deepEqual(histogram([0, 1, 10, 100], 2), { counts: [1, 2], low: 1, high: 100, none: 1 });
  assert.deepEqual(classCounts(part, [0, 1, 1]), [[2, 2], [7, 1]]);
  const table = tableOf(part, [1], { class_names: ["", "", 'a "b", c'] });
  assert.equal(table, 'region,class,class_name,area,slope,margin\n1,2,"a ""b"", c",8,0.5,4\n');
});

test("curves: places of steps and ranges", () => {
  assert.deepEqual(stepPlaces([1, 10, 100]), [0, 0.5, 1]);
  assert.deepEqual(stepPlaces([5]), [0]);
  const range = rangeOf({ title: "", note: "", logarithmic: true, curves: [{ label: "", color: "", values: [0, null, 1, 100] }] });
  assert.ok(range.low < 0 && range.low > -0.2 && range.high > 2 && range.high < 2.2);
});

test("a search finds units and classes as Python counts them", () => {
  const part = squares(),
    meta = { class_names: ["cat", "dog"] };
  assert.deepEqual(understood("1/0", meta, part), { unit: 3 });
  assert.deepEqual(understood(" 0.2 ", meta, part), { unit: 2 });
  assert.match(understood("1/6", meta, part).error, /from 0 to 5 of layer 1, got 6/);
  assert.match(understood("2/0", meta, part).error, /layer from 0 to 1, got 2/);
  assert.deepEqual(understood("dog", meta, part), { class: 1 });
  assert.deepEqual(understood("class 7", meta, part), { class: 7 });
  assert.ok(understood("bird", meta, part).error);
});

test("words", () => {
  assert.deepEqual([counted(1, "region"), counted(2000, "region")], ["1 region", "2,000 regions"]);
  assert.equal(layerName({ layer_names: ["net.0", ""] }, 0), "layer 0 · net.0");
  assert.deepEqual([0, 1234.56, 1e-9, NaN].map(formatNumber), ["0", "1235", "1.00e-9", "not known"]);
});

test("rows of pixels show regions by their share, knots by their area, and where searches begin", () => {
  const part = { ...squares(), places: 0, addedX: [], addedY: [], owner: [], partCorners: [], partOffsets: [0] };
  const camera = { x: 0.25, y: 0, r: 2 }, // 11 pixels: 2.75 a half side, the window from 2.06 to 7.56, the knot at 4.81
    colours = Uint8Array.of(200, 0, 0, 255, 0, 0, 100, 255);
  const pixels = regionPixels(part, camera, 11, 11, colours, [1, 1, 1]),
    at = (column, row) => [...pixels.subarray(4 * (11 * row + column), 4 * (11 * row + column) + 4)];
  assert.deepEqual([at(0, 5), at(3, 5), at(6, 5), at(5, 0)], [
    [255, 255, 255, 255], [200, 0, 0, 255], [0, 0, 100, 255], [255, 255, 255, 255],
  ]); // prettier-ignore
  assert.deepEqual(at(4, 5), [162, 0, 19, 255], "0.8125 of the first, the rest of the second");
  const cover = new Float32Array(121);
  knotCover(part, camera, 11, 11, (l) => l === 1, cover);
  assert.ok(Math.abs(cover.reduce((sum, one) => sum + one, 0) - 5.5) < 1e-6, "as long as the window is high, a pixel wide");
  assert.ok(Math.abs(knotLength(part) - 2) < 1e-12);
  lay(pixels, Float32Array.from(cover, (one) => 1000 * one), [0, 0, 0], 0.5);
  assert.deepEqual(at(4, 5), [0, 0, 0, 255]);
  assert.deepEqual([regionNear(part, -0.5, 0), regionNear(part, 0.5, 0.9), regionNear(part, 7, -7)], [0, 1, 1]);
});

test("a deep view tells places by more digits", () => {
  const [u, step] = [0.15362430585824427, 1e-9];
  assert.equal(formatPlace(u, 1), formatNumber(u));
  assert.notEqual(formatPlace(u, step), formatPlace(u + step / 10, step));
  assert.equal(formatPlace(0, step), "0");
});
