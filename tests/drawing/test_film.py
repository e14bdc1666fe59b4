"""Reels: painting, saving and encoding at once; what fails, fails aloud and leaves no half film."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from splineviz import choices
from splineviz.drawing import film, video
from splineviz.drawing.look import Look
from splineviz.errors import DataError
from splineviz.storage import files
from splineviz.training.recorder import schedule


def picture(k: int) -> np.ndarray:
    pixels = np.full((36, 64, 3), 255, dtype=np.uint8)
    pixels[:, : 6 * k + 4] = (40 * k, 90, 200 - 30 * k)
    return pixels


def shots(folder: Path, count: int = 5, key: str = "a") -> list[film.Shot]:
    return [film.Shot(folder / f"{k}.png", f"{key}{k}", lambda k=k: picture(k), f"picture {k}") for k in range(count)]  # type: ignore[misc]


def decoded(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_pictures_and_films_come_out_in_order(tmp_path):
    said: list[tuple[int, str]] = []
    names = ["mp4", "gif", "mp4"]
    videos, drawn = film.shoot(shots(tmp_path), tmp_path, formats=names, fps=2, progress=lambda *c: said.append(c))
    assert drawn == 5 and [path.name for path in videos] == ["animation.mp4", "animation.gif"]
    assert said == [(k + 1, f"picture {k}") for k in range(5)]
    frames = decoded(videos[0])
    assert len(frames) == 4 + 2 * video.HOLD
    for k, frame in enumerate(frames[:5]):
        assert np.abs(frame.astype(int) - picture(k)).mean() < 6
        np.testing.assert_array_equal(video.read_frame(tmp_path / f"{k}.png"), picture(k))


def test_a_gif_is_made_beside_the_painting_as_it_is_from_files(tmp_path):
    painted, said = list[int](), list[int]()

    def shot(k: int) -> film.Shot:
        def paint() -> np.ndarray:
            painted.append(k)
            return picture(k % 5)

        return film.Shot(tmp_path / f"{k:02d}.png", f"a{k}", paint)

    some = [shot(k) for k in range(15)]
    videos, drawn = film.shoot(some, tmp_path, formats=["gif", "mp4"], fps=2, progress=lambda done, _: said.append(done))
    assert drawn == 15 and said == list(range(1, 16))
    assert sorted(painted) == list(range(15)) and painted[:5] == [0, 3, 6, 9, 12]  # those that tell the colours
    again = tmp_path / "again.gif"
    video.save_video(again, [one.path for one in some], fps=2, comment=str(video.comment_of(videos[0])))
    assert again.read_bytes() == videos[0].read_bytes()


def test_a_film_of_old_and_new_pictures(tmp_path):
    film.shoot(shots(tmp_path), tmp_path, formats=["mp4"], fps=2)
    (tmp_path / "2.png").unlink()
    (tmp_path / "animation.mp4").unlink()
    videos, drawn = film.shoot(shots(tmp_path), tmp_path, formats=["mp4"], fps=2)
    assert drawn == 1 and len(decoded(videos[0])) == 4 + 2 * video.HOLD
    before = videos[0].stat().st_mtime_ns
    assert film.shoot(shots(tmp_path), tmp_path, formats=["mp4"], fps=2)[1] == 0
    assert videos[0].stat().st_mtime_ns == before


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_painting_that_fails_leaves_whole_pictures_and_no_film(tmp_path, error):
    before = threading.enumerate()

    def broken() -> np.ndarray:
        raise error("the brush")

    some = [*shots(tmp_path, 4), film.Shot(tmp_path / "4.png", "k", broken)]
    with pytest.raises(error, match="the brush"):
        film.shoot(some, tmp_path, formats=["mp4", "webm"], fps=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.png", "1.png", "2.png", "3.png"]
    assert not [t for t in threading.enumerate() if t not in before]


def test_an_encoder_that_fails_is_heard(tmp_path, monkeypatch):
    before = threading.enumerate()
    monkeypatch.setattr(video, "encoder", lambda kind: ("no-such-codec", "yuv420p", {"usual": {}}, {}))
    with pytest.raises(Exception, match="no-such-codec"):
        film.shoot(shots(tmp_path, 9), tmp_path, formats=["mp4"], fps=2)
    assert not [t for t in threading.enumerate() if t not in before]


def test_another_encoder_is_taken_where_the_first_choice_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(video.CODECS, "mp4", ("no-such-codec", "yuv420p", {"usual": {}}, {}))
    asked = film.Film("film", tmp_path, ["mp4"], 2)
    (path,), _ = film.shoot(shots(tmp_path, 3), tmp_path, formats=asked.formats, fps=asked.fps)
    for k, frame in enumerate(decoded(path)[:3]):
        assert np.abs(frame.astype(int) - picture(k)).mean() < 6


def test_a_missing_encoder_is_told_before_anything_is_measured(tmp_path, monkeypatch):
    monkeypatch.setitem(video.CODECS, "mp4", ("no-such-codec", "yuv420p", {"usual": {}}, {}))
    monkeypatch.setattr(video, "SPARE", {})
    with pytest.raises(DataError, match=r"encoder for mp4, got .* without no-such-codec; take one of webm, webp, apng, gif"):
        film.Film("film", tmp_path, ["gif", "mp4"], 2)


def test_few_pictures_wait_however_slow_the_encoder(tmp_path, monkeypatch):
    waiting, most = [0], [0]

    def slow(path, pictures, *, fps, comment, quality):
        for _ in pictures:
            threading.Event().wait(0.02)
            waiting[0] -= 1

    def paint() -> np.ndarray:
        waiting[0] += 1
        most[0] = max(most[0], waiting[0])
        return picture(1)

    monkeypatch.setattr(film, "save_stream", slow)
    film.shoot([film.Shot(tmp_path / f"{k}.png", "k", paint) for k in range(12)], tmp_path, formats=["mp4"], fps=2)
    assert most[0] <= film.AHEAD + 3  # what waits, what is encoded, what waits for its place, what is painted


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"formats": ["avi"]}, "some of mp4, webm, webp, apng, gif, got avi"),
        ({"fps": 0}, "between 0 and 120, got 0"),
        ({"fps": 121}, "between 0 and 120, got 121"),
        ({"between": -1}, "from 0 up, got -1"),
    ],
)
def test_a_film_that_cannot_be_is_refused_before_any_work(tmp_path, asked, message):
    with pytest.raises(DataError, match=message):
        film.Film(**{"kind": "film", "folder": tmp_path, "formats": ["mp4"], "fps": 6, **asked})


def test_a_film_comes_with_poster_words_and_manifest(tmp_path):
    calls = []
    asked = film.Film("film", tmp_path, ["gif"], fps=2, between=1, progress=lambda *call: calls.append(call))
    some = [replace(shot, caption=None if k % 2 else f"number {k}") for k, shot in enumerate(shots(tmp_path))]
    words = {"alternative": "five numbers\n", "said": {"look": "x"}}
    made = film.make(asked, some, **words)
    assert made.frames == tuple(shot.path for shot in some[::2])
    assert made.poster.read_bytes() == some[-1].path.read_bytes() and made.drawn == 5
    cues = made.captions.read_text().strip().split("\n\n")[1:]
    assert cues[1] == "00:00:00.500 --> 00:00:01.000\nnumber 2" and len(cues) == 3
    assert (tmp_path / "animation.txt").read_text() == "five numbers\n"
    said = files.read_sealed(tmp_path / "manifest.json")
    asked_for = {"formats": ["gif"], "fps": 2, "tween": 1, "quality": "usual"}
    assert said["options"]["film"] == files.plain({**asked_for, **Look().said, "look": "x"})
    assert {"animation.gif", "poster.png", "animation.vtt", "animation.txt"} <= set(said["files"])
    assert calls[0][:2] == (6, 10) and calls[-1][:2] == (10, 10)
    played = made._repr_html_()
    assert played.startswith(f'<img alt="3 frames in {tmp_path}"') and "data:image/gif;base64," in played
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert film.make(asked, some, **words).drawn == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("kind", ["mp4", "webm", "webp", "apng", "gif"])
def test_every_picture_stands_equally_long(tmp_path, kind):
    (path,), _ = film.shoot(shots(tmp_path, 6), tmp_path, formats=[kind], fps=4)
    np.testing.assert_allclose(shown_at(path)[:6], np.arange(6) / 4, atol=2e-3)


def test_a_recorded_run_gives_each_decade_of_steps_the_same_time(tmp_path):
    # No picture is weighed by its step: the pace is that of the checkpoints, of which a Recorder makes ten a decade.
    steps = schedule(1_000)
    some = [film.Shot(tmp_path / f"{step}.png", f"s{step}", lambda k=k: picture(k % 6)) for k, step in enumerate(steps)]  # type: ignore[misc]
    (path,), _ = film.shoot(some, tmp_path, formats=["mp4"], fps=4)
    shown = dict(zip(steps, shown_at(path)[: len(steps)], strict=True))
    assert shown[0] == 0 and shown[100] - shown[10] == pytest.approx(10 / 4) == shown[1_000] - shown[100]
    assert shown_at(path)[-1] == pytest.approx(shown[1_000] + video.HOLD - 1 / 4)


def shown_at(path: Path) -> np.ndarray:
    """Seconds at which the pictures of a film come on: those of the container, or sums of the durations in the file."""
    if path.suffix in (".mp4", ".webm"):
        with av.open(str(path)) as container:
            return np.array([frame.time for frame in container.decode(video=0)])
    with Image.open(path) as image:
        lengths = []
        for k in range(image.n_frames):
            image.seek(k)
            image.load()
            lengths.append(float(image.info["duration"]))
    return np.concatenate([[0.0], np.cumsum(lengths)[:-1]]) / 1000


def test_quality_is_bytes_for_nearness(tmp_path):
    def crowded(k: int) -> np.ndarray:
        rng = np.random.default_rng(k)
        cells = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8).repeat(16, axis=0).repeat(16, axis=1)
        cells[np.add.outer(np.arange(192), 3 * np.arange(256)) % (17 + k) == 0] = 0  # thin dark lines
        return cells

    some = [film.Shot(tmp_path / f"{k}.png", f"q{k}", lambda k=k: crowded(k)) for k in range(4)]  # type: ignore[misc]
    for kind in ("mp4", "webm", "webp"):
        sizes, errors = [], []
        for quality in choices.QUALITIES:
            (path,), _ = film.shoot(some, tmp_path, formats=[kind], fps=4, quality=quality)
            sizes.append(path.stat().st_size)
            errors.append(float(np.abs(first(path).astype(float) - crowded(0)).mean()))
        assert choices.QUALITIES == ("small", "usual", "fine")
        assert sizes[0] < sizes[1] < sizes[2], (kind, sizes)
        assert errors[0] > errors[1] > errors[2], (kind, errors)


def first(path: Path) -> np.ndarray:
    if path.suffix == ".webp":
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    return decoded(path)[0]
