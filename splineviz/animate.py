r"""The animation of a run: its frames in time, as pictures and as video.

        run -> runs.measure_run -> partitions + rows -> frames/step-0000012345.png -> animation.mp4, animation.gif
                                        |                                         -> summary.png
                                        +-> one colour scale for all frames

Frames are drawn one after the other and encoded one after the other, so memory does not grow with their number.
Every file is written under a temporary name and renamed. Every picture and video carries the digest of all that it
shows; what is up to date is left alone, so a second run of the same call continues where the first was stopped.

This room knows no network. A run with one checkpoint makes a video of one picture.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Colorspace
from matplotlib.colors import to_rgb
from PIL import Image, PngImagePlugin

from splineviz import anchors as anchor_room
from splineviz import curves, draw, figures, files, fills, runs
from splineviz._kernels import raster
from splineviz.errors import DataError
from splineviz.partition import Partition

Pixels = npt.NDArray[np.uint8]
Progress = Callable[[int, int, str], None]
"""progress(done, total, text): half of `total` is measuring, half is drawing."""

CODECS: dict[str, tuple[str, dict[str, str]]] = {
    # Thin dark lines on colour are what codecs blur first, hence a quality well above the default.
    "mp4": ("libx264", {"crf": "20", "preset": "medium"}),
    "webm": ("libvpx-vp9", {"crf": "24", "b:v": "0", "row-mt": "1"}),
}
FORMATS = (*CODECS, "gif")
GIF_WIDTH = 960
"""Most pixels across a gif: it has no compression worth the name for such pictures."""
EXACT = ("white", "black", curves.TRAIN, curves.TEST, curves.RANDOM, draw.BOUNDARY_COLOR)
"""Colours that cover few pixels and mean much: a gif shows them as they are."""
HOLD = 2.0
"""How long the last frame stands, in seconds."""
BT709 = 1  # the number of this standard for primaries, transfer and matrix in a video stream's tags
KEY = "splineviz"
"""Name of the note in a PNG that holds its digest."""


@dataclass(frozen=True)
class Animation:
    """What `animate` wrote. frames: one picture a checkpoint, in order of steps; videos: one a format."""

    out: Path
    frames: tuple[Path, ...]
    videos: tuple[Path, ...]
    summary: Path
    table: Path
    drawn: int
    """How many frames were drawn by this call; the others were up to date."""


def animate(
    run: runs.Run | str | os.PathLike[str],
    *,
    anchors: Sequence[int] = (0, 1, 2),
    out: str | os.PathLike[str] = "out",
    window: Any = None,
    formats: Sequence[str] = ("mp4", "gif"),
    fps: float = 6,
    size: tuple[int, int] = (1920, 1080),
    steps: Sequence[int] | None = None,
    fill: str = "slope",
    cmap: Any = None,
    limits: tuple[float, float] | None = None,
    lc: runs.LCOptions | None = runs.LCOptions(),  # noqa: B008  # frozen, so it can be shared
    jobs: int | Executor = 1,
    progress: Progress | None = None,
) -> Animation:
    """Measure and draw every checkpoint of a run, and write video, frames, partitions, measures and summary to `out`.

    run: a directory that a Recorder wrote, or an opened Run. anchors: three training samples, by index; they span
    the plane. window: as `Plane.window` takes it. formats: of "mp4", "webm", "gif". fps: checkpoints a second.
    size: of a frame in pixels. steps: draw these checkpoints only. fill, cmap, limits: as `draw.regions` takes them;
    by default the limits hold the middle 98% of the slices of all checkpoints. lc: settings of the local complexity,
    None leaves it out. jobs: processes, or an executor, that measure. progress: see `Progress`.
    Raises DataError on an unknown format, fps or step, and whatever opening, slicing and measuring the run raise.
    """
    formats = tuple(dict.fromkeys(formats))
    if unknown := [name for name in formats if name not in FORMATS]:
        raise DataError(f"formats: expected some of {', '.join(FORMATS)}, got {', '.join(unknown)}; leave the others out.")
    if not 0 < fps <= 120:
        raise DataError(f"fps: expected frames a second between 0 and 120, got {fps}.")
    opened = run if isinstance(run, runs.Run) else runs.open_run(run)
    opened, folder = _at(opened, steps), Path(out)
    measuring = None if progress is None else lambda done, total, text="": progress(done, 2 * total, text)
    results = runs.measure_run(
        opened, anchors=tuple(anchors), window=window, out=folder, lc=lc, jobs=jobs, progress=measuring
    )
    if limits is None and fill in fills.SCALED:
        limits = fills.shared_limits((Partition.load(result.partition_path) for result in results), fill=fill)
    settings = {} if lc is None else _settings(lc, opened)
    painter = figures.FramePainter(
        [result.row for result in results],
        limits=limits,
        thumbnails=_thumbnails(opened, anchors),
        size=size,
        fill=fill,
        cmap=cmap,
        **settings,
    )
    rows = [{name: str(value) for name, value in r.row.items() if name != "seconds"} for r in results]
    note = files.digest(_painters(), rows, limits, list(size), fill, str(cmap), list(anchors), settings)
    keys = [files.digest(note, index, Path(r.partition_path).read_bytes()) for index, r in enumerate(results)]
    frames = [folder / "frames" / f"step-{result.step:010d}.png" for result in results]
    drawn = _draw_frames(painter, results, frames, keys, progress)
    summary = folder / "summary.png"
    if _note(summary) != note:
        figure = figures.summary(painter.table, **settings)
        files.write(summary, lambda stream: figure.savefig(stream, format="png", metadata={KEY: note}))
    videos = []
    for name in formats:
        video = folder / f"animation.{name}"
        key = files.digest(keys, fps, HOLD, name, GIF_WIDTH)
        if _comment(video) != key:
            save_video(video, frames, fps=fps, comment=key)
        videos.append(video)
    return Animation(folder, tuple(frames), tuple(videos), summary, folder / "measures.csv", drawn)


def _draw_frames(
    painter: figures.FramePainter,
    results: Sequence[runs.Result],
    frames: Sequence[Path],
    keys: Sequence[str],
    progress: Progress | None,
) -> int:
    """Draw the frames that are not up to date, each while the one before is written; returns how many they were."""
    drawn, count = 0, len(results)
    written: Future[None] | None = None
    with ThreadPoolExecutor(1) as writer:
        for index, (result, path, key) in enumerate(zip(results, frames, keys, strict=True)):
            if _note(path) != key:
                pixels = painter.paint(Partition.load(result.partition_path), index)
                if written is not None:
                    written.result()  # one at a time, so memory does not grow; and its errors come to light
                written = writer.submit(save_frame, path, pixels, key)
                drawn += 1
            if progress:
                progress(count + index + 1, 2 * count, f"frame of step {result.step:,}")
        if written is not None:
            written.result()
    return drawn


def _at(run: runs.Run, steps: Sequence[int] | None) -> runs.Run:
    """The run with the checkpoints of the given steps only. Raises DataError for a step that it does not have."""
    if steps is None:
        return run
    present = {checkpoint.step: checkpoint for checkpoint in run.checkpoints}
    if missing := sorted(set(steps) - set(present)):
        known = ", ".join(map(str, present))
        raise DataError(f"steps: expected steps of checkpoints ({known}), got {', '.join(map(str, missing))}.")
    return replace(run, checkpoints=tuple(present[step] for step in sorted(set(steps))))


def _settings(lc: runs.LCOptions, run: runs.Run) -> dict[str, Any]:
    """What the frames say of the local complexity; there are no more directions than an input has dimensions."""
    return {"radius": lc.radius, "num_vectors": min(lc.num_vectors, int(np.prod(run.train_x.shape[1:])))}


def _thumbnails(run: runs.Run, anchors: Sequence[int]) -> list[Any]:
    """The anchors as pictures, where they are pictures."""
    return [run.train_x[index] for index in anchors]


def _painters() -> str:
    """Digest of the code that draws: a frame drawn by an older version is not up to date."""
    return files.digest(
        *(Path(module.__file__ or "").read_bytes() for module in (anchor_room, curves, draw, figures, fills, raster))
    )


# ---- pictures ----------------------------------------------------------------------------------------


def save_frame(path: Path, pixels: Pixels, key: str) -> None:
    """Write a frame (H, W, 3) as PNG with a note that holds its key."""
    note = PngImagePlugin.PngInfo()
    note.add_text(KEY, key)
    # Run lengths alone (type 3, Z_RLE): a third faster than the weakest full search, and no larger, for pictures so busy.
    options = {"pnginfo": note, "compress_level": 1, "compress_type": 3}
    files.write(path, lambda stream: Image.fromarray(pixels).save(stream, "PNG", **options))


def _note(path: Path) -> str | None:
    """The key that a PNG carries, None if there is no such file or it is broken."""
    try:
        with Image.open(path) as image:
            return str(image.info.get(KEY))
    except OSError:
        return None


def _read(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


# ---- videos ------------------------------------------------------------------------------------------


def save_video(path: Path, frames: Sequence[Path], *, fps: float, comment: str = "") -> None:
    """Encode PNG frames of one size, in order, as the format of the path's ending: mp4, webm or gif.

    The last frame stands for HOLD seconds. Only one frame is in memory at a time. Raises DataError without frames.
    """
    if not frames:
        raise DataError(f"{path}: expected at least one frame to make a video of, got none.")
    if path.suffix == ".gif":
        _save_gif(path, frames, fps, comment)
    else:
        _save_stream(path, frames, fps, comment)


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place at the end: encoders want a name, not a stream."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex[:12]}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _save_stream(path: Path, frames: Sequence[Path], fps: float, comment: str) -> None:
    """H.264 (mp4) or VP9 (webm), 4:2:0, even size; the index in front, so that a browser starts at once."""
    codec, quality = CODECS[path.suffix[1:]]
    options = {"movflags": "+faststart"} if path.suffix == ".mp4" else {}
    repeats = max(round(HOLD * fps), 1)
    with _whole(path) as temporary, av.open(str(temporary), "w", options=options) as container:
        container.metadata["comment"] = comment
        stream: Any = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        first = _even(np.asarray(_read(frames[0])))
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.options = quality
        context = stream.codec_context
        context.gop_size = max(round(2 * fps), 1)  # a key frame every two seconds: one can seek
        context.color_primaries = context.color_trc = context.colorspace = BT709
        for index, name in enumerate(frames):
            pixels = first if index == 0 else _even(np.asarray(_read(name)))
            for _ in range(repeats if index == len(frames) - 1 else 1):
                picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                picture = picture.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
                container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def _even(pixels: Pixels) -> Pixels:
    """Repeat the last row or column of a picture of odd size: 4:2:0 colour needs an even one."""
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _save_gif(path: Path, frames: Sequence[Path], fps: float, comment: str) -> None:
    """A gif of at most GIF_WIDTH pixels across; all frames share one palette, so that no colour flickers."""
    palette = _palette(frames)

    def pictures() -> Iterator[Image.Image]:
        for name in frames:
            yield _small(_read(name)).quantize(palette=palette, dither=Image.Dither.NONE)

    stream = pictures()
    durations = [round(1000 / fps)] * (len(frames) - 1) + [round(1000 * HOLD)]
    with _whole(path) as temporary:
        next(stream).save(
            temporary, save_all=True, append_images=stream, duration=durations if len(frames) > 1 else durations[0],
            loop=0, optimize=False, comment=comment.encode(),
        )  # fmt: skip


def _small(image: Image.Image) -> Image.Image:
    if image.width <= GIF_WIDTH:
        return image
    return image.resize((GIF_WIDTH, round(image.height * GIF_WIDTH / image.width)), Image.Resampling.BOX)


def _palette(frames: Sequence[Path]) -> Image.Image:
    """A picture whose palette fits all frames: the colours of a few of them, from the first to the last."""
    stride = -(-len(frames) // 6)
    samples = [_small(_read(name)) for name in islice(frames, 0, None, stride)]
    sheet = Image.new("RGB", (samples[0].width, sum(s.height for s in samples)))
    top = 0
    for sample in samples:
        sheet.paste(sample, (0, top))
        top += sample.height
    found = sheet.quantize(256, method=Image.Quantize.MEDIANCUT)
    colors = np.array(found.getpalette(), dtype=float).reshape(-1, 3)
    for color in EXACT:
        exact = np.round(255 * np.array(to_rgb(color)))
        distance = ((colors - exact) ** 2).sum(axis=1)
        # It takes the place of all its like: Pillow looks colours up in steps of 4, and might prefer one of those.
        colors[(distance <= 108) | (distance == distance.min())] = exact
    found.putpalette(colors.astype(np.uint8).tobytes())
    return found


def _comment(path: Path) -> str | None:
    """The comment that a video carries, None if there is no such file or it cannot be read."""
    with suppress(OSError, ValueError):
        if path.suffix == ".gif":
            with Image.open(path) as image:
                return bytes(image.info.get("comment", b"")).decode()
        with av.open(str(path)) as container:
            tags = {name.lower(): text for name, text in container.metadata.items()}
            return tags.get("comment")
    return None
