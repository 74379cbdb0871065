"""HDF5 files that cannot be written, as on a full disk: one line, and no crash behind it.

h5py prints what fails while it lets objects go, and HDF5 may crash at the program's end on pages that
it could not write: both are kept from the user here.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from preparation.errors import OUTPUT, PreparationError


class FailedWriteError(PreparationError):
    """HDF5 could not write. The program must leave without HDF5's end."""

    leaves_at_once = True


@contextlib.contextmanager
def said_once(path: Path) -> Iterator[None]:
    """Makes an error of HDF5's inside a FailedWriteError about `path`, and the only thing said."""
    hooks = sys.excepthook, sys.unraisablehook

    def is_hdf5(error: BaseException | None) -> bool:
        return isinstance(error, (OSError, RuntimeError))

    sys.excepthook = lambda kind, error, trace: None if is_hdf5(error) else hooks[0](kind, error, trace)
    sys.unraisablehook = lambda lost: None if is_hdf5(lost.exc_value) else hooks[1](lost)
    try:
        yield
    except (OSError, RuntimeError) as error:
        found = re.search(r"error message = '([^']*)'", str(error))
        reason = found[1] if found else getattr(error, "strerror", None)
        message = f"cannot write the output {path}: {reason or error}"
        raise FailedWriteError(OUTPUT, message) from None
    except BaseException:
        sys.excepthook, sys.unraisablehook = hooks
        raise
    sys.excepthook, sys.unraisablehook = hooks
