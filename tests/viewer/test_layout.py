"""Where things stand: controls that do not move under the hand, cells side by side, zoomed pages, phones, 4K; nothing overlaps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from explorers import STEPS

LAST = len(STEPS) - 1
FACE = "(f) => { const { part } = explorer, v = part.corners[part.offsets[f]]; return [part.x[v], part.y[v]]; }"

PLACES = """() => [".sv-time button", ".sv-time input", ".sv-zoom", ".sv-stage", ".sv-bar"].map((name) => {
  const box = explorer.root.querySelector(name).getBoundingClientRect();
  return [box.x, box.y, box.width, box.height];
})"""

SHIFTS = """() => {
  window.moved = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) for (const { node } of entry.sources) {
      if (node?.closest?.(".sv-time, .sv-main")) moved.push(node.className || node.nodeName);
    }
  }).observe({ type: "layout-shift", buffered: false });
}"""

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
    if (boxes[i].right > rim.right + 1 || boxes[i].left < rim.left - 1) found.push(["outside", all[i].outerHTML.slice(0, 90)]);
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


@pytest.fixture
def sized(browser: Any, view: Path) -> Iterator[Any]:
    """Pages of a width, height and density of pixels."""
    contexts: list[Any] = []

    def open_(width: int, height: int, **options: Any) -> Any:
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, offline=True, **options))
        page = contexts[-1].new_page()
        page.goto(view.resolve().as_uri())
        page.wait_for_function("window.explorer && explorer.index >= 0 && explorer.scene.drawn", timeout=60_000)
        return page

    yield open_
    for context in contexts:
        context.close()


@pytest.mark.parametrize(("width", "height"), [(1180, 700), (620, 900), (360, 740)])
def test_time_controls_do_not_jump(sized: Any, width: int, height: int) -> None:
    """All steps, playing, pointing, pinning: the slider, the button and the picture keep their places to the pixel."""
    page = sized(width, height)
    page.evaluate("explorer.meta.note = 'drawn with relu in the place of gelu'")
    page.evaluate(SHIFTS)
    places = {str(page.evaluate(PLACES))}
    for index in (0, 7, LAST):
        page.evaluate(f"explorer.show({index})")
        page.wait_for_function(f"explorer.index === {index}")
        places.add(str(page.evaluate(PLACES)))
    for say in ("explorer.play()", "explorer.play()", "explorer.ask(0.1, 0.1)", "explorer.describe(-1)",
                "explorer.pinAt(0.2, 0.1)", "explorer.setFill('class')", "explorer.choose([1, 2, 3])", "explorer.setFill('layer')",
                "explorer.flip('coloured')", "explorer.comparing.with(3, 'difference')", "explorer.say('a long word ' .repeat(9))",
                "explorer.comparing.with(-1)", "explorer.forget()"):  # fmt: skip
        page.evaluate(f"async () => {{ await ({say}); }}")
        page.wait_for_timeout(30)
        places.add(str(page.evaluate(PLACES)))
    assert len(places) == 1, places
    assert page.evaluate("moved") == [], "as the browser itself measures it"
