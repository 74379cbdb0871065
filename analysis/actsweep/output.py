"""Files that this package writes: what goes wrong there is told apart from what is wrong with inputs.

In: the path that is written. Out: the file under its name when it is whole, never a part of it; an
`OutputError` of one line, of which the command makes exit code 6.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class OutputError(Exception):
    """What could not be written, and why."""


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Around all that writes `path` or below it."""
    try:
        yield
    except OSError as error:
        # HDF5's own have no number: they are of the file that is read.
        if error.errno is None:
            raise
        place = error.filename or path
        raise OutputError(f"{place}: cannot be written: {os.strerror(error.errno)}") from error


@contextmanager
def whole_file(path: str | os.PathLike[str], source: Path) -> Iterator[Path]:
    """The path to write in the place of `path`, to which it is moved in the end: a name of this
    process, so that two at once do not meet. Refuses the file that is read."""
    path = Path(path)
    partial = path.with_name(f"{path.name}.partial-{socket.gethostname()}-{os.getpid()}")
    with writing(path):
        if path.exists() and path.samefile(source):
            raise OutputError(f"{path}: is the sweep file itself; expected another name")
        if path.is_dir():
            raise OutputError(f"{path}: is a folder; expected the name of a file")
        try:
            yield partial
            partial.replace(path)
        finally:
            with writing(path):
                partial.unlink(missing_ok=True)
