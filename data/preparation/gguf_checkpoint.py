"""A GGUF file -> a Hugging Face checkpoint directory, one tensor in memory at a time.

In: a GGUF file of an architecture in FAMILIES, or the first part of one. Out: model.safetensors,
config.json, generation_config.json, and where its tokenizer is known tokenizer.json and
tokenizer_config.json. Layers behind the last, which predict tokens further ahead, are left out. Refuses an
unknown architecture, what gguf_file and gguf_fields refuse, a missing or unknown tensor, and a tensor whose
shape contradicts the fields.
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
from preparation.gguf_families import Family, Part, TensorRow, sizes_of
from preparation.gguf_fields import FieldReader
from preparation.gguf_file import GgufFile, shown
from preparation.gguf_layouts import Config
from preparation.gguf_rope import NAMES as ROPE_TENSORS
from preparation.gguf_rope import UnknownFactors, rope_scaling
from preparation.gguf_tokenizer import GgufTokenizer, UnknownTokenizer

TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
HEADS = {"lm_head.weight", "embed_out.weight", "model.transformer.ff_out.weight"}
SHARD_BYTES = 5_000_000_000


Shape = tuple[int, ...]
JsonFiles = dict[str, object]  # by name


@dataclass(frozen=True)
class Stored:
    """Where the file has a tensor of the checkpoint."""

    row: TensorRow
    tensors: tuple[gguf.ReaderTensor, ...]
    shapes: tuple[Shape, ...]  # of each
    number: int | None = None  # of those that one tensor of the file holds
    value: float = 0.0  # of a field, where there is no tensor

    def values(self, config: Config) -> np.ndarray:
        """float32, as the checkpoint has it."""
        if self.row.field:
            return np.array(self.value, np.float32)
        found = [self._stored(one, shape) for one, shape in zip(self.tensors, self.shapes, strict=True)]
        return self.row.join(found, config) if self.row.join else self.row.layout(found[0], config)

    def _stored(self, tensor: gguf.ReaderTensor, shape: Shape) -> np.ndarray:
        data = tensor.data if self.number is None else tensor.data[self.number]
        return gguf.dequantize(data, tensor.tensor_type).reshape(shape)


StoredTensors = dict[str, Stored]  # by the checkpoint's name


def shape_of(tensor: gguf.ReaderTensor) -> Shape:
    return tuple(int(size) for size in reversed(tensor.shape))


def without_ones(shape: Shape) -> Shape:
    """As GGUF counts sizes: those of 1 in front say nothing."""
    return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape


class FileTensors:
    """The tensors of a file, which are taken by the rows of a family."""

    def __init__(self, file: GgufFile, family: Family, config: Config, architecture: str) -> None:
        self._file, self._family, self._config = file, family, config
        self._layers = config["num_hidden_layers"]
        self._sizes = sizes_of(config, family)
        behind = range(self._layers, self._layers + config.get("_next_layers", 0))
        self._tensors = {
            tensor.name: tensor
            for tensor in file.tensors
            if not any(tensor.name.startswith(f"blk.{layer}.") for layer in behind)
        }
        self._taken: set[str] = set()
        known = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}[architecture]
        self._names = gguf.get_tensor_name_map(known, self._layers)

    def shape(self, sizes: tuple[str, ...]) -> Shape:
        return tuple(self._sizes[size] for size in sizes)

    def rope_factors(self) -> dict[str, np.ndarray]:
        found = {name: self._tensors[name] for name in ROPE_TENSORS if name in self._tensors}
        self._taken |= found.keys()
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
                    if row.where is None or row.where(self._config, layer):
                        found |= self._take(row, layer)
        left = self._tensors.keys() - self._taken
        if left := {name for name in left if not self._family.ignored(self._config, name)}:
            raise self._file.refuse(f"unknown tensor {min(left)}")
        return found

    def _take(self, row: TensorRow, layer: int) -> StoredTensors:
        if row.field:
            value = self._number_of_layer(row.field, layer)
            return {row.name.format(l=layer): Stored(row, (), (), value=value)}
        parts = row.parts or (Part(row.known_as or row.name, row.stored_shape or row.shape),)
        if row.optional and self._is_left_out(row, parts, layer):
            return {}
        many = (self._sizes[row.count],) if row.count else ()
        shapes = tuple(self.shape(part.shape) for part in parts)
        tensors = tuple(self._find(part, (*many, *s), layer) for part, s in zip(parts, shapes, strict=True))
        if not row.count:
            return {row.name.format(l=layer): Stored(row, tensors, shapes)}
        return {row.name.format(l=layer, e=e): Stored(row, tensors, shapes, e) for e in range(*many)}

    def _is_left_out(self, row: TensorRow, parts: tuple[Part, ...], layer: int) -> bool:
        """In all layers or in none: so the first that may have it tells."""
        first = next(n for n in range(layer + 1) if row.where is None or row.where(self._config, n))
        return self.stored_name(parts[0].known_as, first) not in self._tensors

    def _find(self, part: Part, expected: Shape, layer: int) -> gguf.ReaderTensor:
        name = self.stored_name(part.known_as, layer)
        if name not in self._tensors:
            raise self._file.refuse(f"there is no tensor {name}")
        tensor = self._tensors[name]
        if without_ones(shape := shape_of(tensor)) != without_ones(expected):
            raise self._file.refuse(f"{name} has shape {shape}, expected {expected} from its fields")
        self._taken.add(name)
        return tensor

    def _number_of_layer(self, field: str, layer: int) -> float:
        values = self._file.fields.get(field)
        if not isinstance(values, list) or len(values) != self._layers:
            found = shown(values) if values is not None else "not there"
            expected = f"a number for each of {self._layers} layers"
            raise self._file.refuse(f"{field} is {found}, expected {expected}")
        return float(values[layer])

    def stored_name(self, known_as: str, layer: int) -> str:
        """As the gguf package's tables call it."""
        known = known_as.replace(".{e}", "").format(l=layer)
        name = self._names.get_name(known, try_suffixes=(".weight", ".bias", ".scale"))
        assert name is not None, f"the gguf package has no name for {known}"
        return name


def renamed(config: Config, family: Family) -> Config:
    """config.json in the family's own names."""
    names = {key: family.names.get(key, key) for key in config}
    return {name: config[key] for key, name in names.items() if name and not key.startswith("_")}


def tokenizer_files(file: GgufFile, max_length: int) -> JsonFiles:
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


def architecture_of(file: GgufFile) -> str:
    architecture = file.fields.get("general.architecture")
    if not isinstance(architecture, str) or architecture not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise file.refuse(
            f"architecture {shown(architecture)} is not known (known: {known}); convert the original"
            " model's safetensors instead, which need no conversion"
        )
    return architecture


def scaling_of(file: GgufFile, family: Family, tensors: FileTensors, config: Config) -> Config:
    try:
        scaling = rope_scaling(tensors.rope_factors(), config)
    except UnknownFactors as unknown:
        raise file.refuse(str(unknown)) from None
    if family.has_scaled_default and "rope_scaling" not in {**config, **scaling}:
        return {"rope_parameters": {"rope_type": "default", "rope_theta": config["rope_theta"]}}
    return scaling


def json_files(file: GgufFile, config: Config, is_tied: bool, dtype: str) -> JsonFiles:
    """`config`: in the family's own names."""
    token_ids = token_ids_of(file)
    written = {
        **config,
        "tie_word_embeddings": is_tied,
        **({"weight_tying": is_tied} if config["model_type"] == "llada" else {}),
        **dict.fromkeys(TOKEN_IDS),  # where the file has none, transformers takes none of its own
        **token_ids,
        "torch_dtype": dtype,
        "use_cache": True,
    }
    return {"config.json": written, "generation_config.json": token_ids}


def write(
    directory: Path, dtype: str, kinds: list[Tensor], rows: StoredTensors, config: Config, jsons: JsonFiles
) -> list[str]:
    with CheckpointWriter(directory, dtype) as writer:
        with tqdm(total=len(kinds), unit="tensor", desc=directory.name, disable=None) as progress:

            def chunks_of(tensor: Tensor) -> Iterator[bytes]:
                yield to_bytes(rows[tensor.name].values(config), dtype)
                progress.update()

            names = writer.write_tensors(kinds, SHARD_BYTES, chunks_of)
        for name, content in jsons.items():
            writer.write_json(name, content)
    return names


def convert(path: Path, directory: Path, dtype: str) -> list[str]:
    """Writes the checkpoint directory; returns the names of its weight files."""
    file = GgufFile(path)
    architecture = architecture_of(file)
    names = {tensor.name for tensor in file.tensors}
    family = family_of(architecture, names, file.fields)
    config = FieldReader(path, file.fields, family).config(names)
    tensors = FileTensors(file, family, config, architecture)
    config |= scaling_of(file, family, tensors, config)
    rows = tensors.take_all()
    config |= {flag: name in rows for flag, name in family.flags.items()}
    jsons = json_files(file, renamed(config, family), not HEADS & rows.keys(), dtype)
    jsons |= tokenizer_files(file, config["max_position_embeddings"])
    kinds = [Tensor(name, tensors.shape(stored.row.shape)) for name, stored in rows.items()]
    return write(directory, dtype, kinds, rows, config, jsons)
