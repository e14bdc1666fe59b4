"""What tests ask a page of where things stand, in JavaScript that Chromium and Firefox both run."""

PLACES = """() => [".sv-time button", ".sv-time input", ".sv-zoom", ".sv-stage", ".sv-bar"].map((name) => {
  const box = explorer.root.querySelector(name).getBoundingClientRect();
  return [box.x, box.y, box.width, box.height];
})"""
"""The places of all that must not move."""

OVERLAPS = """(root) => {
  const shown = (e) => e.checkVisibility() && e.getClientRects().length && e.clientWidth + e.clientHeight > 0;
  // What is read or pressed: words, swatches, controls. The stage's own buttons lie over the picture on purpose.
  const kinds = "button, select, input, summary, dt, dd, li, th, td, p, .sv-title, .sv-ends span, .sv-bar label";
  const all = [...root.querySelectorAll(kinds)].filter((e) => shown(e) && !e.closest(".sv-frame"));
  const side = root.querySelector(".sv-side"), found = [];
  const boxes = all.map((e) => e.getBoundingClientRect());
  for (let i = 0; i < all.length; i++) {
    for (let j = i + 1; j < all.length; j++) {
      if (all[i].contains(all[j]) || all[j].contains(all[i])) continue;
      const [a, b] = [boxes[i], boxes[j]];
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (wide > 1.5 && high > 1.5) found.push([all[i].outerHTML.slice(0, 90), all[j].outerHTML.slice(0, 90)]);
    }
    const rim = root.getBoundingClientRect();
    const out = boxes[i].right > rim.right + 1 || boxes[i].left < rim.left - 1;
    if (out) found.push(["outside", all[i].outerHTML.slice(0, 90)]);
  }
  const frame = root.querySelector(".sv-frame").getBoundingClientRect(), beside = side.getBoundingClientRect();
  const wide = Math.min(frame.right, beside.right) - Math.max(frame.left, beside.left);
  const high = Math.min(frame.bottom, beside.bottom) - Math.max(frame.top, beside.top);
  if (wide > 1 && high > 1) found.push(["the picture", "the panel"]);
  const small = [...root.querySelectorAll(".sv-legend, .sv-info dd, .sv-info dt")].filter(
    (e) => shown(e) && (parseFloat(getComputedStyle(e).fontSize) < 11 || e.scrollWidth > e.clientWidth + 1));
  return { found, small: small.map((e) => e.outerHTML.slice(0, 90)), columns:
    getComputedStyle(root.querySelector(".sv-grid")).gridTemplateColumns.split(" ").length };
}"""
"""What lies over something else or outside, what is too small to be read, and the number of columns."""

DOINGS = (
    "explorer.play()", "explorer.play()", "explorer.ask(0.1, 0.1)", "explorer.describe(-1)", "explorer.pinAt(0.2, 0.1)",
    "explorer.setFill('class')", "explorer.choose([1, 2, 3])", "explorer.setFill('layer')", "explorer.flip('coloured')",
    "explorer.comparing.with(3, 'difference')", "explorer.say('a long word ' .repeat(9))", "explorer.comparing.with(-1)",
    "explorer.forget()",
)  # fmt: skip
"""What changes the panel beside the picture."""

FULL = """async () => {
  explorer.flip('coloured', true);
  explorer.setFill('class');
  explorer.pinAt(0.1, 0.1);
  explorer.choose([1, 2, 3, 4]);
  explorer.help.open = true;
  await new Promise((done) => setTimeout(done, 60));
}"""
"""Everything that can be written beside the picture, at once."""
