r"""Films, from pictures to a sealed folder. What is missing is painted, saved and encoded, all at the same time.
Here too: painting and encoding by itself, and progress that is split between measuring and drawing.

        painting      | 4 |   | 5 |   | 6 |        the caller's thread
        saving            | 4 |   | 5 |   ...      one thread: frames/step-*.png
        encoding            | 4 |   | 5 | ...      one thread a format: animation.mp4

A frame that is up to date is read back from its file instead of painted. No thread is more than two frames ahead of the
next, so memory does not grow with the film. Every picture and film carries the digest of all that it shows; a film whose
digest is right is left alone, one that is stopped half-way leaves no file. A gif needs its colours before its first frame:
the few frames that tell them are painted before all others.

`animate`, `compare` and `tour` differ in what they show, not in how. Each turns its keywords into a `Film`, says its shots
and the film in words; `make` writes

    frames/*.png   animation.mp4, ...   poster.png   animation.vtt, animation.txt   manifest.json

and returns them as a `Reel`. This file knows no figure and no network: a shot says how it is painted.
"""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any

from splineviz import choices
from splineviz.drawing import captions, previews
from splineviz.drawing.curves import Row
from splineviz.drawing.look import SET_BY_FILMS, Look
from splineviz.drawing.video import (
    CODECS,
    FORMATS,
    GIF_WIDTH,
    HOLD,
    USUAL,
    Pixels,
    comment_of,
    encoder,
    palette_of,
    read_frame,
    save_frame,
    save_gif,
    save_stream,
    small,
    telling,
)
from splineviz.drawing.video import note as picture_note
from splineviz.errors import DataError, Progress
from splineviz.storage import files, outputs, provenance
from splineviz.storage.known import Known
from splineviz.system.signals import HeldBack

AHEAD = 2
"""Most frames that wait for an encoder."""

INLINE = 40_000_000
"""Bytes of a film above which a notebook does not hold it."""

MAKING = {"film": "animating", "comparison": "comparing", "tour": "touring"}
"""Kinds of films, and what a notebook's line of progress calls the work."""


@dataclass(frozen=True)
class Shot:
    """One picture: its file, the digest of all that it shows, how to paint it (H, W, 3), what progress says, its caption.

    caption: None where that of the shot before goes on.
    """

    path: Path
    key: str
    paint: Callable[[], Pixels]
    text: str = ""
    caption: str | None = None


@dataclass(frozen=True)
class Reel:
    """What a film left. out: its folder. frames: pictures that are not between two others, in order; videos: one a format.

    poster: the frame to show where the film does not play; captions: its words with times (WebVTT), and beside it
    animation.txt, an alternative text for the film as a whole. drawn: how many pictures were painted by this call; the
    others were up to date.
    """

    out: Path
    frames: tuple[Path, ...]
    videos: tuple[Path, ...]
    poster: Path
    captions: Path
    drawn: int

    def __repr__(self) -> str:
        names = ", ".join(path.name for path in self.videos)
        return f"{type(self).__name__}({len(self.frames)} frames in {str(self.out)!r}: {names})"

    def _repr_html_(self) -> str:
        """The film itself, for a notebook: it plays where it stands, also in a saved one."""
        words = f"{len(self.frames)} frames in {self.out}"
        kinds = {".mp4": "video/mp4", ".webm": "video/webm", ".gif": "image/gif"}
        films = {path.suffix: path for path in self.videos if path.suffix in kinds}
        for suffix in kinds:
            if suffix not in films or films[suffix].stat().st_size > INLINE:
                continue
            source = f"data:{kinds[suffix]};base64,{base64.b64encode(films[suffix].read_bytes()).decode()}"
            if suffix == ".gif":
                return f'<img alt="{html.escape(words)}" style="max-width: 100%" src="{source}">'
            poster = f"data:image/png;base64,{base64.b64encode(self.poster.read_bytes()).decode()}"
            look = 'controls loop muted style="max-width: 100%"'
            return f'<video {look} aria-label="{html.escape(words)}" poster="{poster}" src="{source}"></video>'
        return f"<p>{html.escape(words)}</p>"


@dataclass(frozen=True)
class Film:
    """What a film is asked to be. kind: its part of the manifest; fps: pictures a second, each followed by `between` others;
    quality: of choices.QUALITIES; look: of its pictures; progress: told of all that is done for it.

    Raises DataError on a format that there is not or that cannot be encoded here, or fps that no film has.
    """

    kind: str
    folder: Path
    formats: Sequence[str]
    fps: float
    between: int = 0
    quality: str = USUAL
    look: Look = field(default_factory=Look)
    progress: Progress | None = None

    def __post_init__(self) -> None:
        if unknown := [name for name in self.formats if name not in FORMATS]:
            raise DataError(
                f"formats: expected some of {', '.join(FORMATS)}, got {', '.join(unknown)}; leave the others out."
            )
        for name in self.formats:  # before anything is measured
            if name in CODECS:
                encoder(name)
        if not 0 < self.fps <= 120:
            raise DataError(f"fps: expected frames a second between 0 and 120, got {self.fps}.")
        if self.quality not in choices.QUALITIES:
            raise DataError(f"quality: expected one of {', '.join(choices.QUALITIES)}, got {self.quality!r}.")
        if self.between < 0:
            raise DataError(f"tween: expected a number of frames from 0 up, got {self.between}.")

    @classmethod
    def of(
        cls, kind: str, out: str | os.PathLike[str], formats: Sequence[str], fps: float, quality: str,
        look: Mapping[str, Any], progress: Progress | None, *, between: int = 0, without: Sequence[str] = (), **usual: Any,
    ) -> Film:  # fmt: skip
        """From the keywords that films share.

        look: fields of `Look`, but for those that films set and those in `without`; usual: where it differs from a Look's.
        progress: None shows a line in a notebook. Raises DataError as Film and Look do, before anything is measured.
        """
        looked = Look.of(look, without=(*SET_BY_FILMS, *without), **usual)
        told = previews.progress(MAKING[kind]) if progress is None else progress
        return cls(kind, Path(out), formats, fps, between, quality, looked, told)

    def digest(self, tables: Sequence[Sequence[Row]], *of: Any) -> str:
        """Digest of what all pictures show: the look, the tables behind the curves, and what else a film is of."""
        told = [[{name: str(value) for name, value in row.items()} for row in table] for table in tables]
        return files.digest(self.look.digest, told, *of)

    @property
    def rate(self) -> float:
        """All pictures a second, those between included."""
        return self.fps * (self.between + 1)


def make(
    film: Film,
    shots: Sequence[Shot],
    *,
    poster: int = -1,
    alternative: str,
    note: str = "",
    said: Mapping[str, Any],
) -> Reel:
    """Draw, encode, caption and seal a film; what is up to date is not touched.

    Pictures of ours that the film has no more are removed.
    poster: the shot that stands where the film does not play. alternative: the whole in words. note: a remark at the head of
    the captions. said: what the manifest says of it, beside its look, formats and fps. Of the film's progress the first half
    is over. Raises what painting raises.
    """
    count, known, progress = len(shots), Known(film.folder, len(shots)), film.progress
    videos, drawn = shoot(
        shots, film.folder, formats=film.formats, fps=film.rate, quality=film.quality,
        progress=progress and (lambda done, text: progress(count + done, 2 * count, text)),
    )  # fmt: skip
    best, still = shots[poster], film.folder / "poster.png"
    if picture_note(still) != best.key:
        files.write(still, lambda stream: stream.write(best.path.read_bytes()))
    cues = film.folder / "animation.vtt"
    _say(cues, captions.captions([shot.caption for shot in shots], rate=film.rate, hold=HOLD, note=note))
    _say(film.folder / "animation.txt", alternative)
    for inside in ("frames", "tweens"):  # pictures of steps that are no longer asked for
        outputs.remove_pictures(film.folder / inside, keep=[shot.path for shot in shots])
    told = {"formats": list(dict.fromkeys(film.formats)), "fps": film.fps, "tween": film.between, "quality": film.quality}
    provenance.write_manifest(film.folder, film.kind, told | film.look.said | dict(said), digest=known.digest)
    known.save()
    frames = tuple(shot.path for shot in shots if shot.caption is not None)
    return Reel(film.folder, frames, videos, still, cues, drawn)


def _say(path: Path, text: str) -> None:
    """Write a text; a file that already says the same is not touched."""
    if not (path.is_file() and path.read_text() == text):
        files.write_text(path, text)


def first_half(progress: Progress | None, part: int = 0, parts: int = 1, name: str = "") -> Progress | None:
    """Progress of what comes before the drawing, or of one of several equal parts of it."""
    if progress is None:
        return None

    def tell(done: int, total: int, text: str = "") -> None:
        progress(part * total + done, 2 * parts * total, f"{name}: {text}" if name else text)

    return tell


def shoot(
    shots: Sequence[Shot],
    folder: Path,
    *,
    formats: Sequence[str],
    fps: float,
    quality: str = USUAL,
    progress: Callable[[int, str], None] | None = None,
) -> tuple[tuple[Path, ...], int]:
    """Paint and save the shots that are not up to date, and encode all of them as folder/animation.*; returns these, and
    how many shots were painted.

    formats: of films.FORMATS. quality: of choices.QUALITIES. fps: pictures a second; the last one stands for HOLD seconds.
    progress(done, text) is called after each shot. Raises what painting raises. A signal is heard between two shots.
    """
    videos = {name: folder / f"animation.{name}" for name in dict.fromkeys(formats)}
    keys = {
        name: files.digest([shot.key for shot in shots], fps, HOLD, name, GIF_WIDTH, quality, _way(name))
        for name in videos
    }
    stale = [name for name in videos if comment_of(videos[name]) != keys[name]]
    with HeldBack() as signals, ExitStack() as stack:  # a thread that has begun must hear of the end
        painter = _Painter(stack.enter_context(_Saver()), signals, progress)
        palette = None
        if any(name not in CODECS for name in stale):
            palette = palette_of([small(painter.pixels(shot)) for shot in telling(shots)])
            painter.saver.wait()  # these are read back from their files when it is their turn
        streams = []
        for name in stale:
            if name in CODECS:
                save = partial(save_stream, videos[name], fps=fps, comment=keys[name], quality=quality)
            else:
                assert palette is not None  # a gif is stale
                save = partial(save_gif, videos[name], palette=palette, count=len(shots), fps=fps, comment=keys[name])
            streams.append(stack.enter_context(_Encoder(save, signals)))
        for shot in shots:
            picture = painter.picture(shot)
            for stream in streams:
                stream.add(picture)
    return tuple(videos.values()), painter.drawn


def _way(name: str) -> tuple[Any, ...]:
    """How a format is encoded here."""
    return encoder(name) if name in CODECS else ()


class _Painter:
    """Paints and saves the shots that are not up to date, each once, whatever their order; tells progress of each once."""

    def __init__(self, saver: _Saver, signals: HeldBack, progress: Callable[[int, str], None] | None) -> None:
        self.saver, self.drawn = saver, 0
        self._signals, self._progress, self._seen = signals, progress, set[Path]()

    def picture(self, shot: Shot) -> Pixels | Path:
        """What it shows, or its file where that is up to date."""
        self._signals.deliver()
        found: Pixels | Path = shot.path
        if picture_note(shot.path) != shot.key:
            found = shot.paint()
            self.saver.save(shot, found)
            self.drawn += 1
        if self._progress and shot.path not in self._seen:
            self._seen.add(shot.path)
            self._progress(len(self._seen), shot.text)
        return found

    def pixels(self, shot: Shot) -> Pixels:
        """What it shows."""
        found = self.picture(shot)
        return read_frame(found) if isinstance(found, Path) else found


class _Saver:
    """Writes pictures in a thread, one at a time; errors come to light with the next one, or at the end."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._last: Future[None] | None = None

    def save(self, shot: Shot, pixels: Pixels) -> None:
        self.wait()  # one at a time, so memory does not grow
        self._last = self._pool.submit(save_frame, shot.path, pixels, shot.key)

    def wait(self) -> None:
        """Until the last picture is in its file."""
        if self._last is not None:
            self._last.result()

    def __enter__(self) -> _Saver:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._pool.shutdown()
        if self._last is not None and kind is None:
            self._last.result()


class _Stopped(Exception):
    """There is nothing to finish: what feeds the encoder has failed."""


class _Encoder:
    """One film being encoded in a thread by `save`, from pictures or from the names of their files."""

    def __init__(self, save: Callable[[Iterator[Pixels]], None], signals: HeldBack) -> None:
        self._signals = signals
        self._waiting: Queue[Pixels | Path | None] = Queue(AHEAD)
        self._stopped = False
        self._pool = ThreadPoolExecutor(1)
        self._done = self._pool.submit(save, self._pictures())

    def add(self, picture: Pixels | Path | None) -> None:
        """Hand over the next picture, None at the end; raises what the encoder raised."""
        while True:
            if self._done.done():
                self._done.result()
            try:
                self._waiting.put(picture, timeout=0.2)
                return
            except Full:
                self._signals.deliver()

    def _pictures(self) -> Iterator[Pixels]:
        while (picture := self._waiting.get()) is not None:
            if self._stopped:
                break
            yield read_frame(picture) if isinstance(picture, Path) else picture
        if self._stopped:
            raise _Stopped

    def __enter__(self) -> _Encoder:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None:
                self.add(None)
                while not wait([self._done], 0.2).done:
                    self._signals.deliver()
                self._done.result()
        finally:
            self._stopped = True
            with suppress(Empty):
                while True:  # what waits will not be needed; the encoder must find the end
                    self._waiting.get_nowait()
            self._waiting.put(None)
            self._pool.shutdown()
