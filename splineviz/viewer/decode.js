// decode: deflated bytes of one step -> typed arrays. The layout is drawn in packing.py.

export async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

export function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

function joinPlanes(bytes, at, count, width, into) {
  let scale = 1;
  for (let k = 0; k < width; k++, scale *= 256) {
    const start = at + k * count;
    for (let i = 0; i < count; i++) into[i] += bytes[start + i] * scale;
  }
  return into;
}

export function unpack(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const size = view.getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + size)));
  const columns = {};
  let at = 4 + size;
  for (const [name, count, width] of head.columns) {
    const into = width > 4 ? new Float64Array(count) : width > 2 ? new Uint32Array(count) : new Uint16Array(count);
    columns[name] = joinPlanes(bytes, at, count, width, into);
    at += count * width;
  }
  const places = (values) => values.map((value) => value / 2 ** 47 - 1);
  const logarithmic = (levels, [low, high]) =>
    Float32Array.from(levels, (level) => (level ? Math.exp(low + ((level - 1) / 65534) * (high - low)) : 0));
  const offsets = new Uint32Array(head.faces + 1);
  for (let f = 0; f < head.faces; f++) offsets[f + 1] = offsets[f] + columns.counts[f];
  const activeUnits = columns.active, rows = head.active, top = 256 ** (head.columns.find(([name]) => name === "active")?.[2] ?? 1);
  for (let l = 0; l < rows; l++) {
    for (let f = 1, i = l * head.faces + 1; f < head.faces; f++, i++) activeUnits[i] = (activeUnits[i] + activeUnits[i - 1]) % top;
  }
  // Parts of one class: the first `faces` are the faces' own, the others lie over them, partStart[face] .. of `owner`.
  const added = places(columns.places), partOffsets = new Uint32Array(columns.owner.length + 1), partStart = new Uint32Array(head.faces + 1);
  columns.owner.forEach((f, n) => { partOffsets[n + 1] = partOffsets[n] + columns.partcounts[n]; partStart[f + 1]++; });
  for (let f = 0; f < head.faces; f++) partStart[f + 1] += partStart[f];
  const leadOffsets = new Uint32Array(columns.leadcounts.length + 1);
  columns.leadcounts.forEach((count, p) => { leadOffsets[p + 1] = leadOffsets[p] + count; });
  const leads = new Float32Array(columns.leads.buffer);
  const xy = places(columns.vertices), segments = places(columns.boundary);
  return {
    ...head, offsets,
    x: xy.subarray(0, head.vertices), y: xy.subarray(head.vertices), addedX: added.subarray(0, head.places), addedY: added.subarray(head.places),
    owner: columns.owner, partOffsets, partStart, partCorners: columns.partcorners, leadOffsets, leads,
    corners: columns.corners, units: columns.units, classes: columns.class, patterns: columns.pattern,
    slopes: logarithmic(columns.slope, head.slope), margins: logarithmic(columns.margin, head.margin),
    levels: columns.outputs, activeUnits, boundary: segments, edgeCount: head.edges,
  };
}
