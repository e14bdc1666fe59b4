"""The command line: one call each, its errors and exit codes.

    splineviz train      a recipe on embedded data -> a run directory
    splineviz animate    a run directory -> video, frames, partitions, a table of measures, a summary figure
    splineviz watch      the same of a run that still grows, again and again
    splineviz tour       one checkpoint -> a film in which the view moves
    splineviz compare    runs -> a film of them side by side; or of one run's layers
    splineviz partition  one checkpoint, one slice -> a picture and/or an .npz file
    splineviz figure     some checkpoints, one slice -> a figure for print
    splineviz estimate   one checkpoint, one slice -> how many regions, seconds and bytes to expect
    splineviz study      a run directory -> the paper's figures about it, with their tables
    splineviz sweep      runs x checkpoints x planes x windows -> one table; resumed, on processes or Dask
    splineviz status     how far the jobs of a directory are, and why some failed
    splineviz explore    what animate wrote -> one HTML file to pan, zoom and question
    splineviz info       what is in a run directory
    splineviz verify     a partition file, or a directory of results, against the checkpoints they were made from
    splineviz doctor     what splineviz runs on, and whether it is enough
    splineviz complete a script that makes a shell complete commands, flags and files

Exit codes: 0 done, 1 a failed certificate, 2 a wrong flag or anything splineviz refuses (one line on stderr, a
traceback only with --debug), 3 jobs failed and the same command will try them again, 130 stopped by Ctrl-C, 143 by SIGTERM,
129 by SIGHUP, 141 nobody reads what it prints (`| head`). The commands themselves stand in `commands/`, one a file.
"""

from __future__ import annotations

import atexit
import io
import os
import select
import sys
import warnings
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from splineviz import commands
from splineviz.system import signals


def program() -> NoReturn:
    """One command as a process of its own, which ends with it."""
    code = main()
    if code != signals.code():
        sys.exit(code)
    signals.ignore()  # a second one does not change how it ends, and a thread that hangs does not keep it
    signals.end_later(_say_at_last)
    # Not by way of sys.exit: where the interrupt went through C code that runs Python, Python would end as of a Ctrl-C.
    with suppress(Exception):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()
    os._exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; argv as in sys.argv[1:]. On --help and wrong flags argparse exits itself."""
    with _any_letter():
        code = 0
        try:
            try:
                code = _run(argv)
                return code
            finally:
                if sys.stdout is not None and not sys.stdout.closed:
                    sys.stdout.flush()  # here, where what goes wrong with it can be said
        except OSError as error:
            _give_up_stdout()
            if isinstance(error, BrokenPipeError):
                return code or 141  # as the shell says of a program that wrote to a pipe without a reader
            if not code:  # else something has been said already
                _complain(_of_system(error))
            return code or 2


def _run(argv: Sequence[str] | None) -> int:
    try:
        with signals.listening(_say_at_last) as heard, _in_one_line():
            parser = commands.parser()
            if any("\0" in word for word in (sys.argv[1:] if argv is None else argv)):
                parser.error("expected words that a file or a sample may be called, got one with a zero byte; leave it out.")
            if not (sys.argv[1:] if argv is None else argv):
                parser.print_help()
                return 0
            options = parser.parse_args(argv)
            # A notebook's terminal inherits a backend that draws into the notebook; the command line writes files.
            os.environ["MPLBACKEND"] = "agg"
            try:
                commands.COMMANDS[options.command].run(options)
            except Exception as error:
                if heard:  # a library that is interrupted while it is imported makes another exception of it
                    raise KeyboardInterrupt from error
                return _refuse(error, options)
    except KeyboardInterrupt:
        _complain(signals.said())
        return signals.code()
    return 0


@contextmanager
def _any_letter() -> Iterator[None]:
    """A file's name may hold letters that standard output has none for, which are then written out, as on stderr."""
    out = sys.stdout
    strict = isinstance(out, io.TextIOWrapper) and out.errors == "strict"
    if isinstance(out, io.TextIOWrapper) and strict:
        out.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        if isinstance(out, io.TextIOWrapper) and strict and not out.closed:
            out.reconfigure(errors="strict")


def _nobody_reads() -> bool:
    """Whether standard output is a pipe whose reader has gone, as that of `splineviz ... | head`."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(what & select.POLLERR for _, what in poll.poll(0))
    except (AttributeError, OSError, ValueError):  # no poll, no file
        return True


def _give_up_stdout() -> None:
    """What could not be written is not tried again when Python ends, which would then speak of it in its own way."""
    with suppress(AttributeError, OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@contextmanager
def _in_one_line() -> Iterator[None]:
    """Our own warnings as one line, without the place in the code that Python names."""
    from splineviz.commands.terminal import plain

    before, home = warnings.formatwarning, os.path.dirname(os.path.abspath(__file__)) + os.sep

    def shown(message: Warning | str, *place: Any, **more: Any) -> str:
        said, named = str(message), str(message).startswith("splineviz: ")
        if not named and not str(place[1]).startswith(home):
            return before(message, *place, **more)
        return f"{plain(said if named else f'splineviz: warning: {said}')}\n"

    warnings.formatwarning = shown
    try:
        yield
    finally:
        warnings.formatwarning = before


def _say_at_last(text: str) -> None:
    """A line on stderr, past what another thread may hold."""
    with suppress(OSError):
        os.write(2, f"splineviz: {text}\n".encode())


def _refuse(error: Exception, options: Namespace) -> int:
    """Exit code for what a user can mend; anything else is a defect of ours and keeps its traceback."""
    from splineviz.errors import CertificateError, JobError, SplinevizError

    if isinstance(error, BrokenPipeError) and _nobody_reads():
        raise error
    if options.debug or not isinstance(error, (SplinevizError, OSError, ImportError)):
        raise error
    _complain(_of_system(error) if isinstance(error, OSError) and error.strerror else str(error))
    return 1 if isinstance(error, CertificateError) else 3 if isinstance(error, JobError) else 2


def _of_system(error: OSError) -> str:
    """What the system refused, without its number: `out/measures.csv: permission denied`."""
    where = ", ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    said = error.strerror or type(error).__name__
    reason = f"{said[:1].lower()}{said[1:]}"
    return f"{where}: {reason}." if where else f"{reason}."


def _complain(message: str) -> None:
    from splineviz.commands import terminal

    terminal.remark(message)


if __name__ == "__main__":
    program()
