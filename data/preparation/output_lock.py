"""One output, one run: what is written under a temporary name is held by a lock, and removed at the end.

The lock goes with the process, so that what a killed run left is nobody's. Where a file system knows no
locks, there is none. Only what is still held is removed: once it has been renamed, its temporary name may
be the next run's.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from preparation.errors import OUTPUT, PreparationError


def is_at(number: int, path: Path) -> bool:
    """Whether `path` is what was opened as `number`."""
    try:
        return os.path.samestat(os.fstat(number), os.stat(path))
    except FileNotFoundError:
        return False


def hold(partial: Path, flags: int = os.O_RDONLY) -> int:
    """Opens and locks a file or a folder, until its number is closed. Refuses what another run holds."""
    number = os.open(partial, flags, 0o666)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_at(number, partial):
            return number
        raise BlockingIOError(errno.EAGAIN, "another took its place")
    except BlockingIOError:
        os.close(number)
        raise PreparationError(
            OUTPUT, f"{partial} is being written by another run: expected an output of its own"
        ) from None
    except OSError:
        return number


@contextlib.contextmanager
def held_file(partial: Path) -> Iterator[None]:
    """A file of this run's own, made where there is none; it holds what a killed run left in it."""
    number = hold(partial, os.O_RDWR | os.O_CREAT)
    try:
        yield
    finally:
        if is_at(number, partial):
            partial.unlink(missing_ok=True)
        os.close(number)


@contextlib.contextmanager
def held_folder(partial: Path) -> Iterator[None]:
    """An empty folder of this run's own. What a killed run left there is removed."""
    partial.mkdir(parents=True, exist_ok=True)
    number = hold(partial)
    try:
        for left in partial.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        yield
    finally:
        if is_at(number, partial):
            shutil.rmtree(partial, ignore_errors=True)
        os.close(number)
