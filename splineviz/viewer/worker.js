// worker: decodes steps beside the page, so that the page stays quick. Also called in the page, where workers are refused.
import { inflate, unpack } from "./decode.js";
import { connect } from "./complex.js";
import { restore } from "./restore.js";
import { follow } from "./follow.js";

/** @param {Uint8Array<ArrayBuffer>} bytes @returns {Promise<Part>} */
export async function decode(bytes) {
  return restore(connect(unpack(await inflate(bytes))));
}

/**
 * What is asked of the worker: a step whole, or only what an input and a unit are in it.
 * @param {{bytes: Uint8Array<ArrayBuffer>, place?: [number, number] | null, unit?: number}} job
 * @returns {Promise<any>}
 */
export async function work({ bytes, place, unit }) {
  const part = await decode(bytes);
  return place === undefined ? part : follow(part, place, unit ?? -1);
}

/** The worker's own part: jobs in, answers out, arrays handed over and not copied. */
export function serve() {
  const scope = /** @type {any} */ (self);
  scope.onmessage = async (/** @type {MessageEvent} */ { data }) => {
    try {
      const answer = await work(data);
      const arrays = Object.values(answer).filter(ArrayBuffer.isView);
      scope.postMessage({ id: data.id, answer }, [...new Set(arrays.map((array) => array.buffer))]);
    } catch (error) {
      scope.postMessage({ id: data.id, error: /** @type {Error} */ (error).message });
    }
  };
}
