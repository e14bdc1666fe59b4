"""The life of a canvas: whatever happens to it, the picture is there again, or the page says what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from explorers import STEPS, partition_at, place, settle, shot

LAST = len(STEPS) - 1


def coloured(page: Any) -> bool:
    """Whether the canvas shows regions: several colours over most of it."""
    return len(np.unique(shot(page).reshape(-1, 3), axis=0)) > 30


def test_a_stage_of_no_size_is_painted_when_it_has_one_again(page: Any) -> None:
    page.evaluate("explorer.root.style.display = 'none'")
    page.wait_for_timeout(150)
    page.evaluate("explorer.setFill('area')")
    page.evaluate("explorer.root.style.display = ''")
    page.wait_for_function("explorer.canvas.width > 400")
    settle(page, LAST)
    assert coloured(page)


def test_another_density_of_pixels_gives_a_sharper_picture(page: Any) -> None:
    before = page.evaluate("explorer.canvas.width")
    session = page.context.new_cdp_session(page)
    session.send(
        "Emulation.setDeviceMetricsOverride", {"width": 1180, "height": 860, "deviceScaleFactor": 2, "mobile": False}
    )
    page.wait_for_function(f"explorer.canvas.width > {1.9 * before}")
    settle(page, LAST)
    assert coloured(page)
    session.send("Emulation.clearDeviceMetricsOverride")
    page.wait_for_function(f"explorer.canvas.width < {1.1 * before}")


def test_a_hidden_tab_shows_the_newest_when_it_is_seen_again(page: Any) -> None:
    """In a hidden tab no frame is painted; steps, fills and sizes change meanwhile."""
    settle(page, LAST)
    shown = page.evaluate(
        """async () => {
          const waiting = [], real = window.requestAnimationFrame;
          window.requestAnimationFrame = (paint) => waiting.push(paint);
          explorer.root.style.width = "700px";
          await explorer.show(3);
          explorer.setFill("area");
          await new Promise((done) => setTimeout(done, 100));
          window.requestAnimationFrame = real;
          explorer.root.style.width = "";
          waiting.forEach((paint) => paint(performance.now()));
          document.dispatchEvent(new Event("visibilitychange"));
          while (explorer.scene.frame) await new Promise((done) => setTimeout(done, 10));
          return [explorer.index, explorer.scene.frame, explorer.canvas.width / explorer.stage.clientWidth];
        }"""
    )
    assert shown == [3, 0, pytest.approx(1.0, abs=0.01)] and coloured(page)
    before = shot(page)
    page.evaluate("explorer.scene.paint()")
    assert np.array_equal(before, shot(page)), "what was on the canvas is what belongs there"
    page.evaluate("explorer.setFill('slope')")


def test_a_lost_context_leaves_the_picture_and_comes_back(page: Any) -> None:
    settle(page, LAST)
    page.evaluate("window.old = explorer.painter; old.gl.getExtension('WEBGL_lose_context').loseContext()")
    page.wait_for_function("explorer.painter !== old")
    assert coloured(page), "what was painted stays while there is no context"
    page.wait_for_function("explorer.painter && explorer.painter !== old", timeout=10_000)
    page.evaluate("explorer.setFill('area')")
    settle(page, LAST)
    assert coloured(page)
    page.evaluate("explorer.setFill('slope')")


def test_a_theme_switch_repaints_the_ground(page: Any) -> None:
    page.evaluate("explorer.look_at([...explorer.part.middle, 3 * explorer.part.half])")
    settle(page, LAST)
    assert shot(page)[2, 2].tolist() == [255, 255, 255]
    page.evaluate("document.body.setAttribute('data-jp-theme-light', 'false')")
    page.wait_for_function(
        "explorer.canvas.getContext('2d').getImageData(2, 2, 1, 1).data[0] < 60 && !explorer.frame", timeout=5000
    )
    assert coloured(page)
    page.evaluate("document.body.removeAttribute('data-jp-theme-light')")
    page.wait_for_function("explorer.canvas.getContext('2d').getImageData(2, 2, 1, 1).data[0] === 255", timeout=5000)


def test_highlights_follow_the_hand_also_when_painting_is_slow(page: Any, folder: Path) -> None:
    partition = partition_at(folder, LAST)
    page.evaluate(
        "explorer.scene.paintRegions_ = explorer.scene.paintRegions; "
        "explorer.scene.paintRegions = function () { this.paintRegions_(); this.took = 200; }; explorer.refresh()"
    )
    settle(page, LAST)
    page.mouse.move(*place(page, partition.centroids[0]))
    page.mouse.wheel(0, -300)
    page.wait_for_function("explorer.canvas.style.transform !== ''")
    before = page.evaluate("explorer.over.toDataURL()")
    for face in np.argsort(partition.areas)[-6:].tolist():
        page.mouse.move(*place(page, partition.centroids[face]))
    assert page.evaluate("explorer.over.toDataURL()") != before
    waits = [
        page.evaluate(
            "new Promise((done) => { const { scene } = explorer; scene.paintRegions = function () { "
            "done(performance.now() - this.moved); this.paintRegions_(); this.took = 200; }; explorer.zoom(0.9); })"
        )
        for _ in range(4)
    ]
    page.evaluate("delete explorer.scene.paintRegions")
    assert 100 < min(waits) < 300, f"the sharp picture is begun within 0.3 s of the last input: {waits}"


def test_on_paper_the_picture_stands_and_is_not_stretched(page: Any) -> None:
    width, height = page.evaluate("[explorer.canvas.width, explorer.canvas.height]")
    page.emulate_media(media="print")
    box = page.evaluate("explorer.stage.getBoundingClientRect().toJSON()")
    fit = page.evaluate("getComputedStyle(explorer.canvas).objectFit")
    tools = [".sv-bar", ".sv-zoom", ".sv-share", ".sv-time"]
    hidden = page.evaluate("(tools) => tools.map((name) => document.querySelector(name).clientHeight)", tools)
    legend = page.locator(".sv-legend").is_visible()
    page.emulate_media(media="screen")
    page.wait_for_function(f"explorer.canvas.width === {width} && explorer.canvas.height === {height}")
    assert box["height"] > 500 and box["width"] > 500 and fit == "contain" and hidden == [0, 0, 0, 0] and legend


def test_forced_colours_and_reduced_motion(page: Any) -> None:
    page.evaluate("explorer.setFill('class')")
    page.emulate_media(forced_colors="active", reduced_motion="reduce")
    settle(page, LAST)
    swatches, pressed, other, moving = page.evaluate(
        """() => {
          const shade = (e) => getComputedStyle(e).backgroundColor, all = [...document.querySelectorAll('.sv-explorer *')];
          const tools = [...document.querySelectorAll('.sv-group button')];
          return [
            [...document.querySelectorAll('.sv-legend li i')].map(shade), shade(tools[0]), shade(tools[1]),
            all.filter((e) => parseFloat(getComputedStyle(e).transitionDuration) > 0).length,
          ];
        }"""
    )
    seen = coloured(page)
    page.emulate_media(forced_colors="none", reduced_motion="no-preference")
    assert seen and len(set(swatches)) == len(swatches) == 3, "colours that mean something stay"
    assert pressed != other and moving == 0


def test_views_share_a_context_and_free_it(page: Any) -> None:
    """Sixteen contexts are a browser's limit: re-run cells must not use them up."""
    alive = page.evaluate(
        """async () => {
          const made = [], real = HTMLCanvasElement.prototype.getContext;
          HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
            const found = real.call(this, kind, ...rest);
            if (kind === "webgl2" && !made.includes(found)) made.push(found);
            return found;
          };
          const load = explorer.steps.load;
          for (let i = 0; i < 24; i++) {
            const view = new explorer.constructor(document.createElement("div"), structuredClone(explorer.meta), load, {});
            await view.ready;
            view.close();
          }
          HTMLCanvasElement.prototype.getContext = real;
          return [made.length, Boolean(explorer.painter), explorer.painter.gl.isContextLost()];
        }"""
    )
    assert alive == [0, True, False]


# ---- pages that cannot do all --------------------------------------------------------------------------


@pytest.fixture
def other(browser: Any) -> Iterator[Any]:
    """Pages in contexts of their own: open(path, **options)."""
    contexts: list[Any] = []

    def open_(path: Path, before: str = "", **options: Any) -> Any:
        contexts.append(browser.new_context(viewport={"width": 1000, "height": 700}, offline=True, **options))
        opened = contexts[-1].new_page()
        if before:
            opened.add_init_script(before)
        opened.goto(path.resolve().as_uri())
        return opened

    yield open_
    for context in contexts:
        context.close()


def test_without_javascript_there_is_a_picture_and_a_reason(other: Any, view: Path) -> None:
    opened = other(view, java_script_enabled=False)
    assert "Expected JavaScript" in opened.locator("#explorer").inner_text()
    assert opened.locator("#explorer img").bounding_box()["width"] > 300


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_half_a_file_says_so_and_shows_a_picture(other: Any, view: Path, tmp_path: Path, share: float) -> None:
    content = view.read_bytes()
    (tmp_path / "half.html").write_bytes(content[: int(share * len(content))])
    opened = other(tmp_path / "half.html")
    opened.wait_for_function("document.getElementById('said')?.textContent.includes('Expected')")
    assert "only a part of it" in opened.locator("#said").inner_text()
    assert opened.evaluate("document.querySelector('#explorer img').naturalWidth") > 300


def test_without_webgl_the_picture_is_drawn_all_the_same(other: Any, view: Path) -> None:
    opened = other(
        view,
        "const real = HTMLCanvasElement.prototype.getContext; HTMLCanvasElement.prototype.getContext = "
        "function (kind, ...rest) { return kind === 'webgl2' ? null : real.call(this, kind, ...rest); };",
    )
    opened.wait_for_function("window.explorer && explorer.index >= 0 && explorer.scene.drawn")
    assert not opened.evaluate("Boolean(explorer.painter)") and coloured(opened)
    opened.keyboard.press("Tab")
    opened.get_by_label("density", exact=True).check()
    assert "needs WebGL2" in opened.locator(".sv-status").inner_text()


def test_a_damaged_step_is_named_and_the_others_are_shown(other: Any, view: Path, tmp_path: Path) -> None:
    text = view.read_text()
    start = text.index('id="step-3">') + len('id="step-3">')
    (tmp_path / "damaged.html").write_text(text[: start + 400] + text[text.index("</script>", start) :])
    opened = other(tmp_path / "damaged.html")
    opened.wait_for_function("window.explorer && explorer.index >= 0")
    opened.evaluate("explorer.show(3)")
    opened.wait_for_function(f"explorer.status.textContent.startsWith('step {STEPS[3]}: ')")
    opened.evaluate("explorer.show(4)")
    opened.wait_for_function("explorer.index === 4 && explorer.status.textContent === ''")


def test_without_workers_steps_are_decoded_in_the_page(other: Any, view: Path) -> None:
    opened = other(view, "window.Worker = class { constructor() { throw new Error('refused'); } };")
    opened.wait_for_function("window.explorer && explorer.index >= 0")
    assert opened.evaluate("explorer.part.faces") > 50
