"""The files that a command line names as a corpus, in order.

In: files, and folders that `datasets` saved or keeps in its cache. Out: each file, and what it is called in
the token file. Refuses what is not there, a folder of several splits, a folder of another kind.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preparation.errors import CORPUS, PreparationError

SAVED = "state.json"  # of datasets.Dataset.save_to_disk
SAVED_SPLITS = "dataset_dict.json"  # of datasets.DatasetDict.save_to_disk
CACHED = "dataset_info.json"  # of the cache of datasets


@dataclass(frozen=True)
class Input:
    path: Path
    name: str


def inputs_of(named: Iterable[Path]) -> list[Input]:
    return [one for path in named for one in _inputs_at(path)]


def stored_bytes(inputs: Iterable[Input]) -> int:
    """Of all files together; refuses, before any work, one that is not there."""
    total = 0
    for one in inputs:
        status = _status(one.path)
        if not stat.S_ISREG(status.st_mode):
            raise PreparationError(CORPUS, f"{one.path} is a pipe or a device, expected a file")
        total += status.st_size
    return total


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise PreparationError(CORPUS, f"{path}: {error.strerror}, expected a file") from None


def _inputs_at(path: Path) -> Iterator[Input]:
    if not stat.S_ISDIR(_status(path).st_mode):
        yield Input(path, path.name)
        return
    for name in _files_of(path):
        yield Input(path / name, f"{path.name}/{name}")


def _files_of(folder: Path) -> list[str]:
    if (folder / SAVED_SPLITS).is_file():
        splits = _json_of(folder / SAVED_SPLITS, "splits")
        folders = " ".join(str(folder / split) for split in splits)
        raise PreparationError(
            CORPUS, f"{folder} holds the splits of a dataset: expected one by name: {folders}"
        )
    if (folder / SAVED).is_file():
        return [str(file["filename"]) for file in _json_of(folder / SAVED, "_data_files")]
    if (folder / CACHED).is_file():
        return sorted(file.name for file in folder.glob("*.arrow") if not file.name.startswith("cache-"))
    raise PreparationError(CORPUS, f"{folder} is a directory, expected a file")


def _json_of(path: Path, key: str) -> list[Any]:
    try:
        return list(json.loads(path.read_bytes())[key])
    except (OSError, ValueError, KeyError, TypeError):
        raise PreparationError(CORPUS, f'{path}: expected JSON with a list "{key}", found none') from None
