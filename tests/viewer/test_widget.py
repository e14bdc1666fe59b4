"""The widget: its traits on the Python side, and its front end against a stand-in for the notebook's model."""

import base64
import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import splineviz as sv
from splineviz.errors import DataError
from splineviz.geometry.partition import Partition
from splineviz.viewer import page as pages

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
  send: (message) => {
    (window.asked ||= []).push(message);
    const { kind, index, slice } = message;
    const bare = { kind, index, slice }, text = { ...bare, base64: steps[index] };
    if (kind === "step" && window.lossy) setTimeout(() => fire("msg:custom", message.base64 ? text : bare, []));
    else if (kind === "step") setTimeout(() => fire("msg:custom", { kind, index, slice }, [new DataView(
      Uint8Array.from(atob(steps[index]), (c) => c.charCodeAt(0)).buffer)]));
  },
  fire: fire,
  python: (name, value) => { values[name] = value; fire("change:" + name); },
};
const url = URL.createObjectURL(new Blob([%s], { type: "text/javascript" }));
window.widget = (await import(url)).default;
window.stop = widget.render({ model: window.model, el: document.getElementById("el") });
</script>
"""


@pytest.fixture(scope="module")
def partitions() -> dict[int, Partition]:
    plane = sv.Plane.through([0.0, 0.0], [1.0, 0.2], [0.3, 1.0])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        models = {step: nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 3)) for step in (0, 10, 100)}
    return {step: sv.partition(model, plane, window=2.0) for step, model in models.items()}


def hosted(view: Any, partitions: dict[int, Partition]) -> str:
    """A page with the widget's front end and a model that has its traits."""
    steps = [base64.b64encode(pages.pack_step(found, outputs=True)).decode() for found in partitions.values()]
    values = {"meta": view.meta, "step": 100, "camera": [], "fill": "slope", "selected_ids": [], "sliced": {}}
    return HOST % (pages.style(), json.dumps(steps), json.dumps(values), json.dumps(pages.script()).replace("</", "<\\/"))


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
    assert content == {"kind": "step", "index": 1, "slice": 0}
    assert buffers == [pages.pack_step(partitions[10], outputs=True)]


def test_the_front_end_shows_steps_and_talks_both_ways(browser: Any, partitions: dict[int, Partition]) -> None:
    view = sv.explore(partitions)
    html = hosted(view, partitions)
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


# ---- another slice -----------------------------------------------------------------------------------


def live(partitions: dict[int, Partition], **options: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        models = {step: nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 3)) for step in (0, 10, 100)}
    return models, sv.explore(partitions, model=models, **options)


def test_moved_anchors_cut_every_step_anew(partitions: dict[int, Partition]) -> None:
    models, view = live(partitions)
    places = (2.0 * np.array(view.anchors)).tolist()
    view.selected_ids = [1]
    view.anchors = places
    assert view.sliced["slice"] == 1 and view.sliced["anchors"] == places
    assert "picture" not in view.sliced, "the plane is the same: the camera stays"
    assert view.selected_ids == []
    for step in (100, 0):
        view.step = step
        np.testing.assert_array_equal(view.partition.plane.anchors_uv, places)
        view.partition.verify(models[step])
    assert view.partition.areas.sum() == pytest.approx(4.0 * partitions[0].areas.sum())


def test_other_samples_make_another_plane(partitions: dict[int, Partition]) -> None:
    x = np.random.default_rng(3).uniform(-1, 1, (6, 2))
    models, view = live(partitions, samples=x)
    assert view.meta["live"] and view.meta["samples"] == 6
    view.samples = [3, 4, 5]
    np.testing.assert_allclose(view.partition.plane.embed(view.anchors), x[3:], atol=1e-12)
    assert view.sliced["samples"] == [3, 4, 5] and "picture" in view.sliced
    with pytest.raises(DataError, match="three numbers from 0 to 5"):
        view.samples = [0, 1, 6]
    assert view.samples == [3, 4, 5] and view.sliced["slice"] == 1, "refused, and nothing has changed"
    with pytest.raises(DataError, match="anchors: expected three finite points"):
        view.anchors = [[0.0, 0.0]]
    view.anchors = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    assert view.samples == [], "the anchors are no samples any more"


def test_without_a_network_nothing_is_cut(partitions: dict[int, Partition]) -> None:
    view = sv.explore(partitions)
    for name, value in (("anchors", [[0, 0], [1, 0], [0, 1]]), ("samples", [0, 1, 2])):
        with pytest.raises(DataError, match="expected model= or run= to slice again, got neither"):
            setattr(view, name, value)
    with pytest.raises(DataError, match=r"camera: expected \[u, v, half\] with a positive half"):
        view.camera = [0.0, 0.0, 0.0]
    with pytest.raises(DataError, match="html: expected no model or run"):
        sv.explore(partitions, model={}, html="never.html")
    with pytest.raises(DataError, match="samples: expected a model or a run"):
        sv.explore(partitions, samples=np.zeros((3, 2)))


def test_the_browser_asks_for_slices_and_hears_of_refusals(
    partitions: dict[int, Partition], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, view = live(partitions)
    sent: list[Any] = []
    monkeypatch.setattr(view, "send", lambda content, buffers=None: sent.append(content))
    view._answer(view, {"kind": "anchors", "anchors": [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]}, [])
    assert view.sliced["slice"] == 1 and sent == []
    view._answer(view, {"kind": "step", "index": 2, "slice": 0}, [])
    assert sent == [], "a step of the slice before is not sent any more"
    view._answer(view, {"kind": "step", "index": 2, "slice": 1}, [])
    assert sent.pop() == {"kind": "step", "index": 2, "slice": 1}
    view._answer(view, {"kind": "anchors", "anchors": [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]}, [])
    assert sent.pop()["kind"] == "refused"
    view._answer(view, {"kind": "anchors", "anchors": "noise"}, [])
    assert sent.pop()["kind"] == "refused"
    view._answer(view, {"kind": "samples", "samples": [0, 1, 2]}, [])
    assert "expected a run, or samples=" in sent.pop()["error"]


def test_a_dragged_star_asks_for_a_slice_and_the_camera_stays(browser: Any, partitions: dict[int, Partition]) -> None:
    _, view = live(partitions, samples=np.random.default_rng(3).uniform(-1, 1, (6, 2)))
    html = hosted(view, partitions)
    page = browser.new_page(viewport={"width": 1100, "height": 800})
    page.set_content(html)
    page.wait_for_function("document.querySelector('.sv-explorer')?.explorer?.index === 2", timeout=60_000)
    page.evaluate("window.explorer = document.querySelector('.sv-explorer').explorer; explorer.look_at([0.4, 0.4, 1.5])")
    box, place = page.locator(".sv-stage").bounding_box(), page.evaluate("explorer.view()")
    width, height = page.evaluate("[explorer.stage.clientWidth, explorer.stage.clientHeight]")
    unit = min(width, height) / 2 / place[2]

    def at(u: float, v: float) -> tuple[float, float]:
        return box["x"] + 1 + width / 2 + (u - place[0]) * unit, box["y"] + 1 + height / 2 - (v - place[1]) * unit

    target = [view.anchors[0][0] + 0.3, view.anchors[0][1] + 0.2]
    page.mouse.move(*at(*view.anchors[0]))
    page.wait_for_function("!explorer.frame")
    page.evaluate("const { scene } = explorer; window.painted = []; for (const name of ['paintRegions', 'paintUnder'])"
                  " { const own = scene[name]; scene[name] = () => { painted.push(name); own.call(scene); }; }")  # fmt: skip
    page.mouse.down()
    page.mouse.move(*at(*target), steps=5)
    page.wait_for_function("painted.length && !explorer.frame")
    assert set(page.evaluate("painted")) == {"paintUnder"}, "the star moves over regions that stay: they are not painted"
    page.mouse.up()
    slices = page.evaluate("asked.filter((one) => one.kind === 'anchors')")
    assert len(slices) == 1, "one at a time, however many moves there were"
    page.evaluate("explorer.slicing.sliced({ slice: 1, anchors: explorer.meta.anchors, samples: [] })")
    page.wait_for_function("asked.filter((one) => one.kind === 'anchors').length === 2")
    last = page.evaluate("asked.filter((one) => one.kind === 'anchors').at(-1).anchors")
    np.testing.assert_allclose(last, [target, *view.anchors[1:]], atol=2 / unit)
    np.testing.assert_allclose(page.evaluate("explorer.view()"), place, rtol=1e-9)
    page.evaluate("explorer.slicing.refused('three on one line')")
    assert page.locator(".sv-status").inner_text() == "three on one line"
    for box_, number in zip(page.locator(".sv-samples input").all(), "345", strict=True):
        box_.fill(number)
    page.keyboard.press("Enter")
    page.wait_for_function("asked.at(-1).kind === 'samples'")
    assert page.evaluate("asked.at(-1).samples") == [3, 4, 5]


def test_a_step_that_comes_with_its_slice_is_not_asked_for(browser: Any, partitions: dict[int, Partition]) -> None:
    _, view = live(partitions)
    page = browser.new_page(viewport={"width": 1100, "height": 800})
    page.set_content(hosted(view, partitions))
    page.wait_for_function("document.querySelector('.sv-explorer')?.explorer?.index === 2", timeout=60_000)
    come = """async ([slice, step, buffers]) => {
      const { explorer } = document.querySelector(".sv-explorer"), 
        said = { kind: "step", index: 2, slice: step, early: true };
      window.asked = [];
      const bytes = Uint8Array.from(atob(steps[1]), (c) => c.charCodeAt(0)).buffer;
      model.fire("msg:custom", said, buffers ? [new DataView(bytes)] : []);
      model.python("sliced", { slice, anchors: explorer.meta.anchors, samples: [], partial: true });
      while (explorer.cutting || explorer.steps.jobs.length) await new Promise((go) => setTimeout(go));
      await new Promise((done) => { const look = () => explorer.steps.held.has(2) ? done() : setTimeout(look); look(); });
      return [asked.length, explorer.steps.held.get(2).faces];
    }"""
    page.evaluate("window.steps = " + json.dumps([base64.b64encode(pages.pack_step(p, outputs=True)).decode()
                                                  for p in partitions.values()]))  # fmt: skip
    assert page.evaluate(come, [1, 1, True]) == [0, partitions[10].num_regions]
    assert page.evaluate(come, [2, 1, True]) == [1, partitions[100].num_regions], "a step of another slice is not this one's"
    assert page.evaluate(come, [3, 3, False]) == [1, partitions[100].num_regions], "a notebook that loses buffers"


# ---- what a notebook may do to it ----------------------------------------------------------------------


def test_while_an_anchor_is_dragged_a_part_of_the_window_is_cut(
    partitions: dict[int, Partition], monkeypatch: pytest.MonkeyPatch
) -> None:
    from splineviz.viewer import reslicing

    monkeypatch.setattr(reslicing, "QUICK", 20)
    models, view = live(partitions)
    sent: list[tuple[Any, Any]] = []
    view.observe(lambda change: sent.append((change["new"], None)), "sliced")
    monkeypatch.setattr(view, "send", lambda content, buffers=None: sent.append((content, buffers)))
    places = (1.1 * np.array(view.anchors)).tolist()
    view._answer(view, {"kind": "anchors", "anchors": places, "whole": False}, [])
    part = view.partition
    assert view.sliced["partial"] and part.areas.sum() < 0.7 * partitions[100].areas.sum()
    part.verify(models[100])
    (step, buffers), (sliced, _) = sent
    assert step == {"kind": "step", "index": 2, "slice": 1, "early": True} and sliced is view.sliced, "unasked"
    assert buffers == [pages.pack_step(part, outputs=True)]
    view._answer(view, {"kind": "anchors", "anchors": places, "whole": True}, [])
    assert len(sent) == 3, "the whole one is large, and sent when it is asked for"
    assert not view.sliced["partial"]
    assert view.partition.areas.sum() == pytest.approx(1.21 * partitions[100].areas.sum())
    low, high = (end(view.partition.window, axis=0) for end in (np.min, np.max))
    assert (part.window >= low).all() and (part.window <= high).all(), "the middle of the whole one"


def test_a_step_and_its_selection_arrive_together(partitions: dict[int, Partition]) -> None:
    view = sv.explore(partitions)
    view.set_state({"selected_ids": [3], "step": 10})
    assert (view.step, view.selected_ids) == (10, [3]), "the new step's selection, not the old one's"
    with pytest.raises(DataError, match="selected_ids: expected regions from 0 to"):
        view.selected_ids = [10**6]


def test_without_buffers_a_step_travels_as_text(partitions: dict[int, Partition], monkeypatch: pytest.MonkeyPatch) -> None:
    view, sent = sv.explore(partitions, height=480), []
    assert view.height == "480px"
    monkeypatch.setattr(view, "send", lambda content, buffers=None: sent.append((content, buffers)))
    view._answer(view, {"kind": "step", "index": 1, "slice": 0, "base64": True}, [])
    ((content, buffers),) = sent
    assert buffers is None and base64.b64decode(content["base64"]) == pages.pack_step(partitions[10], outputs=True)
    with pytest.raises(DataError, match="height: expected a length such as 620px"):
        view.height = "tall"


def test_a_notebook_keeps_a_picture(partitions: dict[int, Partition], monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    display = pytest.importorskip("IPython.display", reason="IPython is not installed")
    monkeypatch.setattr(display, "display", lambda data, **_: shown.append(data))
    view = sv.explore(partitions)
    view._ipython_display_()
    assert "application/vnd.jupyter.widget-view+json" in shown[0]
    assert f'alt="splineviz {view.name}"' in shown[1]["text/html"] and "data:image/png;base64," in shown[1]["text/html"]
    assert repr(view).startswith("Explorer(step=100, fill='slope', ")


def test_lost_buffers_second_views_and_selections_from_python(browser: Any, partitions: dict[int, Partition]) -> None:
    """A notebook that drops buffers; then another view of the same widget; then re-run cells."""
    view = sv.explore(partitions)
    lossy = "<script>window.lossy = true</script>\n<script type=module>"
    html = hosted(view, partitions).replace('<script type="module">', lossy)
    page = browser.new_page(viewport={"width": 1100, "height": 800})
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.set_content(html)
    explorer = "document.querySelector('.sv-explorer')?.explorer"
    page.wait_for_function(f"{explorer}?.index === 2", timeout=60_000)
    page.evaluate("model.python('selected_ids', [0, 1, 2, 3])")
    page.wait_for_function(f"{explorer}.selected.length === 4")
    page.evaluate("model.python('selected_ids', [5])")
    page.wait_for_function(f"{explorer}.pinned === 5")
    page.evaluate("model.python('fill', 'area')")
    page.evaluate("window.second = document.createElement('div'); document.body.append(second)")
    page.evaluate("void (window.stop2 = widget.render({ model, el: second }))")
    page.wait_for_function("second.querySelector('.sv-explorer')?.explorer?.index === 2")
    assert page.evaluate("second.querySelector('.sv-explorer').explorer.fill") == "area", "as the first"
    page.evaluate("stop2(); stop()")
    assert page.evaluate("document.querySelectorAll('.sv-explorer canvas').length") == 0
    assert wrong == []
    page.close()


def test_the_height_is_what_python_says(browser: Any, partitions: dict[int, Partition]) -> None:
    view = sv.explore(partitions, height=480)
    assert view.height == "480px" and sv.explore(partitions, height="60vh").height == "60vh"
    with pytest.raises(DataError, match="height: expected a length such as 620px or 80vh"):
        view.height = "tall; color: red"
    page = browser.new_page(viewport={"width": 1100, "height": 800})
    page.set_content(hosted(view, partitions).replace('"step": 100', '"height": "480px", "step": 100'))
    page.wait_for_function("document.querySelector('.sv-explorer')?.explorer?.index === 2", timeout=60_000)
    assert page.locator(".sv-explorer").bounding_box()["height"] == 480
    page.evaluate("model.python('height', '300px')")
    assert page.locator(".sv-explorer").bounding_box()["height"] == 300
    page.close()
