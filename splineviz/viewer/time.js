// time: which step is shown, and the film. Only the newest request counts.

/** @typedef {import("./explorer.js").Explorer} Explorer */

/** Milliseconds that a step is shown in the film at least. */
const PACE = 160;

/** Shows a step; tell: let Python know. @param {Explorer} view @param {number} index @param {boolean} tell */
export async function showStep(view, index, tell) {
  const { meta, steps } = view,
    slice = steps.slice;
  index = Math.min(meta.steps.length - 1, Math.max(0, Math.round(index)));
  view.wanted = index;
  view.slider.value = String(index);
  if (!steps.held.has(index) && !view.slicing.cutting) view.say("loading …");
  try {
    const part = await steps.get(index);
    if (!part || view.wanted !== index || steps.slice !== slice || view.closed) return;
    view.enter(part, index);
    if (tell) view.told("step", meta.steps[index]);
  } catch (error) {
    if (steps.slice !== slice || view.wanted !== index) return;
    view.say(`step ${meta.steps[index]}: ${/** @type {Error} */ (error).message}`);
  }
}

/** Plays from the step that is wanted, so that seeking while it plays seeks. @param {Explorer} view */
export function play(view) {
  const last = view.meta.steps.length - 1;
  view.playing = !view.playing;
  view.playButton.textContent = view.playing ? "❚❚" : "▶";
  view.playButton.setAttribute("aria-label", view.playing ? "pause" : "play");
  if (!view.playing) return;
  if (view.wanted >= last) view.wanted = -1;
  const round = (view.round = (view.round ?? 0) + 1);
  const next = async () => {
    if (!view.playing || view.closed || round !== view.round) return;
    if (view.wanted >= last) return play(view);
    const began = performance.now(),
      to = view.wanted + 1;
    await view.show(to);
    setTimeout(next, Math.max(0, PACE - (performance.now() - began)));
  };
  next();
}

/** What the slider says to a screen reader. @param {Explorer} view */
export function sliderText({ meta, index, part }) {
  const of = `${index + 1} of ${meta.steps.length}`;
  return `step ${meta.steps[index].toLocaleString("en")}, ${of}, ${part?.faces.toLocaleString("en")} regions`;
}
