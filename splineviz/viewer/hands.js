// hands: mouse, touch and keys on the picture. Tools: pan, box, lasso; a star is dragged where Python can slice again.

const GRIP = 14;

export function listen(view) {
  const { stage } = view, place = (event) => { const box = stage.getBoundingClientRect(); return [event.clientX - box.left - stage.clientLeft, event.clientY - box.top - stage.clientTop]; };
  let grip = null;
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (view.part) view.zoom(Math.exp(Math.sign(event.deltaY) * Math.min(0.5, Math.abs(event.deltaY) * 0.0016)), ...place(event));
  }, { passive: false });
  stage.addEventListener("pointerdown", (event) => {
    if (!view.part) return;
    stage.focus({ preventScroll: true, focusVisible: false }); stage.setPointerCapture(event.pointerId);
    const from = place(event), star = view.meta.live && view.look.anchors ? starAt(view, ...from) : -1;
    const tool = star >= 0 ? "star" : event.shiftKey ? "box" : event.altKey ? "lasso" : view.tool;
    grip = { from, last: from, tool, star, far: false };
  });
  stage.addEventListener("pointermove", (event) => {
    if (!view.part) return;
    const here = place(event);
    if (!grip) {
      stage.classList.toggle("sv-grab", Boolean(view.meta.live && view.look.anchors && starAt(view, ...here) >= 0));
      view.ask(...view.toPlane(...here));
      return;
    }
    grip.far ||= Math.hypot(here[0] - grip.from[0], here[1] - grip.from[1]) > 4;
    if (grip.far) drag(view, grip, here);
    grip.last = here;
  });
  stage.addEventListener("pointerup", (event) => {
    if (!grip || !view.part) return;
    const held = grip;
    grip = null;
    if (held.tool === "star") { if (held.far) view.moveAnchors(view.meta.anchors, true); }
    else if (view.line) { const line = view.line; view.line = null; view.choosePolygon(line); }
    else if (!held.far) view.pin(...view.toPlane(...place(event)));
  });
  stage.addEventListener("pointercancel", () => { grip = null; view.line = null; view.refreshOverlay(); });
  stage.addEventListener("pointerleave", () => { if (view.part && !grip) { view.hover = -1; view.describe(-1); view.refreshOverlay(); } });
  stage.addEventListener("dblclick", (event) => view.zoom(0.4, ...place(event)));
  view.root.addEventListener("keydown", (event) => press(view, event));
}

function drag(view, grip, here) {
  const { part, stage } = view;
  if (grip.tool === "box") {
    const [a, b] = grip.from, [c, d] = here;
    view.line = [a, b, c, b, c, d, a, d];
    view.refreshOverlay();
  } else if (grip.tool === "lasso") {
    view.line ||= [...grip.from];
    view.line.push(...here);
    view.refreshOverlay();
  } else if (grip.tool === "star") {
    const [x, y] = view.toPlane(...here);
    view.meta.anchors[grip.star] = [part.middle[0] + part.half * x, part.middle[1] + part.half * y];
    view.moveAnchors(view.meta.anchors, false);
    view.refreshOverlay();
  } else {
    const unit = view.camera.r / (Math.min(stage.clientWidth, stage.clientHeight) / 2);
    view.camera.x -= (here[0] - grip.last[0]) * unit; view.camera.y += (here[1] - grip.last[1]) * unit;
    view.moved();
  }
}

function starAt(view, px, py) {
  const { middle, half } = view.part, unit = Math.min(view.stage.clientWidth, view.stage.clientHeight) / 2 / view.camera.r;
  return view.meta.anchors.findIndex(([u, v]) => {
    const x = view.stage.clientWidth / 2 + ((u - middle[0]) / half - view.camera.x) * unit, y = view.stage.clientHeight / 2 - ((v - middle[1]) / half - view.camera.y) * unit;
    return Math.hypot(px - x, py - y) <= GRIP;
  });
}

function press(view, event) {
  const { tagName, type } = event.target, typing = tagName === "SELECT" || type === "number";
  const own = typing ? event.key !== "Escape" : /INPUT|BUTTON/.test(tagName) && /^( |Enter|Arrow.*|Home|End)$/.test(event.key);
  if (!view.part || event.ctrlKey || event.metaKey || event.altKey || own) return;
  const look = () => { if (view.pinned < 0) view.ask(view.camera.x, view.camera.y); }; // what the cross stands on
  const pan = (dx, dy) => { view.camera.x += 0.15 * dx * view.camera.r; view.camera.y += 0.15 * dy * view.camera.r; view.moved(); look(); };
  const pinned = (act) => () => { if (view.pinned >= 0) { act(view.pinned); view.describe(...view.lastAsked); view.refreshOverlay(); } };
  const keys = {
    ArrowLeft: () => pan(-1, 0), ArrowRight: () => pan(1, 0), ArrowUp: () => pan(0, 1), ArrowDown: () => pan(0, -1),
    "+": () => view.zoom(0.7), "=": () => view.zoom(0.7), "-": () => view.zoom(1 / 0.7), 0: () => view.home(),
    ".": () => view.show(view.wanted + 1), ",": () => view.show(view.wanted - 1), " ": () => view.play(),
    Home: () => view.show(0), End: () => view.show(view.meta.steps.length - 1),
    f: () => view.nextFill(), k: () => view.flip("knots"), i: () => view.flip("coloured"), b: () => view.flip("boundary"), a: () => view.flip("anchors"), d: () => view.flip("density"),
    p: () => view.setTool("pan"), x: () => view.setTool("box"), l: () => view.setTool("lasso"),
    n: pinned((f) => { view.neighbours = view.neighbours.length ? [] : view.around(f); }),
    c: pinned((f) => view.showClass(view.onlyClass >= 0 ? -1 : view.facts(f, ...view.lastAsked.slice(1)).class)),
    Enter: () => view.pin(view.camera.x, view.camera.y),
    Escape: () => view.forget(),
  };
  if (keys[event.key]) { event.preventDefault(); event.stopPropagation(); keys[event.key](); }
}
