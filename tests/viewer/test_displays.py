"""What stands below a notebook cell, judged by a browser: films that play; runs and complexities in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_runs import network, write_run

import splineviz as sv


@pytest.mark.parametrize(("kind", "element"), [("webm", "video"), ("gif", "img")])
def test_a_film_plays_where_it_stands(browser: Any, tmp_path: Path, kind: str, element: str) -> None:
    """Its HTML alone, without the files: a video whose time runs on, or a picture that moves, with a name and a poster."""
    write_run(tmp_path / "run")
    look = {"size": (320, 180), "fps": 8, "quality": "small"}
    made = sv.animate(tmp_path / "run", out=tmp_path / "out", formats=(kind,), lc=None, progress=None, **look)
    html = made._repr_html_()
    assert repr(made) == f"Animation({len(made.frames)} frames in {str(tmp_path / 'out')!r}: animation.{kind})"
    assert str(tmp_path) not in html.replace(f"frames in {tmp_path / 'out'}", ""), "nothing is fetched"
    page = browser.new_context(offline=True).new_page()
    page.set_content(f"<body>{html}</body>")
    if element == "img":
        page.wait_for_function("document.querySelector('img').naturalWidth === 320")
        assert page.evaluate("document.querySelector('img').alt").startswith("3 frames in ")
    else:
        page.evaluate("document.querySelector('video').play()")
        page.wait_for_function("document.querySelector('video').currentTime > 0.1", timeout=20_000)
        film = "(({ videoWidth: w, videoHeight: h, controls, loop, muted, error }) => [w, h, controls, loop, muted, error])"
        assert page.evaluate(f"{film}(document.querySelector('video'))") == [320, 180, True, True, True, None]
        assert page.evaluate("document.querySelector('video').poster").startswith("data:image/png;base64,")
    page.context.close()


def test_a_film_too_large_for_a_notebook_says_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from splineviz.drawing import film

    write_run(tmp_path / "run")
    out = tmp_path / "<out>"
    made = sv.animate(tmp_path / "run", out=out, formats=("gif",), size=(320, 180), lc=None, progress=None)
    monkeypatch.setattr(film, "INLINE", 10)
    said = made._repr_html_()
    assert said.startswith("<p>3 frames in ") and "&lt;out&gt;" in said and "<out>" not in said


def test_displays_are_short_lines(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    run = sv.open_run(tmp_path / "run")
    assert repr(run) == f"Run('{tmp_path / 'run'}': 3 checkpoints, steps 0 to 10, 12 training samples)"
    points = np.random.default_rng(0).uniform(0, 1, (20, 2, 2))
    found = sv.local_complexity(network(), torch.tensor(points, dtype=torch.float32), radius=0.5)
    words = repr(found)
    assert words.startswith(f"LocalComplexity({found.mean:.4g} +- ") and "20 points, 1 layers, radius 0.5" in words
    assert "\n" not in words and len(words) < 120
