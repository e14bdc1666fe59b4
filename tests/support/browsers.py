"""A headless Chromium for tests of pages: WebGL in software, and no network at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

FLAGS = (
    "--no-sandbox",  # as root in a container there is none
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-gpu-sandbox",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
)


def executable() -> str | None:
    """Path of a Chromium: $SPLINEVIZ_CHROMIUM, or what is installed."""
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"))
    return os.environ.get("SPLINEVIZ_CHROMIUM") or next(filter(None, found), None)


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser of playwright; the test is skipped, and says why, where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = executable()
    if path is None:
        pytest.skip("no Chromium: install Debian's chromium or set SPLINEVIZ_CHROMIUM")
    with playwright.sync_playwright() as driver:
        # With scroll bars, as people have them: they take room.
        browser = driver.chromium.launch(executable_path=path, args=list(FLAGS), ignore_default_args=["--hide-scrollbars"])
        try:
            yield browser
        finally:
            browser.close()
