r"""Video: pictures of one size, in order -> mp4, webm, gif, webp, apng; and the pictures themselves.
Here too: how a format can be encoded on this machine, and the key that a picture or film carries in its note or comment.

        frames/step-*.png --one at a time--> encoder --temporary name--> animation.mp4

The last frame stands for HOLD seconds. One frame is in memory at a time, however long the film. A file carries the
digest of what it was made from (a note in a PNG, a comment in a film), so it can be told whether it is up to date.
This file knows no figure and no network: it sees pixels, and is told by `curves` and `draw` which colours matter.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import av
import imageio.v3 as iio
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Colorspace
from matplotlib.colors import to_rgb
from PIL import Image

from splineviz import choices
from splineviz.drawing import curves, draw
from splineviz.errors import DataError
from splineviz.storage import files
from splineviz.threads import outcome

Pixels = npt.NDArray[np.uint8]
Frame = TypeVar("Frame")

Way = tuple[str, str, dict[str, dict[str, str]], dict[str, str]]
"""How to encode: encoder, pixels, its options by quality, options of the file."""

CODECS: dict[str, Way] = {
    # encoder, pixels, its options at each of QUALITIES, options of the file. Thin dark lines on colour are what codecs blur
    # first; at the usual quality they stay thin and dark in a crop three times enlarged, and colours between them get a
    # faint grain (a mean error of 27 dB on the most crowded frames, in 0.14 MB each). What x264 does to please the eye (psy)
    # only adds grain here: without it a film of one size is 0.5 dB nearer to its frames. The index in front lets a browser
    # start at once; 0 repeats for ever.
    "mp4": (
        "libx264",
        "yuv420p",
        {
            "small": {"crf": "40", "preset": "veryfast", "x264-params": "psy=0:trellis=1"},
            "usual": {"crf": "36", "preset": "veryfast", "x264-params": "psy=0:trellis=1"},
            "fine": {"crf": "20", "preset": "superfast", "x264-params": "cabac=0:bframes=0"},
        },
        {"movflags": "+faststart"},
    ),
    "webm": (
        "libvpx-vp9",
        "yuv420p",
        {name: {"crf": crf, "b:v": "0", "row-mt": "1"} for name, crf in (("small", "42"), ("usual", "36"), ("fine", "24"))},
        {},
    ),
    "webp": (
        "libwebp_anim",
        "yuv420p",
        {name: {"quality": q, "compression_level": "4"} for name, q in (("small", "50"), ("usual", "75"), ("fine", "92"))},
        {"loop": "0"},
    ),
    "apng": ("apng", "rgb24", dict.fromkeys(choices.QUALITIES, {"pred": "mixed"}), {"plays": "0"}),  # always exact
}
SPARE: dict[str, tuple[Way, ...]] = {
    # Taken where PyAV was built without the first choice, as some distributions build it. Every player takes both.
    "mp4": (
        (
            "libopenh264",
            "yuv420p",
            {name: {"rc_mode": "quality", "qmax": q} for name, q in (("small", "34"), ("usual", "30"), ("fine", "22"))},
            {"movflags": "+faststart"},
        ),
        (
            "mpeg4",
            "yuv420p",
            {name: {"qmin": "2", "qmax": most} for name, most in (("small", "8"), ("usual", "5"), ("fine", "3"))},
            {"movflags": "+faststart"},
        ),
    ),
}
USUAL = "usual"
"""Of choices.QUALITIES, unless another is asked for."""
FORMATS = choices.FORMATS
GIF_WIDTH = 960
"""Most pixels across a gif: it has no compression worth the name for such pictures."""
EXACT = ("white", "black", curves.TRAIN, curves.TEST, curves.RANDOM, curves.EXACT, draw.BOUNDARY_COLOR)
"""Colours that cover few pixels and mean much: a gif shows them as they are."""
TELLING = 6
"""Most frames whose colours a gif's palette is made of."""
HOLD = 2.0
"""How long the last frame stands, in seconds."""
BT709 = 1  # the number of this standard for primaries, transfer and matrix in a video stream's tags
KEY = "splineviz"
"""Name of the note in a PNG that holds its digest."""
HEAD = 33
"""Bytes of a PNG before what may follow in any order: 8 of signature, 25 of the first chunk."""
CHUNK = b"SPLV"
"""Name of the chunk in a WebP that does."""


# ---- pictures ----------------------------------------------------------------------------------------


def save_frame(path: Path, pixels: Pixels, key: str) -> None:
    """Write a frame (H, W, 3) as PNG with a note that holds its key.

    By PyAV and without prediction between pixels: pictures of flat colours and thin lines come out a tenth smaller than with
    Pillow's, in half the time.
    """
    context: Any = av.CodecContext.create("png", "w")
    context.height, context.width = pixels.shape[:2]
    context.pix_fmt, context.time_base = "rgb24", Fraction(1)
    context.options = {"pred": "none", "compression_level": "1"}
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    body = b"".join(bytes(packet) for packet in (*context.encode(frame), *context.encode(None)))
    files.write(path, lambda stream: stream.write(body[:HEAD] + _noted(key) + body[HEAD:]))


def _noted(key: str) -> bytes:
    """A chunk of a PNG that holds a key: its length, name, content and check sum."""
    name, body = b"tEXt", KEY.encode() + b"\0" + key.encode()
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def note(path: Path) -> str | None:
    """The key that a PNG carries, None if there is no such file or it is broken."""
    try:
        with Image.open(path) as image:
            return str(image.info.get(KEY))
    except OSError:
        return None


def read_frame(path: Path) -> Pixels:
    """A frame (H, W, 3) that `save_frame` wrote."""
    return np.asarray(iio.imread(path, plugin="pillow", mode="RGB"))


# ---- videos ------------------------------------------------------------------------------------------


def encoder(kind: str) -> Way:
    """How this PyAV encodes a format of CODECS: encoder, pixels, its options, options of the file.

    Raises DataError where it has no encoder for it, with the formats that it has.
    """
    found = way(kind)
    if found is not None:
        return found
    left = ", ".join([name for name in CODECS if way(name) is not None] + ["gif"])
    raise DataError(
        f"formats: expected a PyAV with an encoder for {kind}, got {av.__version__} without {CODECS[kind][0]}; "
        f"take one of {left}, or pip install --force-reinstall av."
    )


def way(kind: str) -> Way | None:
    """The first way to encode a format that this PyAV has; None where it has none."""
    for found in (CODECS[kind], *SPARE.get(kind, ())):
        with suppress(av.codec.codec.UnknownCodecError):
            av.codec.Codec(found[0], "w")
            return found
    return None


def save_video(path: Path, frames: Sequence[Path], *, fps: float, comment: str = "", quality: str = USUAL) -> None:
    """Encode PNG frames of one size, in order, as the format of the path's ending, one of FORMATS.

    The last frame stands for HOLD seconds. Only a few frames are in memory at a time. Raises DataError without frames.
    """
    if not frames:
        raise DataError(f"{path}: expected at least one frame to make a video of, got none.")
    if path.suffix == ".gif":
        palette = palette_of(map(small, map(read_frame, telling(frames))))
        save_gif(path, map(read_frame, frames), palette, len(frames), fps=fps, comment=comment)
    else:
        save_stream(path, map(read_frame, frames), fps=fps, comment=comment, quality=quality)


def save_stream(
    path: Path, frames: Iterable[Pixels], *, fps: float, comment: str = "", quality: str = USUAL
) -> None:
    """Encode frames (H, W, 3) of one size as they come, as one of CODECS; at least one must come.

    By PyAV itself: imageio's writer on top of it has no quality and preset of a codec, and no matrix of colours.
    Even size where colour is halved; the digest in the film's comment, or in a chunk of its own.
    """
    pictures = iter(frames)
    pixels = _even(next(pictures))
    kind = path.suffix[1:]
    codec, layout, qualities, options = encoder(kind)
    repeats = max(round(HOLD * fps), 1)
    with files.whole(path, kind=path.suffix) as temporary:
        with av.open(str(temporary), "w", format=kind, options=options) as container:
            container.metadata["comment"] = comment
            stream: Any = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
            stream.height, stream.width = pixels.shape[:2]
            stream.pix_fmt = layout
            stream.options = qualities[quality]
            context = stream.codec_context
            if kind in ("mp4", "webm"):
                context.gop_size = max(round(2 * fps), 1)  # a key frame every two seconds: one can seek
                context.color_primaries = context.color_trc = context.colorspace = BT709
            space = Colorspace.ITU709 if kind in ("mp4", "webm") else Colorspace.ITU601  # what WebP always means
            while True:
                following = next(pictures, None)
                for _ in range(repeats if following is None else 1):
                    picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                    if layout != "rgb24":
                        picture = picture.reformat(format=layout, dst_colorspace=space)
                    container.mux(stream.encode(picture))
                if following is None:
                    break
                pixels = _even(following)
            container.mux(stream.encode(None))
        if kind in ("webp", "apng"):
            _annotate(temporary, comment)


def _annotate(path: Path, comment: str) -> None:
    """Put a digest into a WebP or APNG file, for which the encoder has no comment."""
    with open(path, "r+b") as stream:
        if path.suffix == ".webp":  # RIFF: unknown chunks at the end are passed over by readers
            stream.seek(0, os.SEEK_END)
            body = comment.encode() + b"\0" * (len(comment) % 2)
            stream.write(CHUNK + struct.pack("<I", len(body)) + body)
            size = stream.tell() - 8
            stream.seek(4)
            stream.write(struct.pack("<I", size))
            return
        stream.seek(-12, os.SEEK_END)  # before IEND
        end = stream.read()
        stream.seek(-12, os.SEEK_END)
        stream.write(_noted(comment) + end)


def _even(pixels: Pixels) -> Pixels:
    """Repeat the last row or column of a picture of odd size: 4:2:0 colour needs an even one."""
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def save_gif(
    path: Path, frames: Iterable[Pixels], palette: Image.Image, count: int, *, fps: float, comment: str = ""
) -> None:
    """A gif of so many frames (H, W, 3) as they come, at most GIF_WIDTH pixels across.

    All share one palette (see `palette_of`), so that no colour flickers.
    """

    def picture(pixels: Pixels) -> Image.Image:
        return small(pixels).quantize(palette=palette, dither=Image.Dither.NONE)

    stream = _ahead(picture, frames)
    durations = [round(1000 / fps)] * (count - 1) + [round(1000 * HOLD)]
    with files.whole(path, kind=path.suffix) as temporary:
        next(stream).save(
            temporary, save_all=True, append_images=stream, duration=durations if count > 1 else durations[0],
            loop=0, optimize=False, comment=comment.encode(),
        )  # fmt: skip


def _ahead(make: Callable[[Pixels], Image.Image], frames: Iterable[Pixels]) -> Iterator[Image.Image]:
    """What `make` returns for every frame, in order, made by two threads while the one before is used."""
    waiting: deque[Future[Image.Image]] = deque()
    with ThreadPoolExecutor(2) as pool:
        for pixels in frames:
            waiting.append(pool.submit(make, pixels))
            if len(waiting) > 2:
                yield outcome(waiting.popleft())
        while waiting:
            yield outcome(waiting.popleft())


def small(pixels: Pixels) -> Image.Image:
    """A frame (H, W, 3) as a picture of at most GIF_WIDTH pixels across."""
    image = Image.fromarray(pixels)
    if image.width <= GIF_WIDTH:
        return image
    return image.resize((GIF_WIDTH, round(image.height * GIF_WIDTH / image.width)), Image.Resampling.BOX)


def telling(frames: Sequence[Frame]) -> Sequence[Frame]:
    """The few frames of a film, from the first to the last, whose colours a gif's palette is made of."""
    return frames[:: -(-len(frames) // TELLING)]


def palette_of(pictures: Iterable[Image.Image]) -> Image.Image:
    """A picture whose palette fits all frames of a film: the colours of the `telling` ones, made `small`."""
    samples = list(pictures)
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


def comment_of(path: Path) -> str | None:
    """The comment that a video carries, None if there is no such file or it cannot be read."""
    with suppress(OSError, ValueError):
        if path.suffix == ".gif":
            with Image.open(path) as image:
                return bytes(image.info.get("comment", b"")).decode()
        if path.suffix in (".webp", ".apng"):
            with open(path, "rb") as stream:
                stream.seek(-min(300, path.stat().st_size), os.SEEK_END)
                tail = stream.read()
            mark = CHUNK if path.suffix == ".webp" else KEY.encode() + b"\0"
            start = tail.rindex(mark) + (8 if path.suffix == ".webp" else len(mark))
            return tail[start : start + 64].split(b"\0")[0].decode()
        tags = {name.lower(): text for name, text in iio.immeta(path, plugin="pyav", exclude_applied=False).items()}
        return tags.get("comment")
    return None
