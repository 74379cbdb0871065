"""One output, one run: a lock on what is written under a temporary name.

The lock goes with the process, so that what a killed run left is nobody's. Where a file system knows no
locks, there is none.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from preparation.errors import OUTPUT, PreparationError


def hold(partial: Path) -> int:
    """Locks a file or a folder that exists, until its number is closed. Refuses what another run
    holds."""
    number = os.open(partial, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(number), os.stat(partial)):
                return number
        raise BlockingIOError(errno.EAGAIN, "another took its place")
    except BlockingIOError:
        os.close(number)
        raise PreparationError(
            OUTPUT, f"{partial} is being written by another run: expected an output of its own"
        ) from None
    except OSError:
        return number
