"""Errors that the user can mend, each with the exit code that the whole of actsweep gives it.

An error names the file, what was expected and what was found. It is raised where it is found and
turned into one line on standard error and an exit code by `run_program` alone.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

COMMAND_LINE = 2
CORPUS = 3
MODEL = 4
OUTPUT = 6


class PreparationError(Exception):
    """A bad input or output, with its exit code."""

    leaves_at_once = False  # without what Python does at exit, where that could hang

    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code

    def __reduce__(self) -> tuple[type[PreparationError], tuple[int, str]]:
        """How it comes whole out of a worker process."""
        return PreparationError, (self.exit_code, str(self))


def one_line(text: str) -> str:
    """Without line ends, which a name may hold."""
    return text.replace("\n", "\\n").replace("\r", "\\r")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Makes what the system says of a failed write an error of the output `path`."""
    try:
        yield
    except OSError as error:
        raise PreparationError(
            OUTPUT, f"cannot write the output {path}: {error.strerror or error}"
        ) from None


def unwind_on_sigterm() -> None:
    """Lets SIGTERM raise SystemExit with 128 + SIGTERM, wherever it meets the main thread.

    Python drops what is raised in a destructor or in a weak reference's callback, and hands it to
    `sys.unraisablehook` alone: there the exit is put off until the main thread has left that code.
    """

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        sys.exit(128 + signal.SIGTERM)

    def put_off(dropped: sys.UnraisableHookArgs) -> None:
        if dropped.exc_type is SystemExit:
            signal.setitimer(signal.ITIMER_REAL, 0.01)
        else:
            sys.__unraisablehook__(dropped)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGALRM, leave)
    sys.unraisablehook = put_off


def run_program(name: str, program: Callable[[], None]) -> NoReturn:
    """Runs `program` and exits: 0, the code of its PreparationError, or OUTPUT for a failed write.

    Reads of input files raise PreparationError where they happen, so an OSError that arrives here
    is the output's. SIGTERM unwinds like an error, so that temporary files are removed.
    """
    unwind_on_sigterm()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names that the terminal cannot show
    try:
        program()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for Python's own flush
        print(f"{name}: error: the standard output was closed by its reader", file=sys.stderr)
        sys.exit(OUTPUT)
    except PreparationError as error:
        print(f"{name}: error: {one_line(str(error))}", file=sys.stderr, flush=True)
        if error.leaves_at_once:
            os._exit(error.exit_code)
        sys.exit(error.exit_code)
    except OSError as error:
        print(f"{name}: error: cannot write the output: {error}", file=sys.stderr)
        sys.exit(OUTPUT)
    except KeyboardInterrupt:
        print(f"{name}: interrupted, nothing was written", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    sys.exit(0)
