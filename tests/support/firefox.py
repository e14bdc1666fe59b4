"""A headless Firefox for tests of pages, spoken to in Marionette, the protocol that every Firefox has: JSON over a socket.

    with firefox(folder) as fox:
        fox.open(url)
        fox.run("return document.title")        in the page, as a function's body

Nothing is installed beside Firefox itself. Only what the explorer's tests need is here: pages, scripts, screenshots, keys.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PREFERENCES = {
    "app.update.enabled": False, "browser.shell.checkDefaultBrowser": False, "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False, "browser.aboutwelcome.enabled": False,
    "toolkit.telemetry.enabled": False,
    "network.captive-portal-service.enabled": False, "network.connectivity-service.enabled": False,
    "webgl.force-enabled": True, "webgl.disable-fail-if-major-performance-caveat": True,
}  # fmt: skip
PATIENCE = 60.0
"""Seconds that a busy machine may take."""


def executable() -> str | None:
    """Path of a Firefox: $SPLINEVIZ_FIREFOX, or what is installed."""
    found = (shutil.which(name) for name in ("firefox-esr", "firefox"))
    return os.environ.get("SPLINEVIZ_FIREFOX") or next(filter(None, found), None)


class Fox:
    """One window of a Firefox that listens at a port."""

    def __init__(self, port: int):
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
        self._count = 0
        self._read()  # it greets
        self._said("WebDriver:NewSession", {"capabilities": {"alwaysMatch": {"acceptInsecureCerts": True}}})
        self._said("WebDriver:SetTimeouts", {"script": 1000 * int(PATIENCE), "pageLoad": 1000 * int(PATIENCE)})

    def _read(self) -> Any:
        size = b""
        while not size.endswith(b":"):
            size += self._socket.recv(1)
        left, parts = int(size[:-1]), []
        while left:
            parts.append(self._socket.recv(min(left, 1 << 16)))
            left -= len(parts[-1])
        return json.loads(b"".join(parts))

    def _said(self, command: str, options: dict[str, Any]) -> Any:
        self._count += 1
        content = json.dumps([0, self._count, command, options]).encode()
        self._socket.sendall(str(len(content)).encode() + b":" + content)
        _, _, error, answer = self._read()
        if error:
            raise AssertionError(f"{command}: {error['error']}: {error['message']}")
        return answer.get("value") if isinstance(answer, dict) and "value" in answer else answer

    def open(self, url: str) -> None:
        """Load a page and wait for its load event."""
        self._said("WebDriver:Navigate", {"url": url})

    def size(self, width: int, height: int) -> None:
        """Of the window, in pixels."""
        self._said("WebDriver:SetWindowRect", {"width": width, "height": height})

    def run(self, body: str, *args: Any) -> Any:
        """The value of a function's body in the page; what it returns may be a promise."""
        return self._said("WebDriver:ExecuteScript", {"script": body, "args": list(args), "sandbox": None})

    def until(self, expression: str) -> None:
        """Wait until an expression of the page is true."""
        end = time.monotonic() + PATIENCE
        while not self.run(f"return Boolean({expression})"):
            if time.monotonic() > end:
                raise AssertionError(f"{expression} has not become true")
            time.sleep(0.05)

    def act(self, *actions: dict[str, Any]) -> None:
        """Input sources with their actions, as WebDriver has them."""
        self._said("WebDriver:PerformActions", {"actions": list(actions)})

    def close(self) -> None:
        """Of the connection; the browser stays."""
        self._socket.close()

    def shot(self) -> bytes:
        """The window as PNG."""
        return base64.b64decode(self._said("WebDriver:TakeScreenshot", {"full": False}))


@contextmanager
def firefox(folder: Path) -> Iterator[Fox]:
    """A Firefox with a profile of its own in a folder; the test is skipped, and says why, where there is none."""
    path = executable()
    if path is None:
        pytest.skip("no Firefox: install Debian's firefox-esr or set SPLINEVIZ_FIREFOX")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    profile = folder / "profile"
    profile.mkdir(parents=True)
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join([*lines, f'user_pref("marionette.port", {port});']))
    command = [path, "--headless", "--marionette", "--no-remote", "--profile", str(profile), "about:blank"]
    environment = {**os.environ, "HOME": str(folder), "MOZ_HEADLESS": "1"}
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    opened = None
    try:
        opened = Fox(port)
        yield opened
    finally:
        if opened is not None:
            opened.close()
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
