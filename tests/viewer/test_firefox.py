"""The page in Firefox, which may have no WebGL: the same answers, a picture, no error."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from explorers import STEPS, partition_at, region_at
from firefox import Fox, firefox
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
