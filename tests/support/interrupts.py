"""Ctrl-C at any one of the steps that Python takes in the main thread, one after the other, as a debugger would take them.

A signal is handled between two bytecodes. `interrupted(call, moment)` sends one before the bytecode of that number among
those of the files that are named. So every moment can be tried, where chance meets the bad ones once in thousands.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any


def interrupted(call: Callable[[], Any], moment: int, within: Sequence[str], number: int = signal.SIGINT) -> bool:
    """Run `call` with a signal before the bytecode of number `moment`; whether there are so many.

    within: ends of names of files whose bytecodes count. Raises what `call` raises.
    """
    count, sent = -1, False

    def step(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count, sent
        if event == "opcode" and not sent:
            count += 1
            if count == moment:
                sent = True
                sys.settrace(None)
                signal.raise_signal(number)  # what its handler raises comes out here, as if between two bytecodes
        return step

    def enter(frame: FrameType, event: str, _: object) -> Any:
        if sent or not frame.f_code.co_filename.endswith(tuple(within)):
            return None
        frame.f_trace_opcodes = True
        return step

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        call()
    finally:
        sys.settrace(before)
    return sent
