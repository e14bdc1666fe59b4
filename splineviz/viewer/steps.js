// steps: the unpacked steps, one decoded at a time in a worker. What is shown goes first, and only the newest request
// of it counts; then what it is compared with; then its neighbours; then what is pinned, at all steps.
import { work } from "./worker.js";
import { follow } from "./follow.js";

/** Regions of all steps together that are kept unpacked. */
const HELD = 1.5e6;

/** What goes first; the first two kinds have a worker of their own. */
const RANK = { show: 0, versus: 1, near: 2, follow: 3 };
/** Milliseconds that a step is shown before its neighbours are decoded: painting goes first. */
const LATER = 120;

/** Runs jobs of worker.js, in a worker or, where the page may have none, here. */
class Decoder {
  constructor() {
    this.waiting = new Map();
    this.count = 0;
    try {
      this.url = URL.createObjectURL(new Blob([DECODER], { type: "text/javascript" }));
      this.worker = new Worker(this.url);
      this.worker.onmessage = ({ data }) => this.answered(data);
      this.worker.onerror = (event) => {
        event.preventDefault();
        this.stop();
        for (const { job, resolve } of this.waiting.values()) resolve(work(job));
        this.waiting.clear();
      };
    } catch {
      this.worker = null; // refused by the page's policy: the same work is done here
    }
  }

  /** @param {{id: number, answer?: any, error?: string}} said */
  answered({ id, answer, error }) {
    const { resolve, reject } = this.waiting.get(id) ?? {};
    this.waiting.delete(id);
    if (error === undefined) resolve?.(answer);
    else reject?.(new Error(error));
  }

  /** @param {Parameters<typeof work>[0]} job @returns {Promise<any>} */
  run(job) {
    if (!this.worker) return work(job);
    const id = this.count++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { job, resolve, reject });
      this.worker?.postMessage({ ...job, id });
    });
  }

  stop() {
    this.worker?.terminate();
    this.worker = null;
    if (this.url) URL.revokeObjectURL(this.url);
  }
}

/**
 * @typedef {{kind: "show" | "versus" | "near" | "follow", index: number, resolve: (part: any) => void,
 *   reject: (error: Error) => void}} Job
 */

export class Steps {
  /** @param {Meta} meta @param {(index: number, slice: number) => Promise<Uint8Array<ArrayBuffer>>} load */
  constructor(meta, load) {
    this.meta = meta;
    this.load = load;
    this.slice = 0;
    this.decoder = new Decoder();
    /** @type {Map<number, Part>} */
    this.held = new Map();
    /** @type {Job[]} */
    this.jobs = [];
    /** @type {Decoder | null} for what is not shown yet */
    this.aside = null;
    this.running = { front: false, aside: false };
    /** @type {Map<string, Promise<Part | null>>} steps that are decoded at present, by slice and index */
    this.decoding = new Map();
    this.timer = 0;
    /** @type {{place: [number, number] | null, unit: number} | null} */
    this.pins = null;
    /** How many steps were decoded whole: what tests ask. */
    this.decoded = 0;
  }

  /** Forgets everything: another slice has other steps. @param {number} slice */
  reset(slice) {
    this.slice = slice;
    this.held.clear();
    this.drop(() => true);
  }

  /** @param {(job: Job) => boolean} which */
  drop(which) {
    const gone = this.jobs.filter(which);
    this.jobs = this.jobs.filter((job) => !which(job));
    gone.forEach(({ resolve }) => resolve(null));
  }

  /**
   * The step to show; null when another has been asked for since.
   * @param {number} index
   * @returns {Promise<Part | null>}
   */
  get(index) {
    clearTimeout(this.timer);
    this.drop(({ kind }) => kind === "show" || kind === "near");
    const held = this.held.get(index);
    if (held) {
      this.held.delete(index); // and back again as the newest
      this.held.set(index, held);
      this.prefetch(index);
      return Promise.resolve(held);
    }
    const got = this.ask("show", index);
    got.then((part) => part && this.prefetch(index)).catch(() => {});
    return got;
  }

  /** @param {number} index */
  prefetch(index) {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => {
      for (const near of [index + 1, index - 1]) {
        const known = this.meta.regions[near];
        if (known === undefined || this.held.has(near) || this.slice) continue; // another slice is not cut unasked
        if (known + this.meta.regions[index] <= HELD) this.ask("near", near).catch(() => {});
      }
    }, LATER);
  }

  /**
   * What place and unit are at a step, when there is time.
   * @param {number} index
   * @returns {Promise<Followed | null>}
   */
  followed(index) {
    return this.ask("follow", index);
  }

  /** @param {Job["kind"]} kind @param {number} index @returns {Promise<any>} */
  ask(kind, index) {
    return new Promise((resolve, reject) => {
      this.jobs.push({ kind, index, resolve, reject });
      this.next();
    });
  }

  /** Two jobs at a time: what is shown never waits for what may be shown later. */
  next() {
    for (const lane of /** @type {("front" | "aside")[]} */ (["front", "aside"])) {
      const waiting = this.jobs.filter(({ kind }) => (RANK[kind] < 2) === (lane === "front"));
      if (this.running[lane] || !waiting.length) continue;
      const job = waiting.reduce((best, one) => (RANK[one.kind] < RANK[best.kind] ? one : best));
      this.jobs.splice(this.jobs.indexOf(job), 1);
      this.running[lane] = true;
      const decoder = lane === "front" ? this.decoder : (this.aside ??= new Decoder());
      this.perform(job, this.slice, decoder)
        .then(job.resolve, job.reject)
        .finally(() => {
          this.running[lane] = false;
          this.next();
        });
    }
  }

  /** @param {Job} job @param {number} slice @param {Decoder} decoder */
  async perform({ kind, index }, slice, decoder) {
    const held = this.held.get(index),
      pins = this.pins;
    if (kind === "follow") {
      if (!pins) return null;
      if (held) return follow(held, pins.place, pins.unit);
      const bytes = await this.load(index, slice);
      return slice === this.slice ? decoder.run({ bytes, ...pins }) : null;
    }
    if (held) return held;
    const key = `${slice}/${index}`,
      whole = this.decoding.get(key) ?? this.whole(index, slice, decoder);
    this.decoding.set(key, whole);
    return whole.finally(() => this.decoding.delete(key));
  }

  /** @param {number} index @param {number} slice @param {Decoder} decoder @returns {Promise<Part | null>} */
  async whole(index, slice, decoder) {
    const bytes = await this.load(index, slice);
    if (slice !== this.slice) return null;
    this.decoded++;
    const part = await decoder.run({ bytes });
    if (slice !== this.slice) return null;
    this.keep(index, part);
    return part;
  }

  /** @param {number} index @param {Part} part */
  keep(index, part) {
    this.held.set(index, part);
    let total = 0;
    for (const i of [...this.held.keys()].reverse()) {
      total += this.held.get(i)?.faces ?? 0;
      if (i !== index && total > HELD) this.held.delete(i);
    }
  }

  stop() {
    clearTimeout(this.timer);
    this.reset(-1);
    this.decoder.stop();
    this.aside?.stop();
  }
}
