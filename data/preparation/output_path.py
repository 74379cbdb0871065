"""The file that the name of an output stands for.

In: what the command line says. Out: the path to write, behind a link, so that the link stays. Refuses
what a file cannot be written as: a folder, a device, something inside a file.
"""

from __future__ import annotations

import os
from pathlib import Path

from preparation.errors import OUTPUT, PreparationError


def output_file(named: str) -> Path:
    path = Path(os.path.realpath(named)) if os.path.islink(named) else Path(named)
    refused = f"cannot write the output {named}:"
    if named.endswith("/") or os.path.isdir(path):
        raise PreparationError(OUTPUT, f"{refused} it is a directory, expected the name of a file")
    if os.path.exists(path) and not os.path.isfile(path):
        raise PreparationError(OUTPUT, f"{refused} it is a pipe or a device, expected a file")
    folder = next(parent for parent in path.absolute().parents if os.path.exists(parent))
    if not os.path.isdir(folder):
        raise PreparationError(OUTPUT, f"{refused} {folder} is a file, expected a folder")
    return path
