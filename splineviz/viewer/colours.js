// colours: four bytes a face from its numbers; palettes and limits come from Python, so that all pictures agree.

const clamp = (t) => Math.min(1, Math.max(0, t));

export function hexBytes(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

function hsv(h, s, v) {
  return [5, 3, 1].map((n) => { const k = (n + 6 * h) % 6; return 255 * (v - v * s * Math.max(0, Math.min(k, 4 - k, 1))); });
}

function scaled(values, [low, high], palette, into, zero) {
  const a = Math.log(low), b = Math.log(high), last = palette.length - 1;
  for (let f = 0; f < values.length; f++) {
    const t = values[f] > 0 ? clamp((Math.log(values[f]) - a) / (b - a)) : 0;
    const shade = values[f] === 0 ? zero : palette[Math.min(last, Math.floor(t * palette.length))];
    into[4 * f] = shade[0]; into[4 * f + 1] = shade[1]; into[4 * f + 2] = shade[2];
  }
}

function bornIn(part) {
  const born = new Int16Array(part.faces).fill(-1);
  for (let f = 0; f < part.faces; f++) {
    for (let k = part.offsets[f]; k < part.offsets[f + 1]; k++) born[f] = Math.max(born[f], part.layerOf[part.sides[k]]);
  }
  return born;
}

export function colourFaces(part, fill, meta, areaOf, onlyClass = -1) {
  const parts = fill === "class" || fill === "margin" || onlyClass >= 0 ? part.classes.length : part.faces; // those over their faces too
  const into = new Uint8Array(4 * parts).fill(255), classes = meta.class_colors.map(hexBytes);
  const palette = meta.palette.map(hexBytes), grey = [204, 204, 204];
  const put = (f, shade) => { for (let i = 0; i < 3; i++) into[4 * f + i] = shade[i]; };
  if (fill === "slope") scaled(part.slopes, meta.limits.slope, palette, into, hexBytes(meta.zero));
  else if (fill === "area") scaled(Float64Array.from({ length: part.faces }, (_, f) => areaOf(part, f)), meta.limits.area, palette, into, hexBytes(meta.zero));
  else if (fill === "layer") {
    const born = bornIn(part), shades = meta.layer_colors.map(hexBytes);
    for (let f = 0; f < part.faces; f++) put(f, born[f] < 0 ? grey : shades[born[f]]);
  } else if (fill === "hash") {
    for (let f = 0; f < part.faces; f++) put(f, hsv(part.patterns[f] / 65536, 0.25 + 0.3 * ((part.patterns[f] & 255) / 256), 0.9));
  } else {
    const [low, high] = meta.limits.margin.map(Math.log);
    for (let f = 0; f < parts; f++) {
      const strength = fill === "class" ? 1 : 0.2 + 0.8 * clamp((Math.log(Math.max(part.margins[f], 1e-300)) - low) / (high - low));
      put(f, classes[part.classes[f] % classes.length].map((value) => 255 - (255 - value) * strength));
    }
  }
  if (onlyClass >= 0) {
    if (fill !== "class" && fill !== "margin") for (let p = part.faces; p < parts; p++) put(p, into.subarray(4 * part.owner[p - part.faces]));
    for (let f = 0; f < parts; f++) if (part.classes[f] !== onlyClass) put(f, [0, 1, 2].map((i) => 225 + 0.12 * into[4 * f + i]));
  }
  return into;
}
