// The shapes that the explorer's modules hand to one another; for `tsc --checkJs` alone, never shipped.

/** One step's partition, unpacked and connected; coordinates in [-1, 1] of the window. See packing.py and complex.js. */
interface Part {
  vertices: number;
  edges: number;
  faces: number;
  segments: number;
  channels: number;
  edgeCount: number;
  /** First unit of each kink layer, and their total. */
  layers: number[];
  /** Middle of the window in plane coordinates, and half its larger side. */
  middle: [number, number];
  half: number;
  /** Rows of activeUnits: layers, or 1 for all of them together. */
  active: number;
  low: number[];
  high: number[];
  x: Float64Array;
  y: Float64Array;
  corners: Uint32Array;
  offsets: Uint32Array;
  units: Numbers;
  classes: Numbers;
  /** Top 48 bits of each region's activation pattern's hash. */
  patterns: Float64Array;
  slopes: Float32Array;
  margins: Float32Array;
  levels: Numbers;
  activeUnits: Numbers;
  boundary: Float64Array;
  ends: Uint32Array;
  sides: Uint32Array;
  across: Int32Array;
  layerOf: Int16Array;
  /** Parts of one class over faces, see packing.py and `partsOf` of decode.js. */
  places: number;
  addedX: Float64Array;
  addedY: Float64Array;
  owner: Numbers;
  partOffsets: Uint32Array;
  partStart: Uint32Array;
  partCorners: Numbers;
  leadOffsets: Uint32Array;
  leads: Float32Array;
}
type Numbers = Uint16Array | Uint32Array | Float64Array;

interface Panel {
  title: string;
  note: string;
  share?: boolean;
  slice?: boolean;
  logarithmic?: boolean;
  stepped?: boolean;
  curves: { label: string; color: string; dash?: number[]; values: (number | null)[] }[];
}
interface Picture {
  height: number;
  width: number;
  channels: number;
  planes: number[][];
  low: number;
  high: number;
}
type Limits = [number, number] | null;
/** What the page knows before any step is read: `page.describe`. */
interface Meta {
  title: string;
  note: string;
  steps: number[];
  regions: number[];
  start: number;
  fill: string;
  limits: Record<string, Limits>;
  palette: string[];
  zero: string;
  class_colors: string[];
  class_names: string[];
  layer_names: string[];
  layer_colors: string[];
  knot_colors: string[];
  anchors: [number, number][];
  picture: Picture | null;
  panels: Panel[];
  live: boolean;
  samples: number;
  figure: string;
  still?: string;
}
interface Camera {
  x: number;
  y: number;
  /** Half the view's shorter side, in half sides of the window. */
  r: number;
  /** A face near the middle, where searches begin. */
  face?: number;
}
interface Look {
  knots: boolean;
  boundary: boolean;
  anchors: boolean;
  density: boolean;
  coloured: boolean;
  layers: boolean[];
}
/** A part of the stage that shows one step. */
interface Pane {
  part: Part;
  index: number;
  left: number;
  width: number;
  height: number;
  camera: Camera;
}
interface Facts {
  region: number;
  step: number;
  class: number;
  class_name: string;
  margin: number;
  area: number;
  slope: number;
  units: { border?: boolean; layer?: number; unit?: number; id?: number }[];
  active: { layer: number; on: number | null; of: number }[];
  outputs: number[];
  u: number;
  v: number;
}
/** What a pinned input and a pinned unit are at one step. */
interface Followed {
  region: number;
  class: number;
  margin: number | null;
  area: number | null;
  slope: number | null;
  density: number | null;
  outputs: number[];
  knot: Float64Array;
}
/** The decoder's source as text, put there by page.script(). */
declare const DECODER: string;
type Make = (tag: string, attributes?: Record<string, any>, ...children: (Node | string)[]) => any;
