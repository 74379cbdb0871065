"""A GGUF file -> a Hugging Face checkpoint directory, one tensor in memory at a time.

In: a GGUF file of an architecture in FAMILIES, or the first part of one. Out: model.safetensors,
config.json, generation_config.json, tokenizer.json, tokenizer_config.json. Refuses an unknown
architecture, what gguf_file and gguf_fields refuse, a missing or unknown tensor, and a tensor whose
shape contradicts the fields.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import gguf
from tqdm import tqdm

from preparation.checkpoint_writer import CheckpointWriter, Tensor, to_bytes
from preparation.gguf_families import FAMILIES, Config, Family, TensorRow, sizes_of
from preparation.gguf_fields import FieldReader
from preparation.gguf_file import GgufFile, shown
from preparation.gguf_tokenizer import GgufTokenizer

SHARD_BYTES = 5_000_000_000

# Checkpoint name -> how it is stored.
StoredTensors = dict[str, tuple[TensorRow, gguf.ReaderTensor]]


def placed_rows(family: Family, num_layers: int) -> Iterator[tuple[str, str, TensorRow]]:
    """(GGUF name, checkpoint name, row) of every tensor, layer by layer, as they are read later."""
    for in_layers, group in itertools.groupby(
        family.tensor_rows, lambda row: "{l}" in row.gguf_name
    ):
        rows = list(group)
        for layer in range(num_layers if in_layers else 1):
            for row in rows:
                yield row.gguf_name.format(l=layer), row.name.format(l=layer), row


def tensors_of(file: GgufFile, family: Family, config: Config) -> StoredTensors:
    """Every tensor of the checkpoint, in file order; every stored tensor is used exactly once."""
    stored = {tensor.name: tensor for tensor in file.tensors}
    sizes = sizes_of(config)
    found: StoredTensors = {}
    for gguf_name, name, row in placed_rows(family, config["num_hidden_layers"]):
        if gguf_name not in stored:
            if row.optional:
                continue
            raise file.refuse(f"there is no tensor {gguf_name}")
        tensor = stored.pop(gguf_name)
        expected = tuple(sizes[size] for size in row.shape)
        shape = tuple(int(size) for size in reversed(tensor.shape))
        if shape != expected:
            raise file.refuse(
                f"{gguf_name} has shape {shape}, expected {expected} from its fields"
            )
        found[name] = (row, tensor)
    if stored:
        raise file.refuse(f"unknown tensor {next(iter(stored))}")
    return found


def convert(path: Path, directory: Path, dtype: str) -> list[str]:
    """Writes the checkpoint directory; returns the names of its weight files."""
    file = GgufFile(path)
    architecture = file.fields.get("general.architecture")
    if not isinstance(architecture, str) or architecture not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise file.refuse(f"architecture {shown(architecture)} is not known (known: {known})")
    family = FAMILIES[architecture]
    config = FieldReader(path, file.fields, family).config(len(file.tensors))
    rows = tensors_of(file, family, config)
    config["tie_word_embeddings"] = "lm_head.weight" not in rows
    gguf_tokenizer = GgufTokenizer(str(path), file.fields)
    tokenizer = gguf_tokenizer.tokenizer()
    token_ids = {f"{role}_id": number for role, number in gguf_tokenizer.special_ids().items()}
    token_ids.pop("unk_token_id", None)  # no key of config.json
    config |= {**token_ids, "torch_dtype": dtype, "use_cache": True}

    tensors = [Tensor(name, tuple(map(int, reversed(t.shape)))) for name, (_, t) in rows.items()]
    with CheckpointWriter(directory, dtype) as writer:
        with tqdm(total=len(tensors), unit="tensor", desc=directory.name, disable=None) as progress:

            def chunks_of(tensor: Tensor) -> Iterator[bytes]:
                row, stored = rows[tensor.name]
                values = gguf.dequantize(stored.data, stored.tensor_type).reshape(tensor.shape)
                yield to_bytes(row.layout(values, config), dtype)
                progress.update()

            names = writer.write_tensors(tensors, SHARD_BYTES, chunks_of)
        writer.write_json("config.json", config)
        writer.write_json("generation_config.json", token_ids)
        writer.write_json("tokenizer.json", json.loads(tokenizer.to_str()))
        writer.write_json(
            "tokenizer_config.json",
            gguf_tokenizer.tokenizer_config(config["max_position_embeddings"]),
        )
    return names
