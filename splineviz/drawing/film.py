r"""Reels: the pictures of a film in order. What is missing is painted, saved and encoded, all at the same time.

        painting      | 4 |   | 5 |   | 6 |        the caller's thread
        saving            | 4 |   | 5 |   ...      one thread: frames/step-*.png
        encoding            | 4 |   | 5 | ...      one thread a format: animation.mp4

A frame that is up to date is read back from its file instead of painted. No thread is more than two frames ahead of the
next, so memory does not grow with the film. Every picture and film carries the digest of all that it shows; a film whose
digest is right is left alone, one that is stopped half-way leaves no file. A gif needs all its colours before its first
frame, so it is made at the end, from the files.

This room knows no figure and no network: a shot says how it is painted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import Full, Queue

from splineviz.drawing.video import (
    CODECS,
    FORMATS,
    GIF_WIDTH,
    HOLD,
    Pixels,
    comment_of,
    note,
    read_frame,
    save_frame,
    save_stream,
    save_video,
)
from splineviz.errors import DataError
from splineviz.storage import files

AHEAD = 2
"""Most frames that wait for an encoder."""


@dataclass(frozen=True)
class Shot:
    """One picture: its file, the digest of all that it shows, how to paint it (H, W, 3), and what progress says."""

    path: Path
    key: str
    paint: Callable[[], Pixels]
    text: str = ""


@dataclass(frozen=True)
class Reel:
    """What `shoot` left: the films, one a format, and how many pictures were painted; the others were up to date."""

    videos: tuple[Path, ...]
    drawn: int


def known_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """The formats, each once. Raises DataError for one that there is not."""
    if unknown := [name for name in formats if name not in FORMATS]:
        raise DataError(f"formats: expected some of {', '.join(FORMATS)}, got {', '.join(unknown)}; leave the others out.")
    return tuple(dict.fromkeys(formats))


def shoot(
    shots: Sequence[Shot],
    folder: Path,
    *,
    formats: Sequence[str],
    fps: float,
    progress: Callable[[int, str], None] | None = None,
) -> Reel:
    """Paint and save the shots that are not up to date, and encode all of them as folder/animation.*.

    formats: of films.FORMATS. fps: pictures a second; the last one stands for HOLD seconds.
    progress(done, text) is called after each shot. Raises DataError on an unknown format, and what painting raises.
    """
    videos = {name: folder / f"animation.{name}" for name in known_formats(formats)}
    keys = {
        name: files.digest([shot.key for shot in shots], fps, HOLD, name, GIF_WIDTH, CODECS.get(name, ())) for name in videos
    }
    stale = [name for name in videos if comment_of(videos[name]) != keys[name]]
    drawn = 0
    with ExitStack() as stack:
        streams = [stack.enter_context(_Encoder(videos[name], fps, keys[name])) for name in stale if name in CODECS]
        saver = stack.enter_context(_Saver())
        for index, shot in enumerate(shots):
            pixels = None
            if note(shot.path) != shot.key:
                pixels = shot.paint()
                saver.save(shot, pixels)
                drawn += 1
            for stream in streams:
                stream.add(shot.path if pixels is None else pixels)
            if progress:
                progress(index + 1, shot.text)
    for name in stale:
        if name not in CODECS:
            save_video(videos[name], [shot.path for shot in shots], fps=fps, comment=keys[name])
    return Reel(tuple(videos.values()), drawn)


class _Saver:
    """Writes pictures in a thread, one at a time; errors come to light with the next one, or at the end."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._last: Future[None] | None = None

    def save(self, shot: Shot, pixels: Pixels) -> None:
        if self._last is not None:
            self._last.result()  # one at a time, so memory does not grow
        self._last = self._pool.submit(save_frame, shot.path, pixels, shot.key)

    def __enter__(self) -> _Saver:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._pool.shutdown()
        if self._last is not None and kind is None:
            self._last.result()


class _Stopped(Exception):
    """There is nothing to finish: what feeds the encoder has failed."""


class _Encoder:
    """One film being encoded in a thread, from pictures or from the names of their files."""

    def __init__(self, path: Path, fps: float, comment: str) -> None:
        self._waiting: Queue[Pixels | Path | None] = Queue(AHEAD)
        self._stopped = False
        self._pool = ThreadPoolExecutor(1)
        self._done = self._pool.submit(save_stream, path, self._pictures(), fps=fps, comment=comment)

    def add(self, picture: Pixels | Path | None) -> None:
        """Hand over the next picture, None at the end; raises what the encoder raised."""
        while True:
            if self._done.done():
                self._done.result()
            try:
                self._waiting.put(picture, timeout=0.2)
                return
            except Full:
                continue

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
                self._done.result()
                return
            self._stopped = True
            while not self._waiting.empty():  # what waits will not be needed; the encoder must find the end
                self._waiting.get_nowait()
            self._waiting.put(None)
        finally:
            self._pool.shutdown()
