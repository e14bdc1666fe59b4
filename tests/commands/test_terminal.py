"""What a terminal shows: one line that is written over itself, words between, and tables that fold."""

from __future__ import annotations

import io
import os
import sys

import pytest

from splineviz.commands import terminal


class Screen(io.StringIO):
    """A terminal: a stream, and what it shows after carriage returns."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 99

    def lines(self) -> list[str]:
        shown = []
        for text in self.getvalue().split("\n"):
            line = ""
            for part in text.split("\r"):
                line = part + line[len(part) :]
            shown.append(line.rstrip())
        return shown


def watched(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Takes the place of both streams, in the test itself: pytest sets its own between a fixture and a test."""
    made = Screen()
    monkeypatch.setattr(sys, "stderr", made)
    monkeypatch.setattr(sys, "stdout", made)
    monkeypatch.setattr(os, "get_terminal_size", lambda number: os.terminal_size((60, 24)))
    monkeypatch.setattr(terminal, "REDRAWN", 0.0)
    return made


def test_a_bar_stays_in_one_line_and_ends_full(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = watched(monkeypatch)
    with terminal.bar("cutting") as tick:
        tick(0, 4, "a note that goes on and on, longer than any terminal is wide, \x1b[2J and steers\nnothing")
        tick(1, 4)
        assert screen.lines() == ["cutting #####---------------  25% 0:00:00 a note that goes"]
        tick(4, 4, "short")
    assert screen.lines() == ["cutting #################### 100% 0:00:00 short", ""]
    assert max(len(part) for part in screen.getvalue().replace("\n", "\r").split("\r")) < 60
    assert "\x1b" not in screen.getvalue()


def test_what_is_said_meanwhile_has_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = watched(monkeypatch)
    with pytest.raises(KeyError), terminal.bar("training") as tick:
        tick(1, 3, "half a sentence")
        terminal.remark("step 5 left out")
        tick(2, 3)
        terminal.say("made: out.png")
        tick(0, 0)
        raise KeyError
    said = screen.lines()
    assert said[:2] == ["splineviz: step 5 left out", "made: out.png"]
    assert said[2].startswith("training ---") and said[3:] == [""]


def test_a_table_folds_where_the_terminal_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = watched(monkeypatch)
    terminal.table(("topic", "word " * 15), ("a longer topic", "x" * 50), ("empty", ""))
    plain = screen.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()
    assert plain[0] == "topic           " + ("word " * 9).strip() and plain[1] == " " * 16 + ("word " * 6).strip()
    assert plain[2:4] == ["a longer topic  " + "x" * 44, " " * 16 + "x" * 6] and plain[4].strip() == "empty"


def test_a_table_in_a_pipe_has_a_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.table(("topic", "word " * 40), ("b", "\x1b]0;title"))
    assert capsys.readouterr().out.splitlines() == ["topic  " + "word " * 40, "b      \\x1b]0;title"]
