"""Opens a GGUF file, or the parts that one was split into.

In: a path; of a split file the first part's, beside which the others lie under llama.cpp's names. Out:
its fields as plain Python values, and its tensors. Refuses what is no whole little-endian GGUF file of
a model, a part that is missing, and weights whose quantisation the gguf package cannot undo.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from preparation.errors import MODEL, PreparationError
from preparation.file_kinds import kind_at

MAGIC = b"GGUF"
VERSIONS = (2, 3)
QUANTISATION_VERSION = 2  # of the blocks that the gguf package knows
PART_NAME = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf")

Fields = dict[str, Any]


class WholeReader(gguf.GGUFReader):
    """The gguf package's reader, which itself reads on behind the end of a file."""

    def _get(self, offset: int, dtype: Any, count: int = 1, override_order: Any = None) -> np.ndarray:
        end = int(offset) + int(count) * np.dtype(dtype).itemsize
        if end > len(self.data):
            raise ValueError(f"it ends after {len(self.data):,} bytes, before byte {end:,}")
        return super()._get(int(offset), dtype, count, override_order)


class GgufFile:
    """The content of a GGUF file: `fields`, and `tensors` of all its parts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        reader = _open(path)
        self.fields = _fields_of(path, reader)
        self._check_kind()
        self.tensors: list[gguf.ReaderTensor] = list(reader.tensors)
        count = self._split("count", 1)
        if count > 1:
            self._add_parts(count)
        for tensor in self.tensors:
            self._check_quantisation(tensor)

    def refuse(self, found: str) -> PreparationError:
        return PreparationError(MODEL, f"{self.path}: {found}")

    def _check_kind(self) -> None:
        kind = self.fields.get("general.type", "model")
        if kind != "model":
            raise self.refuse(f'general.type is {shown(kind)}, expected "model"')
        version = self.fields.get("general.quantization_version", QUANTISATION_VERSION)
        if version != QUANTISATION_VERSION:
            raise self.refuse(
                f"general.quantization_version is {shown(version)}, expected {QUANTISATION_VERSION}"
            )

    def _check_quantisation(self, tensor: gguf.ReaderTensor) -> None:
        try:
            gguf.dequantize(tensor.data.reshape(-1, tensor.data.shape[-1])[:1], tensor.tensor_type)
        except Exception:  # of types without a rule, and of integers
            raise self.refuse(
                f"{tensor.name} is stored as {tensor.tensor_type.name}, which the gguf package does"
                " not turn into numbers"
            ) from None

    def _split(self, key: str, default: int) -> int:
        value = self.fields.get(f"split.{key}", default)
        if type(value) is not int or value < 0:
            raise self.refuse(f"split.{key} is {shown(value)}, expected a whole number")
        return value

    def _add_parts(self, count: int) -> None:
        number = self._split("no", 0)
        name = PART_NAME.fullmatch(self.path.name)
        if name is None or (int(name[2]), int(name[3])) != (number + 1, count):
            raise self.refuse(
                f"it is part {number + 1} of {count} (split.count): expected a name that ends with"
                f" -{number + 1:05d}-of-{count:05d}.gguf, and the other parts beside it"
            )
        names = [f"{name[1]}-{part:05d}-of-{count:05d}.gguf" for part in range(1, count + 1)]
        if number != 0:
            raise self.refuse(f"it is part {number + 1} of {count}: expected the first, {names[0]}")
        for part, other in enumerate(names[1:], start=1):
            path = self.path.with_name(other)
            if not path.exists():
                raise self.refuse(f"it is part 1 of {count} (split.count): there is no {other}")
            reader = _open(path)
            fields = _fields_of(path, reader)
            found = fields.get("split.no"), fields.get("split.count")
            if found != (part, count):
                raise self.refuse(
                    f"{other}: expected split.no {part} and split.count {count}, found"
                    f" {found[0]} and {found[1]}"
                )
            self.tensors += reader.tensors
        expected = self._split("tensors.count", len(self.tensors))
        if len(self.tensors) != expected:
            raise self.refuse(
                f"split.tensors.count is {expected}, found {len(self.tensors)} in its parts"
            )
        if len({tensor.name for tensor in self.tensors}) != len(self.tensors):
            raise self.refuse("a tensor is in two of its parts")


def shown(value: Any) -> str:
    """A field's value in a message: a text in quotes, a list by its length."""
    if isinstance(value, str):
        return f'"{value[:60]}"'
    return f"a list of {len(value)}" if isinstance(value, list) else str(value)


def _open(path: Path) -> gguf.GGUFReader:
    try:
        kind = kind_at(path)
        with path.open("rb") as file:
            magic, version = file.read(4), file.read(4)
        if magic != MAGIC:
            raise PreparationError(MODEL, f"{path} is no GGUF file, found: {kind}")
        if int.from_bytes(version, "big") in VERSIONS:
            raise PreparationError(MODEL, f"{path} is big-endian, expected a little-endian GGUF file")
        if (number := int.from_bytes(version, "little")) not in VERSIONS:
            raise PreparationError(MODEL, f"{path} is of GGUF version {number}, expected 2 or 3")
        reader = WholeReader(path)
    except FileNotFoundError:
        raise PreparationError(MODEL, f"{path}: no such file") from None
    except OSError as error:
        raise PreparationError(MODEL, f"{path}: {error.strerror or error}") from None
    except PreparationError:
        raise
    except Exception as error:  # damaged files raise almost anything
        raise PreparationError(MODEL, f"{path} is not a whole GGUF file: {_reason(error)}") from None
    return reader


def _fields_of(path: Path, reader: gguf.GGUFReader) -> Fields:
    fields: Fields = {}
    for key, field in reader.fields.items():
        try:
            fields[key] = field.contents()
        except Exception as error:
            raise PreparationError(
                MODEL, f"{path}: the field {key} is not readable: {_reason(error)}"
            ) from None
    return fields


def _reason(error: Exception) -> str:
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return " ".join(text.split()) or type(error).__name__
