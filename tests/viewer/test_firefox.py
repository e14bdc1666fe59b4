"""The page in Firefox, which may have no WebGL: the same answers, a picture, no error."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from explorers import STEPS, partition_at, region_at
from firefox import Fox, firefox
from layouts import DOINGS, FULL, OVERLAPS, PLACES
from PIL import Image

LAST = len(STEPS) - 1


@pytest.fixture(scope="module")
def fox(view: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fox]:
    with firefox(tmp_path_factory.mktemp("fox")) as opened:
        opened.size(1200, 900)
        opened.open(view.resolve().as_uri())
        opened.until("window.explorer && explorer.index >= 0 && explorer.scene.drawn")
        yield opened


def test_it_shows_the_regions(fox: Fox) -> None:
    fox.until("!explorer.frame")
    shown = np.asarray(Image.open(io.BytesIO(fox.shot())).convert("RGB"))
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 100 and shown.std() > 20
    assert fox.run("return explorer.status.textContent") == ""


def test_it_answers_as_python_does(fox: Fox, folder: Path) -> None:
    partition = partition_at(folder, LAST)
    low, high = partition.window.min(axis=0), partition.window.max(axis=0)
    for x, y in np.random.default_rng(1).uniform(-0.95, 0.95, (12, 2)).tolist():
        uv = (low + high) / 2 + np.array([x, y]) * (high - low).max() / 2
        face = fox.run("return explorer.ask(arguments[0], arguments[1])", x, y)
        assert face == region_at(partition, uv)


def test_steps_pins_and_the_rest_work(fox: Fox, folder: Path) -> None:
    fox.run("explorer.pinAt(0.1, 0.2)")
    fox.until("explorer.following.done && explorer.following.found.every(Boolean)")
    fox.run("return explorer.show(2)")
    fox.until("explorer.index === 2")
    assert fox.run("return explorer.part.faces") == partition_at(folder, 2).num_regions
    fox.run("explorer.setFill('class'); return explorer.comparing.with(5, 'difference')")
    fox.until("explorer.comparing.part && explorer.comparing.said.includes('stayed')")
    fox.run("return explorer.comparing.with(-1)")
    assert fox.run("return getComputedStyle(document.querySelector('.sv-grid')).gridTemplateColumns.split(' ').length") == 2


def test_a_click_and_a_key_reach_it(fox: Fox) -> None:
    fox.run("explorer.forget(); explorer.home()")
    box = fox.run("return explorer.stage.getBoundingClientRect().toJSON()")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    fox.act(
        {
            "type": "pointer", "id": "mouse", "actions": [
                {"type": "pointerMove", "x": int(x), "y": int(y)}, {"type": "pointerDown", "button": 0},
                {"type": "pointerUp", "button": 0},
            ],
        }
    )  # fmt: skip
    fox.until("explorer.pinned >= 0")
    fox.act({"type": "key", "id": "keys", "actions": [{"type": "keyDown", "value": "+"}, {"type": "keyUp", "value": "+"}]})
    fox.until("explorer.camera.r < 1")


def colours(fox: Fox) -> int:
    """How many colours the canvas has."""
    fox.until("!explorer.frame && !explorer.canvas.style.transform")
    return int(
        fox.run(
            """const { width, height } = explorer.canvas;
            const { data } = explorer.canvas.getContext("2d").getImageData(0, 0, width, height);
            return new Set(new Uint32Array(data.buffer)).size;"""
        )
    )


def test_nothing_moves_and_nothing_overlaps(fox: Fox) -> None:
    """As in Chromium: the time controls stay, whatever is written; in a wide, a middle and a narrow cell all is readable."""
    places = {str(fox.run(f"return ({PLACES})()"))}
    for doing in DOINGS:
        fox.run(f"return (async () => {{ await ({doing}); }})()")
        places.add(str(fox.run(f"return ({PLACES})()")))
    assert len(places) == 1, places
    for width, columns in ((1100, 2), (620, 1), (360, 1)):
        fox.run("explorer.root.style.width = arguments[0]", f"{width}px")
        fox.until("!explorer.frame && explorer.canvas.width === Math.round(devicePixelRatio * explorer.stage.clientWidth)")
        fox.run(f"return ({FULL})()")
        assert fox.run(f"return ({OVERLAPS})(explorer.root)") == {"found": [], "small": [], "columns": columns}
        fox.run("explorer.forget(); explorer.help.open = false; explorer.flip('coloured', false)")
    fox.run("explorer.root.style.width = ''; explorer.setFill('slope'); return explorer.show(arguments[0])", LAST)


def test_it_lives_through_what_may_happen(fox: Fox) -> None:
    """A stage without size, a theme, a lost context where there is one, the picture for the menu: never blank."""
    fox.run("explorer.root.style.display = 'none'; explorer.setFill('area')")
    fox.run("explorer.root.style.display = ''")
    fox.until("explorer.canvas.width > 400")
    assert colours(fox) > 30
    fox.run("document.body.setAttribute('data-jp-theme-light', 'false')")
    fox.run("explorer.look_at([...explorer.part.middle, 3 * explorer.part.half])")
    fox.until("explorer.canvas.getContext('2d').getImageData(2, 2, 1, 1).data[0] < 60")
    fox.run("document.body.removeAttribute('data-jp-theme-light'); explorer.home(); explorer.setFill('slope')")
    fox.run("explorer.painter?.gl.getExtension('WEBGL_lose_context')?.loseContext()")
    assert colours(fox) > 30
    fox.run("return new Promise((done) => setTimeout(done, 900))")
    fox.run("explorer.setFill('margin')")
    assert colours(fox) > 30
    fox.run("explorer.offerCopy()")
    same = """const at = (c) => [...c.getContext("2d").getImageData(c.width / 2, c.height / 2 + 37, 1, 1).data];
      const found = at(explorer.over).join() === at(explorer.canvas).join();
      explorer.scene.copying = false; explorer.refreshOverlay(); return found;"""
    assert fox.run(same)


def test_an_address_is_opened_again(fox: Fox, view: Path) -> None:
    fox.run("explorer.look_at([0.123456789012345, 1 / 3, 1e-7]); explorer.setFill('class'); return explorer.show(5)")
    fox.until("explorer.index === 5 && location.hash.includes('1e-7')")
    seen = fox.run("return [explorer.view(), explorer.fill, location.href]")
    fox.open("about:blank")
    fox.open(seen[2])
    fox.until("window.explorer && explorer.index === 5 && !explorer.frame")
    fox.run("return explorer.ready.then(() => true)")
    again = fox.run("return [explorer.view(), explorer.fill]")
    np.testing.assert_allclose(again[0], seen[0], rtol=1e-12)
    assert again[1] == "class" and colours(fox) >= 1
