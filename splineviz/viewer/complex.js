// complex: edges, neighbours and point location of an unpacked step, in double precision.
//
// Coordinates are in [-1, 1] of the window. Corner k of a face stands for the side from it to the next corner:
// `sides[k]` is its edge, `across[k]` the face behind it, -1 outside the window.

export function connect(part) {
  const { corners, offsets, faces, vertices, edgeCount } = part;
  const first = new Int32Array(vertices).fill(-1), next = new Int32Array(edgeCount).fill(-1);
  const ends = new Uint32Array(2 * edgeCount), met = new Int32Array(edgeCount).fill(-1), metFace = new Int32Array(edgeCount);
  const sides = new Uint32Array(corners.length), across = new Int32Array(corners.length).fill(-1);
  let count = 0;
  for (let f = 0; f < faces; f++) {
    for (let k = offsets[f], end = offsets[f + 1]; k < end; k++) {
      const a = corners[k], b = corners[k + 1 < end ? k + 1 : offsets[f]];
      const low = a < b ? a : b, high = a < b ? b : a;
      let e = first[low];
      while (e >= 0 && ends[2 * e + 1] !== high) e = next[e];
      if (e < 0) {
        e = count++;
        ends[2 * e] = low; ends[2 * e + 1] = high;
        next[e] = first[low]; first[low] = e;
        met[e] = k; metFace[e] = f;
      } else {
        across[k] = metFace[e]; across[met[e]] = f;
      }
      sides[k] = e;
    }
  }
  const layerOf = new Int16Array(edgeCount).fill(-1), table = part.layers;
  for (let e = 0; e < edgeCount; e++) {
    const unit = part.units[e] - 1;
    if (unit >= 0) { let l = 0; while (unit >= table[l + 1]) l++; layerOf[e] = l; }
  }
  return Object.assign(part, { ends, sides, across, layerOf });
}

const turn = (ax, ay, bx, by, px, py) => (bx - ax) * (py - ay) - (by - ay) * (px - ax);

// Walks from face to face towards the point; a walk that goes in circles among slivers ends in a search of all faces.
export function locate(part, px, py, start = 0) {
  if (!(Math.abs(px) <= 1 && Math.abs(py) <= 1)) return -1;
  const { corners, offsets, across, x, y } = part;
  let f = start >= 0 && start < part.faces ? start : 0, from = -1;
  for (let hop = 0; hop < 20000; hop++) {
    const begin = offsets[f], end = offsets[f + 1];
    let worst = 0, exit = -1, outside = false;
    for (let k = begin; k < end; k++) {
      const a = corners[k], b = corners[k + 1 < end ? k + 1 : begin];
      const side = turn(x[a], y[a], x[b], y[b], px, py);
      if (side < 0) {
        const depth = side / Math.hypot(x[b] - x[a], y[b] - y[a]);
        if (across[k] < 0) { outside = true; continue; }
        if (across[k] !== from && depth < worst) { worst = depth; exit = k; }
      }
    }
    if (exit < 0) { if (!outside && holds(part, f, px, py)) return f; break; }
    from = f; f = across[exit];
  }
  for (let g = 0; g < part.faces; g++) if (holds(part, g, px, py)) return g;
  return -1;
}

export function holds(part, f, px, py) {
  const { corners, offsets, x, y } = part, begin = offsets[f], end = offsets[f + 1];
  for (let k = begin; k < end; k++) {
    const a = corners[k], b = corners[k + 1 < end ? k + 1 : begin];
    if (turn(x[a], y[a], x[b], y[b], px, py) < 0) return false;
  }
  return true;
}

export function area(part, f) {
  const { corners, offsets, x, y } = part, a = corners[offsets[f]];
  let sum = 0;
  for (let k = offsets[f] + 1; k + 1 < offsets[f + 1]; k++) {
    sum += turn(x[a], y[a], x[corners[k]], y[corners[k]], x[corners[k + 1]], y[corners[k + 1]]);
  }
  return (sum / 2) * part.half * part.half;
}

// The network's outputs at a point of a face: affine between the corners of its largest triangle.
export function outputsAt(part, f, px, py) {
  const { corners, offsets, x, y, levels, low, high, vertices, channels } = part;
  let best = 0, chosen = null;
  const a = corners[offsets[f]];
  for (let k = offsets[f] + 1; k + 1 < offsets[f + 1]; k++) {
    const b = corners[k], c = corners[k + 1], size = turn(x[a], y[a], x[b], y[b], x[c], y[c]);
    if (size > best) { best = size; chosen = [b, c]; }
  }
  if (!chosen || !channels) return [];
  const [b, c] = chosen;
  const wc = turn(x[a], y[a], x[b], y[b], px, py) / best, wb = turn(x[c], y[c], x[a], y[a], px, py) / best;
  return Array.from({ length: channels }, (_, i) => {
    const at = (v) => low[i] + (levels[i * vertices + v] / 65535) * (high[i] - low[i]);
    return (1 - wb - wc) * at(a) + wb * at(b) + wc * at(c);
  });
}

// A part's corners as x, y one after the other; part n >= faces lies over its face.
export function partPlaces(part, p) {
  const { faces, offsets, corners, partOffsets, partCorners, x, y, addedX, addedY, vertices } = part, over = p >= faces, out = [];
  const [ids, begin, end] = over ? [partCorners, partOffsets[p - faces], partOffsets[p - faces + 1]] : [corners, offsets[p], offsets[p + 1]];
  for (let k = begin; k < end; k++) {
    const v = ids[k];
    if (v < vertices) out.push(x[v], y[v]); else out.push(addedX[v - vertices], addedY[v - vertices]);
  }
  return out;
}

// The part of face f that holds a point: one of those over it, or else its own.
export function partAt(part, f, px, py) {
  for (let n = part.partStart[f]; n < part.partStart[f + 1]; n++) {
    const p = part.faces + n, places = partPlaces(part, p), size = places.length;
    let within = true;
    for (let i = 0; i < size && within; i += 2) within = turn(places[i], places[i + 1], places[(i + 2) % size], places[(i + 3) % size], px, py) >= 0;
    if (within) return p;
  }
  return f;
}

// The margin of part p at a point: from the outputs there, or the least of the leads that came in their place.
export function marginAt(part, p, px, py, outputs) {
  const c = part.classes[p];
  if (outputs.length === 1) return Math.abs(outputs[0]);
  if (outputs.length) return Math.max(0, outputs[c] - Math.max(...outputs.filter((_, i) => i !== c)));
  const rows = part.leads.length / 3, places = partPlaces(part, p < part.faces ? p : part.owner[p - part.faces]);
  let cx = 0, cy = 0, least = Infinity;
  for (let i = 0; i < places.length; i += 2) { cx += (2 * places[i]) / places.length; cy += (2 * places[i + 1]) / places.length; }
  for (let r = part.leadOffsets[p]; r < part.leadOffsets[p + 1]; r++) {
    least = Math.min(least, part.leads[r] + part.leads[rows + r] * (px - cx) + part.leads[2 * rows + r] * (py - cy));
  }
  return Math.max(0, least);
}

// Faces that meet the rectangle, from the one at its middle outwards; null when there are more than `most`.
export function visible(part, cx, cy, rx, ry, start, most) {
  const px = Math.min(1, Math.max(-1, cx)), py = Math.min(1, Math.max(-1, cy));
  const seed = locate(part, px, py, start);
  if (seed < 0) return [];
  const seen = new Set([seed]), queue = [seed], { corners, offsets, across, x, y } = part;
  for (let i = 0; i < queue.length; i++) {
    const f = queue[i], begin = offsets[f], end = offsets[f + 1];
    for (let k = begin; k < end; k++) {
      const g = across[k];
      if (g < 0 || seen.has(g)) continue;
      const a = corners[k], b = corners[k + 1 < end ? k + 1 : begin];
      if (segmentMeets(x[a] - cx, y[a] - cy, x[b] - cx, y[b] - cy, rx, ry)) {
        seen.add(g); queue.push(g);
        if (queue.length > most) return null;
      }
    }
  }
  return queue;
}

export function segmentMeets(ax, ay, bx, by, rx, ry) {
  let low = 0, high = 1;
  for (const [p, d, r] of [[ax, bx - ax, rx], [ay, by - ay, ry]]) {
    if (d === 0) { if (Math.abs(p) > r) return false; continue; }
    const s = (-r - p) / d, t = (r - p) / d;
    low = Math.max(low, Math.min(s, t)); high = Math.min(high, Math.max(s, t));
  }
  return low <= high;
}

// A polygon (flat x, y) cut by |x| <= r and |y| <= r.
export function clip(points, r) {
  for (const [axis, sign] of [[0, 1], [0, -1], [1, 1], [1, -1]]) {
    const out = [], n = points.length;
    for (let i = 0; i < n; i += 2) {
      const j = (i + 2) % n, a = r - sign * points[i + axis], b = r - sign * points[j + axis];
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
