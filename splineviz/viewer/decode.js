// decode: deflated bytes of one step -> typed arrays. The layout is drawn in packing.py.

/**
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @returns {Promise<Uint8Array>}
 */
export async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** @param {string} text */
export function fromBase64(text) {
  const native = /** @type {any} */ (Uint8Array).fromBase64;
  if (native) return native.call(Uint8Array, text);
  const raw = atob(text),
    bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

/**
 * Adds the bytes of one significance, then of the next: `width` planes of `count` bytes from `at`.
 * @param {Uint8Array} bytes @param {number} at @param {number} count @param {number} width @param {Numbers} into
 */
function joinPlanes(bytes, at, count, width, into) {
  let scale = 1;
  for (let k = 0; k < width; k++, scale *= 256) {
    const start = at + k * count;
    for (let i = 0; i < count; i++) into[i] += bytes[start + i] * scale;
  }
  return into;
}

/** 0, 1, 2, 3, 4 ... as 0, -1, 1, -2, 2 ... @param {number} folded */
export const unfold = (folded) => (folded & 1 ? -((folded + 1) / 2) : folded / 2);

/** @param {Numbers} folded @returns {Uint32Array} */
function summed(folded) {
  const into = new Uint32Array(folded.length);
  for (let i = 0, last = 0; i < folded.length; i++) into[i] = last += unfold(folded[i]);
  return into;
}

/** @param {Numbers} levels @param {[number, number]} ends @returns {Float32Array} */
function logarithmic(levels, [low, high]) {
  const into = new Float32Array(levels.length);
  for (let i = 0; i < levels.length; i++) {
    if (levels[i]) into[i] = Math.exp(low + ((levels[i] - 1) / 65534) * (high - low));
  }
  return into;
}

/** @param {Numbers} fixed @returns {Float64Array} */
function places(fixed) {
  const into = new Float64Array(fixed.length);
  for (let i = 0; i < fixed.length; i++) into[i] = fixed[i] / 2 ** 47 - 1;
  return into;
}

/**
 * The columns of a step as numbers; outputs and patterns are still as they travel (see `restore` in complex.js).
 * @param {Uint8Array} bytes
 * @returns {any}
 */
export function unpack(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = view.getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + size)));
  /** @type {Record<string, Numbers>} */
  const columns = {};
  let at = 4 + size;
  for (const [name, count, width] of head.columns) {
    if (at + count * width > bytes.length) throw new Error("its data ends too early");
    const into = width > 4 ? new Float64Array(count) : width > 2 ? new Uint32Array(count) : new Uint16Array(count);
    columns[name] = joinPlanes(bytes, at, count, width, into);
    at += count * width;
  }
  const offsets = new Uint32Array(head.faces + 1);
  for (let f = 0; f < head.faces; f++) offsets[f + 1] = offsets[f] + columns.counts[f];
  const active = head.columns.find((/** @type {string[]} */ [name]) => name === "active");
  addUp(columns.active, head.active, head.faces, 256 ** (active?.[2] ?? 1));
  const xy = places(columns.vertices),
    added = places(columns.places);
  return {
    ...head,
    offsets,
    x: xy.slice(0, head.vertices),
    y: xy.slice(head.vertices),
    corners: summed(columns.corners),
    units: columns.units,
    classes: columns.class,
    tops: columns.pattern,
    slopes: logarithmic(columns.slope, head.slope),
    margins: logarithmic(columns.margin, head.margin),
    residuals: columns.outputs,
    activeUnits: columns.active,
    boundary: places(columns.boundary),
    edgeCount: head.edges,
    addedX: added.slice(0, head.places),
    addedY: added.slice(head.places),
    ...partsOf(columns, head.faces),
  };
}

/**
 * Parts of one class: the first `faces` are the faces' own, the others lie over them, partStart[face] .. of `owner`.
 * @param {Record<string, Numbers>} columns @param {number} faces
 */
function partsOf({ owner, partcounts, partcorners, leadcounts, leads }, faces) {
  const partOffsets = new Uint32Array(owner.length + 1),
    partStart = new Uint32Array(faces + 1),
    leadOffsets = new Uint32Array(leadcounts.length + 1);
  for (let n = 0; n < owner.length; n++) {
    partOffsets[n + 1] = partOffsets[n] + partcounts[n];
    partStart[owner[n] + 1]++;
  }
  for (let f = 0; f < faces; f++) partStart[f + 1] += partStart[f];
  for (let p = 0; p < leadcounts.length; p++) leadOffsets[p + 1] = leadOffsets[p] + leadcounts[p];
  const numbers = new Float32Array(Uint32Array.from(leads).buffer);
  return { owner, partOffsets, partStart, partCorners: partcorners, leadOffsets, leads: numbers };
}

/**
 * Sums along each row, modulo `top`.
 * @param {Numbers} values
 * @param {number} rows
 * @param {number} count
 * @param {number} top
 */
function addUp(values, rows, count, top) {
  for (let l = 0; l < rows; l++) {
    for (let f = 1, i = l * count + 1; f < count; f++, i++) values[i] = (values[i] + values[i - 1]) % top;
  }
}
