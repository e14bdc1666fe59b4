"""The widget: its traits on the Python side, and its front end against a stand-in for the notebook's model."""

import base64
import json
from typing import Any

import numpy as np
import pytest
import torch
from browsers import chromium
from torch import nn

import splineviz as sv
from splineviz import pages
from splineviz.errors import DataError
from splineviz.partition import Partition

anywidget = pytest.importorskip("anywidget")

HOST = """
<!doctype html><meta charset="utf-8"><style>%s</style><div id="el" style="width: 1000px"></div>
<script type="module">
const steps = %s, values = %s, hands = {};
const fire = (name, ...rest) => (hands[name] || []).forEach((hand) => hand(...rest));
window.model = {
  get: (name) => values[name],
  set: (name, value) => { values[name] = value; },
  save_changes: () => { window.saved = structuredClone(values); },
  on: (name, hand) => { (hands[name] ||= []).push(hand); },
  off: (name, hand) => { hands[name] = (hands[name] || []).filter((other) => other !== hand); },
  send: ({ kind, index }) => setTimeout(() => fire("msg:custom", { kind, index }, [new DataView(
    Uint8Array.from(atob(steps[index]), (c) => c.charCodeAt(0)).buffer)])),
  python: (name, value) => { values[name] = value; fire("change:" + name); },
};
const url = URL.createObjectURL(new Blob([%s], { type: "text/javascript" }));
window.stop = (await import(url)).default.render({ model: window.model, el: document.getElementById("el") });
</script>
"""


@pytest.fixture(scope="module")
def partitions() -> dict[int, Partition]:
    plane = sv.Plane.through([0.0, 0.0], [1.0, 0.2], [0.3, 1.0])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        models = {step: nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 3)) for step in (0, 10, 100)}
    return {step: sv.partition(model, plane, window=2.0) for step, model in models.items()}


def test_traits_follow_python(partitions: dict[int, Partition]) -> None:
    view = sv.explore(partitions)
    assert view.step == 100 and view.partition.num_regions == partitions[100].num_regions
    view.selected_ids = [4, 2]
    table = view.selected
    assert table["region"].tolist() == [4, 2]
    np.testing.assert_array_equal(table["area"], partitions[100].areas[[4, 2]])
    view.step = 10
    assert view.selected_ids == [], "the regions of another step have other numbers"
    with pytest.raises(DataError, match="step: expected one of 0, 10, 100, got 11"):
        view.step = 11
    with pytest.raises(DataError, match="fill: expected one of slope, class,"):
        view.fill = "pink"


def test_a_step_is_sent_when_asked_for(partitions: dict[int, Partition], monkeypatch: pytest.MonkeyPatch) -> None:
    view, sent = sv.explore(partitions), []
    monkeypatch.setattr(view, "send", lambda content, buffers=None: sent.append((content, buffers)))
    for message in ({"kind": "step", "index": 1}, {"kind": "step", "index": 9}, {"kind": "other"}, "noise"):
        view._answer(view, message, [])
    ((content, buffers),) = sent
    assert content == {"kind": "step", "index": 1}
    assert buffers == [pages.pack_step(partitions[10], outputs=True)]


def test_the_front_end_shows_steps_and_talks_both_ways(partitions: dict[int, Partition]) -> None:
    view = sv.explore(partitions)
    steps = [base64.b64encode(pages.pack_step(found, outputs=True)).decode() for found in partitions.values()]
    values: dict[str, Any] = {"meta": view.meta, "step": 100, "camera": [], "fill": "slope", "selected_ids": []}
    html = HOST % (pages.style(), json.dumps(steps), json.dumps(values), json.dumps(pages.script()).replace("</", "<\\/"))
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1100, "height": 800})
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.set_content(html)
        explorer = "document.querySelector('.sv-explorer')?.explorer"
        page.wait_for_function(f"{explorer}?.index === 2", timeout=60_000)
        page.evaluate("model.python('step', 10)")
        page.wait_for_function(f"{explorer}.index === 1")
        assert f"{partitions[10].num_regions} regions" in page.locator(".sv-title").inner_text()
        page.evaluate("model.python('camera', [0.5, 0.25, 0.125])")
        assert page.evaluate(f"{explorer}.view()") == pytest.approx([0.5, 0.25, 0.125])
        page.evaluate("model.python('fill', 'class')")
        assert page.get_by_label("fill", exact=True).input_value() == "class"
        page.get_by_label("training step", exact=True).fill("0")
        page.wait_for_function("window.saved?.step === 0")
        box = page.locator(".sv-stage").bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_function("window.saved?.selected_ids.length === 1")
        face = page.evaluate("saved.selected_ids[0]")
        corners = partitions[0].vertices[partitions[0].face(face)]
        assert (corners.min(axis=0) <= [0.52, 0.27]).all() and (corners.max(axis=0) >= [0.48, 0.23]).all()
        page.evaluate("stop()")
        assert wrong == []
