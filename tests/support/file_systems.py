"""Folders as if each lay on a file system of its own: what splineviz moves from one to another fails, as it would there."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import splineviz

OURS = str(Path(splineviz.__file__).parent) + os.sep
MOVES = ("replace", "rename", "link")


@contextmanager
def one_for_each_folder() -> Iterator[None]:
    """Inside the block os.replace, os.rename and os.link raise EXDEV between folders, when splineviz calls them."""
    before = {name: getattr(os, name) for name in MOVES}
    for name, original in before.items():
        setattr(os, name, _within_folders(original))
    try:
        yield
    finally:
        for name, original in before.items():
            setattr(os, name, original)


def _within_folders(original: Callable[..., Any]) -> Callable[..., Any]:
    def move(source: Any, target: Any, **options: Any) -> Any:
        ours = any(name.startswith(OURS) for name in _callers(sys._getframe(1)))
        if ours and os.path.dirname(os.path.abspath(source)) != os.path.dirname(os.path.abspath(target)):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(source), None, str(target))
        return original(source, target, **options)

    return move


def _callers(frame: FrameType | None) -> Iterator[str]:
    """Files of the functions that called, as far as the standard library's own (pathlib, shutil) and the one before them."""
    while frame is not None:
        yield frame.f_code.co_filename
        if Path(frame.f_code.co_filename).name not in ("pathlib.py", "shutil.py"):
            return
        frame = frame.f_back
