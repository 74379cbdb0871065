"""The index of a checkpoint in shards -> the file of each tensor.

In: model.safetensors.index.json, or pytorch_model.bin.index.json. Out: names of files in its own
directory, by tensor. Refuses what is no index, and a name that leads out of the directory.
"""

from __future__ import annotations

from pathlib import Path

from preparation.errors import MODEL, PreparationError
from preparation.json_files import read_object


def weight_map(path: Path) -> dict[str, str]:
    places = read_object(path).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise PreparationError(MODEL, f'{path}: expected an object "weight_map", found none')
    for name, file in places.items():
        if not isinstance(file, str) or Path(file).name != file:
            raise PreparationError(
                MODEL, f"{path}: tensor {name}: expected a file of this directory, found {file!r}"
            )
    return places
