"""A GGUF file -> a Hugging Face checkpoint directory, one tensor in memory at a time.

In: a GGUF file of an architecture in FAMILIES. Out: model.safetensors, config.json,
generation_config.json, tokenizer.json, tokenizer_config.json. Refuses an unknown architecture, a
scaled rotary embedding (GGUF does not say which), a missing field or tensor, an unknown tensor, and
a tensor whose shape contradicts the fields.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from tqdm import tqdm

from preparation.checkpoint_writer import CheckpointWriter, Tensor, to_bytes
from preparation.errors import MODEL, PreparationError
from preparation.gguf_families import (
    FAMILIES,
    VOCAB_SIZE,
    Config,
    Family,
    TensorRow,
    sizes_of,
)
from preparation.gguf_tokenizer import GgufTokenizer

SHARD_BYTES = 5_000_000_000

# Checkpoint name -> how it is stored.
StoredTensors = dict[str, tuple[TensorRow, gguf.ReaderTensor]]


def _open(path: Path) -> gguf.GGUFReader:
    try:
        return gguf.GGUFReader(path)
    except FileNotFoundError:
        raise PreparationError(MODEL, f"{path}: no such file") from None
    except (ValueError, IndexError, KeyError, OSError) as error:
        raise PreparationError(MODEL, f"{path} is not a whole GGUF file: {error}") from None


def config_of(path: Path, fields: dict[str, Any], family: Family) -> Config:
    """config.json as far as the fields tell it."""
    architecture = fields["general.architecture"]
    scaling = fields.get(f"{architecture}.rope.scaling.type", "none")
    if scaling != "none":
        raise PreparationError(
            MODEL, f'{path}: {architecture}.rope.scaling.type is "{scaling}", expected none'
        )
    config = dict(family.config_constants)
    for key, gguf_key in family.config_keys.items():
        full_key = f"{architecture}.{gguf_key}"
        if gguf_key == VOCAB_SIZE and full_key not in fields and "tokenizer.ggml.tokens" in fields:
            config[key] = len(fields["tokenizer.ggml.tokens"])
            continue
        if full_key not in fields:
            raise PreparationError(MODEL, f"{path}: there is no field {full_key}")
        value = fields[full_key]
        # The shortest decimal of the float32 that is stored: 1e-05, not 9.999999747378752e-06.
        config[key] = float(str(np.float32(value))) if isinstance(value, float) else value
    return config | family.derived(config)


def placed_rows(family: Family, num_layers: int) -> Iterator[tuple[str, str, TensorRow]]:
    """(GGUF name, checkpoint name, row) of every tensor, layer by layer, as they are read later."""
    for in_layers, group in itertools.groupby(
        family.tensor_rows, lambda row: "{l}" in row.gguf_name
    ):
        rows = list(group)
        for layer in range(num_layers if in_layers else 1):
            for row in rows:
                yield row.gguf_name.format(l=layer), row.name.format(l=layer), row


def tensors_of(
    path: Path, reader: gguf.GGUFReader, family: Family, config: Config
) -> StoredTensors:
    """Every tensor of the checkpoint, in file order; every stored tensor is used exactly once."""
    stored = {tensor.name: tensor for tensor in reader.tensors}
    sizes = sizes_of(config)
    found: StoredTensors = {}
    for gguf_name, name, row in placed_rows(family, config["num_hidden_layers"]):
        if gguf_name not in stored:
            if row.optional:
                continue
            raise PreparationError(MODEL, f"{path}: there is no tensor {gguf_name}")
        tensor = stored.pop(gguf_name)
        expected = tuple(sizes[size] for size in row.shape)
        shape = tuple(int(size) for size in reversed(tensor.shape))
        if shape != expected:
            raise PreparationError(
                MODEL, f"{path}: {gguf_name} has shape {shape}, expected {expected} from its fields"
            )
        found[name] = (row, tensor)
    if stored:
        raise PreparationError(MODEL, f"{path}: unknown tensor {next(iter(stored))}")
    return found


def convert(path: Path, directory: Path, dtype: str) -> list[str]:
    """Writes the checkpoint directory; returns the names of its weight files."""
    reader = _open(path)
    fields = {key: field.contents() for key, field in reader.fields.items()}
    architecture = fields.get("general.architecture")
    if architecture not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise PreparationError(
            MODEL, f'{path}: architecture "{architecture}" is not known (known: {known})'
        )
    family = FAMILIES[architecture]
    config = config_of(path, fields, family)
    rows = tensors_of(path, reader, family, config)
    config["tie_word_embeddings"] = "lm_head.weight" not in rows
    gguf_tokenizer = GgufTokenizer(str(path), fields)
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
