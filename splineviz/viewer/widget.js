// widget: the explorer in a notebook (anywidget). Steps are asked for when they are first shown.
import { mount } from "./explorer.js";

function render({ model, el }) {
  const waiting = new Map();
  const received = (message, buffers) => {
    if (!message || message.kind !== "step" || !waiting.has(message.index)) return;
    const { resolve, reject } = waiting.get(message.index);
    waiting.delete(message.index);
    if (message.error) reject(new Error(message.error));
    else { const view = buffers[0]; resolve(view instanceof ArrayBuffer ? new Uint8Array(view) : new Uint8Array(view.buffer, view.byteOffset, view.byteLength)); }
  };
  model.on("msg:custom", received);
  const load = (index) => new Promise((resolve, reject) => { waiting.set(index, { resolve, reject }); model.send({ kind: "step", index }); });
  let timer = 0;
  const told = (name, value) => {
    if (JSON.stringify(model.get(name)) === JSON.stringify(value)) return;
    model.set(name, value);
    clearTimeout(timer);
    timer = setTimeout(() => model.save_changes(), 60);
  };
  const element = document.createElement("div");
  element.style.height = "560px";
  el.append(element);
  const start = () => mount(element, model.get("meta"), load, told);
  let explorer = start();
  const listeners = {
    "change:step": () => { const i = explorer.meta.steps.indexOf(model.get("step")); if (i >= 0 && i !== explorer.wanted) explorer.show(i, false); },
    "change:camera": () => { const view = model.get("camera"); if (explorer.part && view.length === 3 && JSON.stringify(view) !== JSON.stringify(explorer.view())) explorer.look_at(view); },
    "change:fill": () => { if (model.get("fill") !== explorer.fill) explorer.setFill(model.get("fill"), false); },
    "change:meta": () => { waiting.clear(); explorer = start(); },
  };
  for (const [name, listener] of Object.entries(listeners)) model.on(name, listener);
  explorer.ready.then(() => listeners["change:camera"]());
  return () => { model.off("msg:custom", received); for (const [name, listener] of Object.entries(listeners)) model.off(name, listener); };
}

export default { render };
