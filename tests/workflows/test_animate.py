"""The animation of a small run: what it writes, what a second call leaves alone, and that the videos open."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import av
import numpy as np
import pytest
import torch
from matplotlib.colors import LinearSegmentedColormap
from PIL import Image
from small_runs import write_run
from small_sweeps import QUICK

from splineviz.drawing.draw import color_limits
from splineviz.drawing.fills import shared_limits
from splineviz.drawing.video import comment_of, save_frame, save_video
from splineviz.errors import CheckpointError, DataError
from splineviz.geometry.partition import Partition
from splineviz.metrics.options import LCOptions
from splineviz.training.recorder import Recorder
from splineviz.training.runs import open_run
from splineviz.workflows.animate import Animation, animate

SIZE = (480, 270)
STEPS = (0, 1, 4)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "ckpts"
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 12), torch.nn.ReLU(), torch.nn.Linear(12, 3))
    x = torch.rand(20, 4, 4)
    recorder = Recorder(folder, model, train=(x, torch.arange(20) % 3), test=(x[:5], torch.arange(5) % 3))
    for step in STEPS:
        recorder.save(step, train_accuracy=0.2 * step)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1.5)
    return folder


def make(run: Path, out: Path, **options: object) -> Animation:
    return animate(run, out=out, lc=LCOptions(points=10, num_vectors=4), **{"size": SIZE, **options})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def made(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Animation:
    return make(run, tmp_path_factory.mktemp("out"), formats=("mp4", "gif", "webm", "webp", "apng"))


def looked_at(path: Path) -> tuple[tuple[int, int], int]:
    """Size and number of frames of a picture."""
    with Image.open(path) as image:
        return image.size, getattr(image, "n_frames", 1)


def decoded(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [rgb(frame.to_ndarray(format="yuv444p")) for frame in container.decode(video=0)]


def rgb(yuv: np.ndarray) -> np.ndarray:
    """Colours (h, w, 3) from planes (3, h, w) as BT.709 has them: what PyAV 13 gives as rgb24 is read with BT.601."""
    y, u, v = (yuv - np.array([16.0, 128.0, 128.0])[:, None, None]) / np.array([219.0, 224.0, 224.0])[:, None, None]
    channels = y + 1.5748 * v, y - 0.1873 * u - 0.4681 * v, y + 1.8556 * u
    return 255 * np.clip(np.stack(channels, axis=-1), 0, 1)


def test_everything_is_written(made):
    assert [path.name for path in made.frames] == [f"step-{step:010d}.png" for step in STEPS]
    assert [path.name for path in made.videos] == [f"animation.{kind}" for kind in ("mp4", "gif", "webm", "webp", "apng")]
    for path in (*made.frames, *made.videos, made.summary, made.table, made.poster, made.captions):
        assert path.stat().st_size > 0
    assert made.drawn == 3
    assert not list(made.out.rglob("*.tmp")) and not [p for p in made.out.rglob(".*") if p.is_file()]
    assert len(made.table.read_text().splitlines()) == 1 + len(STEPS)


def test_frames_have_the_size_asked_for_and_differ(made):
    pictures = [np.asarray(Image.open(path).convert("RGB")).astype(int) for path in made.frames]
    assert {picture.shape for picture in pictures} == {(270, 480, 3)}
    assert np.abs(pictures[0] - pictures[1]).mean() > 1


@pytest.mark.parametrize("index", [0, 2])
def test_streams_play(made, index):
    frames = decoded(made.videos[index])
    assert len(frames) == len(STEPS) - 1 + 8  # the last stands for 2 seconds at 4 a second
    for got, path in ((frames[0], made.frames[0]), (frames[-1], made.frames[-1])):
        expected = np.asarray(Image.open(path).convert("RGB")).astype(float)
        assert got.shape == expected.shape
        assert np.abs(got - expected).mean() < 8
        # Colours come back as they were: a stream read with the wrong matrix is off by far more.
        assert np.abs((got - expected).mean(axis=(0, 1))).max() < 2.5


def test_mp4_is_what_browsers_play(made):
    with av.open(str(made.videos[0])) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == 4
        assert [frame.time for frame in container.decode(video=0)][: len(STEPS)] == [0, 0.25, 0.5]  # whatever the steps
    content = made.videos[0].read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # starts before it is loaded


def test_gif_frames_share_one_palette_and_hold_the_end(made):
    with Image.open(made.videos[1]) as image:
        assert image.n_frames == len(STEPS) and image.size == SIZE
        durations, colors = [], []
        for index in range(image.n_frames):
            image.seek(index)
            durations.append(image.info["duration"])
            colors.append(np.asarray(image.convert("RGB"))[2, 2].tolist())
    assert durations[-1] == 2000 and set(durations[:-1]) == {250}
    assert colors == [[255, 255, 255]] * 3


def test_a_second_call_changes_nothing(run, made):
    files = [path for path in made.out.rglob("*") if path.is_file() and path != made.table]
    before = {path: path.stat().st_mtime_ns for path in files}
    again = make(run, made.out, formats=("mp4", "gif", "webm", "webp", "apng"))
    assert again.drawn == 0
    assert {path: path.stat().st_mtime_ns for path in files} == before


def test_what_is_missing_or_broken_is_made_again(run, tmp_path):
    first = make(run, tmp_path, formats=("gif",))
    first.frames[1].write_bytes(b"half a picture")
    first.videos[0].write_bytes(b"half a video")
    second = make(run, tmp_path, formats=("gif",))
    assert second.drawn == 1
    assert looked_at(second.frames[1]) == (SIZE, 1) and looked_at(second.videos[0]) == (SIZE, 3)


def test_another_look_is_drawn_anew(run, tmp_path):
    make(run, tmp_path, formats=())
    assert make(run, tmp_path, formats=(), fill="lc").drawn == 3


@pytest.mark.parametrize(("index", "kind"), [(3, "WEBP"), (4, "PNG")])
def test_animated_pictures_play_in_a_browser(made, index, kind):
    with Image.open(made.videos[index]) as image:
        assert image.format == kind and image.is_animated and image.info["loop"] == 0
        for k, path in enumerate(made.frames):
            image.seek(k)
            expected = np.asarray(Image.open(path).convert("RGB")).astype(float)
            got = np.asarray(image.convert("RGB"))[:270].astype(float)
            assert np.abs(got - expected).mean() < (8 if kind == "WEBP" else 1e-9)
            assert np.abs((got - expected).mean(axis=(0, 1))).max() < 2.5
    assert len(comment_of(made.videos[index]) or "") == 64


def test_the_poster_is_the_last_frame_and_the_words_have_its_numbers(made):
    assert made.poster.read_bytes() == made.frames[-1].read_bytes()
    cues = made.captions.read_text().strip().split("\n\n")
    assert cues[0] == "WEBVTT" and len(cues) == 1 + len(STEPS)
    assert cues[1].startswith("00:00:00.000 --> 00:00:00.250\nStep 0: ")
    last = made.table.read_text().splitlines()[-1].split(",")
    assert f"Step {last[0]}: {last[1]} regions, training accuracy 80%" in cues[-1]
    assert cues[-1].split("\n")[0].endswith("00:00:02.500")
    said = (made.out / "animation.txt").read_text()
    assert f"and {last[1]} at last" in said


def test_tweens_are_drawn_between_and_left_alone_when_up_to_date(run, tmp_path):
    first = make(run, tmp_path, formats=("gif",), tween=2)
    assert first.drawn == 3 + 2 * 2 and len(first.frames) == 3
    names = sorted(path.name for path in (tmp_path / "tweens").iterdir())
    assert names[0] == "step-0000000000-0000000001-001-of-002.png" and len(names) == 4
    assert looked_at(first.videos[0]) == (SIZE, 7)
    assert make(run, tmp_path, formats=("gif",), tween=2).drawn == 0
    assert make(run, tmp_path, formats=("gif",)).drawn == 0  # frames of checkpoints stay as they are
    assert "NOTE 2 frames after each step" not in first.captions.read_text()


def test_other_panels_are_other_frames(run, tmp_path):
    assert make(run, tmp_path, formats=()).drawn == 3
    chosen = make(run, tmp_path, formats=(), panels=("accuracy", "churn"))
    assert chosen.drawn == 3
    assert make(run, tmp_path, formats=(), panels=("accuracy", "churn")).drawn == 0
    assert make(run, tmp_path, formats=(), panels=["churn", "accuracy"]).drawn == 3, "in their order"


def test_a_colour_map_made_again_draws_nothing_anew(run, tmp_path):
    def cmap():
        return LinearSegmentedColormap.from_list("mine", ["#000000", "#ff8800", "#ffffff"])

    assert make(run, tmp_path, formats=("gif",), cmap=cmap()).drawn == 3
    assert make(run, tmp_path, formats=("gif",), cmap=cmap()).drawn == 0
    assert make(run, tmp_path, formats=("gif",), cmap=cmap().reversed()).drawn == 3


def test_chosen_steps_only(run, tmp_path):
    result = make(run, tmp_path, formats=(), steps=[4, 0])
    assert [path.stem for path in result.frames] == ["step-0000000000", "step-0000000004"]
    with pytest.raises(CheckpointError, match="step of a checkpoint, got 7; the nearest is 4"):
        make(run, tmp_path, steps=[7])


def test_limits_hold_most_of_all_partitions(made):
    partitions = [Partition.load(path) for path in sorted((made.out / "partitions").glob("*.npz"))]
    low, high = shared_limits(iter(partitions))
    inside = [p.areas[(p.slope_norms >= low) & (p.slope_norms <= high)].sum() / p.areas.sum() for p in partitions]
    assert 0.95 < np.mean(inside) < 1.0
    assert min(color_limits(p)[0] for p in partitions) <= low * 1.001


def test_progress_reaches_its_end(run, tmp_path):
    calls: list[tuple[int, int, str]] = []
    make(run, tmp_path, formats=(), progress=lambda *call: calls.append(call))
    assert [done for done, _, _ in calls] == [1, 2, 3, 4, 5, 6]
    assert {total for _, total, _ in calls} == {6}
    assert calls[-1][2] == "frame of step 4"


def test_an_opened_run_without_local_complexity(run, tmp_path):
    result = animate(open_run(run), out=tmp_path, size=SIZE, lc=None, formats=(), steps=[1])
    assert result.summary.exists() and result.drawn == 1


def test_videos_of_odd_size_and_of_one_frame(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (33, 51, 3), dtype=np.uint8)
    save_frame(tmp_path / "a.png", pixels, "key")
    for name in ("mp4", "gif"):
        save_video(tmp_path / f"v.{name}", [tmp_path / "a.png"], fps=2.5)
    assert {frame.shape for frame in decoded(tmp_path / "v.mp4")} == {(34, 52, 3)}
    assert looked_at(tmp_path / "v.gif") == ((51, 33), 1)
    with pytest.raises(DataError, match="at least one frame"):
        save_video(tmp_path / "none.mp4", [], fps=6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formats": ("mp4", "avi")}, "some of mp4, webm, webp, apng, gif, got avi"),
        ({"tween": -1}, "a number of frames from 0 up, got -1"),
        ({"panels": ("accuracy", "loss")}, "panels: expected some of accuracy, complexity, wide, exact, .*, got loss"),
        ({"fps": 0}, "between 0 and 120, got 0"),
        ({"anchors": (0, 1, 99)}, "anchors"),
        ({"size": (300, 300)}, "width >= 1.75 height"),
    ],
)
def test_refusals(run, tmp_path, options, message):
    with pytest.raises(DataError, match=message):
        make(run, tmp_path, **options)
    assert not list(tmp_path.rglob("*.npz"))  # refused before any work


@pytest.mark.parametrize(("bad", "kept"), [((10,), [0, 1]), ((1,), [0, 10]), ((1, 10), [0])])
@pytest.mark.parametrize("how", ["diverged", "torn"])
def test_a_film_of_what_can_be_read(tmp_path, bad, kept, how):
    """Weights that are NaN from some step on, or one file that cannot be read: the film is of the rest, and says so."""
    write_run(tmp_path / "run")
    run = open_run(tmp_path / "run")
    whole = animate(run, out=tmp_path / "whole", size=SIZE, lc=QUICK, formats=["gif"])
    for checkpoint in run.checkpoints:
        if checkpoint.step in bad:
            if how == "torn":
                checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:200])
            else:
                state = run.state(checkpoint)
                torch.save({key: value * float("nan") for key, value in state.items()}, checkpoint.path)
    words = f"step {bad[0]} cannot be drawn.* the film is of the other {len(kept)} checkpoints"
    with pytest.warns(RuntimeWarning, match=words) as said:
        made = animate(run, out=tmp_path / "out", size=SIZE, lc=QUICK, formats=["gif"])
    assert len(said) == 1 and "\n" not in str(said[0].message)
    assert sorted(made.unread) == list(bad) and [int(path.stem[5:]) for path in made.frames] == kept
    rows = made.table.read_text().splitlines()
    assert [int(line.split(",")[0]) for line in rows[1:]] == kept
    assert made.summary.read_bytes() != whole.summary.read_bytes()
    with pytest.raises(CheckpointError):
        animate(run, out=tmp_path / "strict", size=SIZE, lc=QUICK, formats=["gif"], strict=True)
    for checkpoint in run.checkpoints:
        checkpoint.path.write_bytes(b"torn")
    with pytest.raises(CheckpointError):
        animate(run, out=tmp_path / "none", size=SIZE, lc=QUICK, formats=["gif"])


def test_missing_steps_are_marked_on_the_curves(tmp_path):
    from splineviz.drawing.figures import FramePainter, summary

    table = [{"step": step, "regions": 10.0 + step, "train_accuracy": 0.5} for step in (0, 1, 10)]
    painter = FramePainter(table, size=SIZE, missing=(5, 100))
    figures = (painter.figure, summary(table, missing=(5, 100)))
    for figure in figures:
        marked = [ax for ax in figure.axes if any(line.get_marker() == "x" for line in ax.lines)]
        assert marked
        for ax in marked:
            places = [float(line.get_xdata()[0]) for line in ax.lines if line.get_marker() == "x"]
            assert places == [5.0, 100.0] and ax.get_xlim()[1] >= 100
    assert not [line for ax in summary(table).axes for line in ax.lines if line.get_marker() == "x"]
