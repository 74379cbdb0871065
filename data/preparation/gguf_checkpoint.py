"""A GGUF file -> a Hugging Face checkpoint directory, one tensor in memory at a time.

In: a GGUF file of an architecture in FAMILIES, or the first part of one. Out: model.safetensors,
config.json, generation_config.json, and where its tokenizer is known tokenizer.json and
tokenizer_config.json. Refuses an unknown architecture, what gguf_file and gguf_fields refuse, a
missing or unknown tensor, and a tensor whose shape contradicts the fields.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from tqdm import tqdm

from preparation.checkpoint_writer import CheckpointWriter, Tensor, to_bytes
from preparation.gguf_architectures import FAMILIES, family_of
from preparation.gguf_families import Family, TensorRow, sizes_of
from preparation.gguf_fields import FieldReader
from preparation.gguf_file import GgufFile, shown
from preparation.gguf_layouts import Config
from preparation.gguf_rope import NAMES as ROPE_TENSORS
from preparation.gguf_rope import UnknownFactors, rope_scaling
from preparation.gguf_tokenizer import GgufTokenizer, UnknownTokenizer

TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
SHARD_BYTES = 5_000_000_000


@dataclass(frozen=True)
class Stored:
    """Where the file has a tensor of the checkpoint."""

    row: TensorRow
    tensor: gguf.ReaderTensor
    number: int | None = None  # of those that one tensor of the file holds

    def values(self, shape: tuple[int, ...]) -> np.ndarray:
        """float32, of the file's shape."""
        data = self.tensor.data if self.number is None else self.tensor.data[self.number]
        return gguf.dequantize(data, self.tensor.tensor_type).reshape(shape)


StoredTensors = dict[str, Stored]  # by the checkpoint's name


def shape_of(tensor: gguf.ReaderTensor) -> tuple[int, ...]:
    return tuple(int(size) for size in reversed(tensor.shape))


class FileTensors:
    """The tensors of a file, of which each is taken once, by the rows of a family."""

    def __init__(self, file: GgufFile, family: Family, config: Config, architecture: str) -> None:
        self._file, self._family = file, family
        self._layers = config["num_hidden_layers"]
        self._sizes = sizes_of(config)
        self._left = {tensor.name: tensor for tensor in file.tensors}
        known = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}[architecture]
        self._names = gguf.get_tensor_name_map(known, self._layers)

    def shape(self, sizes: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(self._sizes[size] for size in sizes)

    def rope_factors(self) -> dict[str, np.ndarray]:
        found = {name: self._left.pop(name) for name in ROPE_TENSORS if name in self._left}
        return {name: gguf.dequantize(t.data, t.tensor_type) for name, t in found.items()}

    def take_all(self) -> StoredTensors:
        """Every tensor of the checkpoint, layer by layer, as they are read later."""
        found: StoredTensors = {}
        for in_layers, rows in itertools.groupby(
            self._family.tensor_rows, lambda row: "{l}" in row.name
        ):
            group = list(rows)
            for layer in range(self._layers if in_layers else 1):
                for row in group:
                    found |= self._take(row, layer)
        if self._left:
            raise self._file.refuse(f"unknown tensor {next(iter(self._left))}")
        return found

    def _take(self, row: TensorRow, layer: int) -> StoredTensors:
        name = self.stored_name(row, layer)
        if name not in self._left:
            first = self.stored_name(row, 0)
            if row.optional and (layer == 0 or not any(t.name == first for t in self._file.tensors)):
                return {}
            raise self._file.refuse(f"there is no tensor {name}")
        tensor = self._left.pop(name)
        many = (self._sizes[row.count],) if row.count else ()
        expected = (*many, *self.shape(row.stored_shape or row.shape))
        if (shape := shape_of(tensor)) != expected:
            raise self._file.refuse(f"{name} has shape {shape}, expected {expected} from its fields")
        if not row.count:
            return {row.name.format(l=layer): Stored(row, tensor)}
        return {row.name.format(l=layer, e=e): Stored(row, tensor, e) for e in range(*many)}

    def stored_name(self, row: TensorRow, layer: int) -> str:
        """As the gguf package's tables call it."""
        known = (row.known_as or row.name).replace(".{e}", "").format(l=layer)
        name = self._names.get_name(known, try_suffixes=(".weight", ".bias"))
        assert name is not None, f"the gguf package has no name for {known}"
        return name


def renamed(config: Config, family: Family) -> Config:
    """config.json in the family's own names."""
    names = {key: family.names.get(key, key) for key in config}
    return {name: config[key] for key, name in names.items() if name}


def tokenizer_files(file: GgufFile, max_length: int) -> dict[str, object]:
    """The content of the JSON files of a tokenizer; none of one that is not known here."""
    made = GgufTokenizer(str(file.path), file.fields)
    try:
        tokenizer = made.tokenizer()
    except UnknownTokenizer as unknown:
        print(
            f"warning: no tokenizer is written: {unknown}; put the tokenizer's files of the original"
            " model into the directory (tokenizer.json, tokenizer_config.json)",
            file=sys.stderr,
        )
        return {}
    return {
        "tokenizer.json": json.loads(tokenizer.to_str()),
        "tokenizer_config.json": made.tokenizer_config(max_length),
    }


def token_ids_of(file: GgufFile) -> dict[str, int]:
    """Those that config.json has keys for."""
    ids = GgufTokenizer(str(file.path), file.fields).special_ids()
    return {f"{role}_id": number for role, number in ids.items() if role != "unk_token"}


def convert(path: Path, directory: Path, dtype: str) -> list[str]:
    """Writes the checkpoint directory; returns the names of its weight files."""
    file = GgufFile(path)
    architecture = file.fields.get("general.architecture")
    if not isinstance(architecture, str) or architecture not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise file.refuse(
            f"architecture {shown(architecture)} is not known (known: {known}); convert the original"
            " model's safetensors instead, which need no conversion"
        )
    family = family_of(architecture, {tensor.name for tensor in file.tensors})
    config = FieldReader(path, file.fields, family).config(len(file.tensors))
    tensors = FileTensors(file, family, config, architecture)
    try:
        config |= rope_scaling(tensors.rope_factors(), config)
    except UnknownFactors as unknown:
        raise file.refuse(str(unknown)) from None
    rows = tensors.take_all()
    config |= {flag: name in rows for flag, name in family.flags.items()}
    heads = {"lm_head.weight", "embed_out.weight"}
    token_ids = token_ids_of(file)
    written = {
        **renamed(config, family),
        "tie_word_embeddings": not heads & rows.keys(),
        **dict.fromkeys(TOKEN_IDS),  # where the file has none, transformers takes none of its own
        **token_ids,
        "torch_dtype": dtype,
        "use_cache": True,
    }
    tokenizer = tokenizer_files(file, config["max_position_embeddings"])
    kinds = [Tensor(name, tensors.shape(stored.row.shape)) for name, stored in rows.items()]
    with CheckpointWriter(directory, dtype) as writer:
        with tqdm(total=len(kinds), unit="tensor", desc=directory.name, disable=None) as progress:

            def chunks_of(tensor: Tensor) -> Iterator[bytes]:
                stored = rows[tensor.name]
                shape = tensors.shape(stored.row.stored_shape or stored.row.shape)
                yield to_bytes(stored.row.layout(stored.values(shape), config), dtype)
                progress.update()

            names = writer.write_tensors(kinds, SHARD_BYTES, chunks_of)
        files = {"config.json": written, "generation_config.json": token_ids, **tokenizer}
        for name, content in files.items():
            writer.write_json(name, content)
    return names
