// complex: edges, neighbours and point location of an unpacked step, in double precision.
//
// Coordinates are in [-1, 1] of the window. Corner k of a face stands for the side from it to the next corner:
// `sides[k]` is its edge, `across[k]` the face behind it, -1 outside the window.

/** Finds edges and neighbours. @param {any} part @returns {any} */
export function connect(part) {
  const { corners, offsets, faces, vertices, edgeCount } = part;
  const first = new Int32Array(vertices).fill(-1),
    next = new Int32Array(edgeCount).fill(-1);
  const ends = new Uint32Array(2 * edgeCount),
    met = new Int32Array(edgeCount).fill(-1),
    metFace = new Int32Array(edgeCount);
  const sides = new Uint32Array(corners.length),
    across = new Int32Array(corners.length).fill(-1);
  let count = 0;
  for (let f = 0; f < faces; f++) {
    for (let k = offsets[f], end = offsets[f + 1]; k < end; k++) {
      const a = corners[k],
        b = corners[k + 1 < end ? k + 1 : offsets[f]];
      const low = a < b ? a : b,
        high = a < b ? b : a;
      let e = first[low];
      while (e >= 0 && ends[2 * e + 1] !== high) e = next[e];
      if (e < 0) {
        e = count++;
        ends[2 * e] = low;
        ends[2 * e + 1] = high;
        next[e] = first[low];
        first[low] = e;
        met[e] = k;
        metFace[e] = f;
      } else {
        across[k] = metFace[e];
        across[met[e]] = f;
      }
      sides[k] = e;
    }
  }
  return Object.assign(part, { ends, sides, across, layerOf: layersOf(part) });
}

/** (E,) kink layer of each edge, -1 on the border. @param {any} part */
function layersOf({ units, layers, edgeCount }) {
  const layerOf = new Int16Array(edgeCount).fill(-1);
  for (let e = 0; e < edgeCount; e++) {
    const unit = units[e] - 1;
    if (unit < 0) continue;
    let l = 0;
    while (unit >= layers[l + 1]) l++;
    layerOf[e] = l;
  }
  return layerOf;
}

/** Twice the signed area of a, b, p. @param {number} ax @param {number} ay @param {number} bx @param {number} by
 * @param {number} px @param {number} py */
const turn = (ax, ay, bx, by, px, py) => (bx - ax) * (py - ay) - (by - ay) * (px - ax);

/**
 * The face of a point, -1 outside. Walks from face to face towards it; a walk that goes in circles among slivers ends
 * in a search of all faces.
 * @param {Part} part @param {number} px @param {number} py @param {number} [start]
 */
export function locate(part, px, py, start = 0) {
  if (!(Math.abs(px) <= 1 && Math.abs(py) <= 1)) return -1;
  const { corners, offsets, across, x, y } = part;
  let f = start >= 0 && start < part.faces ? start : 0,
    from = -1;
  for (let hop = 0; hop < 20000; hop++) {
    const begin = offsets[f],
      end = offsets[f + 1];
    let worst = 0,
      exit = -1,
      outside = false;
    for (let k = begin; k < end; k++) {
      const a = corners[k],
        b = corners[k + 1 < end ? k + 1 : begin];
      const side = turn(x[a], y[a], x[b], y[b], px, py);
      if (side >= 0) continue;
      const depth = side / Math.hypot(x[b] - x[a], y[b] - y[a]);
      if (across[k] < 0) outside = true;
      else if (across[k] !== from && depth < worst) {
        worst = depth;
        exit = k;
      }
    }
    if (exit < 0) {
      if (!outside && holds(part, f, px, py)) return f;
      break;
    }
    from = f;
    f = across[exit];
  }
  for (let g = 0; g < part.faces; g++) if (holds(part, g, px, py)) return g;
  return -1;
}

/** @param {Part} part @param {number} f @param {number} px @param {number} py */
export function holds(part, f, px, py) {
  const { corners, offsets, x, y } = part,
    begin = offsets[f],
    end = offsets[f + 1];
  for (let k = begin; k < end; k++) {
    const a = corners[k],
      b = corners[k + 1 < end ? k + 1 : begin];
    if (turn(x[a], y[a], x[b], y[b], px, py) < 0) return false;
  }
  return true;
}

/** Area of a face in squared input-space length. @param {Part} part @param {number} f */
export function area(part, f) {
  const { corners, offsets, x, y } = part,
    a = corners[offsets[f]];
  let sum = 0;
  for (let k = offsets[f] + 1; k + 1 < offsets[f + 1]; k++) {
    sum += turn(x[a], y[a], x[corners[k]], y[corners[k]], x[corners[k + 1]], y[corners[k + 1]]);
  }
  return (sum / 2) * part.half * part.half;
}

/**
 * The network's outputs at a point of a face: affine between the corners of its largest triangle. Empty where they
 * did not travel along.
 * @param {Part} part @param {number} f @param {number} px @param {number} py @returns {number[]}
 */
export function outputsAt(part, f, px, py) {
  const { corners, offsets, x, y, levels, low, high, vertices, channels } = part;
  let best = 0,
    chosen = null;
  const a = corners[offsets[f]];
  for (let k = offsets[f] + 1; k + 1 < offsets[f + 1]; k++) {
    const b = corners[k],
      c = corners[k + 1],
      size = turn(x[a], y[a], x[b], y[b], x[c], y[c]);
    if (size > best) {
      best = size;
      chosen = [b, c];
    }
  }
  if (!chosen || !channels) return [];
  const [b, c] = chosen;
  const wc = turn(x[a], y[a], x[b], y[b], px, py) / best,
    wb = turn(x[c], y[c], x[a], y[a], px, py) / best;
  return Array.from({ length: channels }, (_, i) => {
    const at = (/** @type {number} */ v) => low[i] + (levels[i * vertices + v] / 65535) * (high[i] - low[i]);
    return (1 - wb - wc) * at(a) + wb * at(b) + wc * at(c);
  });
}

/** Corners x, y one after the other of a part of one class; part n >= faces lies over its face.
 * @param {Part} part @param {number} p @returns {number[]} */
export function partPlaces(part, p) {
  const { faces, vertices, x, y, addedX, addedY } = part,
    over = p >= faces,
    ids = over ? part.partCorners : part.corners,
    offsets = over ? part.partOffsets : part.offsets,
    n = over ? p - faces : p,
    out = [];
  for (let k = offsets[n]; k < offsets[n + 1]; k++) {
    const v = ids[k];
    if (v < vertices) out.push(x[v], y[v]);
    else out.push(addedX[v - vertices], addedY[v - vertices]);
  }
  return out;
}

/** The part of face f that holds a point: one of those over it, or else its own.
 * @param {Part} part @param {number} f @param {number} px @param {number} py */
export function partAt(part, f, px, py) {
  for (let n = part.partStart[f]; n < part.partStart[f + 1]; n++) {
    const places = partPlaces(part, part.faces + n),
      size = places.length;
    let inside = true;
    for (let i = 0; i < size && inside; i += 2) {
      const [ax, ay, bx, by] = [places[i], places[i + 1], places[(i + 2) % size], places[(i + 3) % size]];
      inside = turn(ax, ay, bx, by, px, py) >= 0;
    }
    if (inside) return part.faces + n;
  }
  return f;
}

/** The face of a part. @param {Part} part @param {number} p */
export const ownerOf = (part, p) => (p < part.faces ? p : part.owner[p - part.faces]);

/**
 * The margin of part p at a point: from the outputs there, or the least of the leads that came in their place.
 * @param {Part} part @param {number} p @param {number} px @param {number} py @param {number[]} outputs
 */
export function marginAt(part, p, px, py, outputs) {
  const c = part.classes[p];
  if (outputs.length === 1) return Math.abs(outputs[0]);
  if (outputs.length) return Math.max(0, outputs[c] - Math.max(...outputs.filter((_, i) => i !== c)));
  const rows = part.leads.length / 3,
    places = partPlaces(part, ownerOf(part, p));
  let cx = 0,
    cy = 0,
    least = Infinity;
  for (let i = 0; i < places.length; i += 2) {
    cx += (2 * places[i]) / places.length;
    cy += (2 * places[i + 1]) / places.length;
  }
  for (let r = part.leadOffsets[p]; r < part.leadOffsets[p + 1]; r++) {
    const lead = part.leads[r] + part.leads[rows + r] * (px - cx) + part.leads[2 * rows + r] * (py - cy);
    least = Math.min(least, lead);
  }
  return Math.max(0, least);
}

/**
 * Class, margin and outputs at a point of a face. Levels are rounded: within that, the outputs are those of the part's
 * class, whose rim is exact.
 * @param {Part} part @param {number} f @param {number} px @param {number} py
 */
export function answersAt(part, f, px, py) {
  const p = partAt(part, f, px, py),
    c = part.classes[p],
    outputs = outputsAt(part, f, px, py);
  if (outputs.length === 1) outputs[0] = c ? Math.max(outputs[0], 0) : Math.min(outputs[0], 0);
  else if (outputs.length) outputs[c] = Math.max(...outputs);
  return { class: c, margin: marginAt(part, p, px, py, outputs), outputs };
}

/**
 * Faces that meet the rectangle of half sides rx, ry round (cx, cy), from the one at its middle outwards; null when
 * there are more than `most`.
 * @param {Part} part @param {number} cx @param {number} cy @param {number} rx @param {number} ry
 * @param {number} start @param {number} most @returns {number[] | null}
 */
export function visible(part, cx, cy, rx, ry, start, most) {
  const px = Math.min(1, Math.max(-1, cx)),
    py = Math.min(1, Math.max(-1, cy));
  const seed = locate(part, px, py, start);
  if (seed < 0) return [];
  const seen = new Set([seed]),
    queue = [seed],
    { corners, offsets, across, x, y } = part;
  for (let i = 0; i < queue.length; i++) {
    const f = queue[i],
      begin = offsets[f],
      end = offsets[f + 1];
    for (let k = begin; k < end; k++) {
      const g = across[k];
      if (g < 0 || seen.has(g)) continue;
      const a = corners[k],
        b = corners[k + 1 < end ? k + 1 : begin];
      if (!segmentMeets(x[a] - cx, y[a] - cy, x[b] - cx, y[b] - cy, rx, ry)) continue;
      seen.add(g);
      queue.push(g);
      if (queue.length > most) return null;
    }
  }
  return queue;
}

/**
 * The part [low, high] of the segment a + t (b - a) that lies in |x| <= rx, |y| <= ry; null if none does.
 * @param {number} ax @param {number} ay @param {number} bx @param {number} by @param {number} rx @param {number} ry
 * @returns {[number, number] | null}
 */
export function within(ax, ay, bx, by, rx, ry) {
  let low = 0,
    high = 1;
  for (const [p, d, r] of [
    [ax, bx - ax, rx],
    [ay, by - ay, ry],
  ]) {
    if (d === 0) {
      if (Math.abs(p) > r) return null;
      continue;
    }
    const s = (-r - p) / d,
      t = (r - p) / d;
    low = Math.max(low, Math.min(s, t));
    high = Math.min(high, Math.max(s, t));
  }
  return low <= high ? [low, high] : null;
}

/** @param {number} ax @param {number} ay @param {number} bx @param {number} by @param {number} rx @param {number} ry */
export function segmentMeets(ax, ay, bx, by, rx, ry) {
  return within(ax, ay, bx, by, rx, ry) !== null;
}

/**
 * A polygon (flat x, y) cut by |x| <= r and |y| <= r.
 * @param {number[]} points
 * @param {number} r
 * @returns {number[]}
 */
export function clip(points, r) {
  for (const [axis, sign] of [
    [0, 1],
    [0, -1],
    [1, 1],
    [1, -1],
  ]) {
    const out = [],
      n = points.length;
    for (let i = 0; i < n; i += 2) {
      const j = (i + 2) % n,
        a = r - sign * points[i + axis],
        b = r - sign * points[j + axis];
      if (a >= 0) out.push(points[i], points[i + 1]);
      if (a >= 0 !== b >= 0) {
        const t = a / (a - b);
        out.push(points[i] + t * (points[j] - points[i]), points[i + 1] + t * (points[j + 1] - points[i + 1]));
      }
    }
    points = out;
    if (!points.length) break;
  }
  return points;
}

/** Faces with a side in common with f. @param {Part} part @param {number} f @returns {number[]} */
export function around(part, f) {
  return [...new Set(part.across.subarray(part.offsets[f], part.offsets[f + 1]))].filter((g) => g >= 0);
}
