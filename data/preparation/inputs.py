"""The files that a command line names as a corpus, in order.

In: files, patterns (`*.txt`), folders, `-` for standard input. Out: each file in order, and what it is
called in the token file. Of a folder that `datasets` saved or keeps in its cache its Arrow files; of
another all files in the order of their paths, or those of records alone if there are any. Refuses what is
not there, a pattern that no file fits, a folder of several splits, an empty folder.
"""

from __future__ import annotations

import glob
import json
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preparation.corpus_kinds import LINES_SUFFIXES, suffix_of
from preparation.errors import CORPUS, PreparationError
from preparation.remarks import Remarks

SAVED = "state.json"  # of datasets.Dataset.save_to_disk
SAVED_SPLITS = "dataset_dict.json"  # of datasets.DatasetDict.save_to_disk
STANDARD_INPUT = Path("/dev/stdin")
RECORD_SUFFIXES = (*LINES_SUFFIXES, ".json", ".parquet", ".arrow", ".feather", ".tar")
CACHED = "dataset_info.json"  # of the cache of datasets


@dataclass(frozen=True)
class Input:
    path: Path
    name: str


def inputs_of(named: Iterable[str], remarks: Remarks, suffixes: Sequence[str] = ()) -> list[Input]:
    """Of a folder, files with one of the suffixes alone, if there are any."""
    suffixes = suffixes or RECORD_SUFFIXES
    return [one for name in named for one in _inputs_at(name, remarks, suffixes)]


def stored_bytes(inputs: Iterable[Input]) -> int:
    """Of all files together; refuses, before any work, one that is not there."""
    total = 0
    for one in inputs:
        status = _status(one.path)
        if one.path == STANDARD_INPUT:
            continue
        if not stat.S_ISREG(status.st_mode):
            raise PreparationError(CORPUS, f"{one.path} is a pipe or a device, expected a file")
        total += status.st_size
    return total


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise PreparationError(CORPUS, f"{path}: {error.strerror}, expected a file") from None


def _inputs_at(name: str, remarks: Remarks, suffixes: Sequence[str]) -> Iterator[Input]:
    path = Path(name)
    if name == "-":
        yield Input(STANDARD_INPUT, "-")
    elif glob.has_magic(name) and not os.path.lexists(name):
        yield from _matching(name)
    elif not stat.S_ISDIR(_status(path).st_mode):
        yield Input(path, path.name)
    else:
        for inner in _files_of(path, remarks, suffixes):
            yield Input(path / inner, f"{path.name}/{inner}")


def _matching(pattern: str) -> Iterator[Input]:
    found = [path for path in sorted(glob.glob(pattern, recursive=True)) if os.path.isfile(path)]
    if not found:
        raise PreparationError(CORPUS, f"{pattern}: expected a file that fits the pattern, found none")
    for path in found:
        yield Input(Path(path), Path(path).name)


def _files_of(folder: Path, remarks: Remarks, suffixes: Sequence[str]) -> list[str]:
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
    return _any_files_of(folder, remarks, suffixes)


def _any_files_of(folder: Path, remarks: Remarks, suffixes: Sequence[str]) -> list[str]:
    inner = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    files = sorted(path for path in inner if not any(part.startswith(".") for part in path.parts))
    records = [path for path in files if suffix_of(path) in suffixes]
    for left_out in sorted(set(files) - set(records)) if records else ():
        remarks.note("file(s) of folders are no records, and were left out", str(folder / left_out))
    if not files:
        raise PreparationError(CORPUS, f"{folder} is a directory without files, expected a file")
    return [str(path) for path in records or files]


def _json_of(path: Path, key: str) -> list[Any]:
    try:
        return list(json.loads(path.read_bytes())[key])
    except (OSError, ValueError, KeyError, TypeError):
        raise PreparationError(CORPUS, f'{path}: expected JSON with a list "{key}", found none') from None
