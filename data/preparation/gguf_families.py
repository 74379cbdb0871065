"""What a GGUF file of an architecture becomes: tables, one row per tensor and one per fact of config.json.

A row names a tensor as transformers does; the gguf package's own tables say under which name llama.cpp
stores it. A family whose tensors llama.cpp stores otherwise says so in its rows (`layout`). The families
stand in gguf_decoders.py (RMS norms), gguf_gemma.py, gguf_layer_norms.py and gguf_gpt.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from preparation.gguf_layouts import Config, Layout, as_stored

Where = Callable[[Config, int], bool]  # whether the layer of this number has such a tensor
Join = Callable[[list[np.ndarray], Config], np.ndarray]

VOCAB_SIZE = "vocab_size"  # a GGUF key; a file without it has as many ids as tokens


class UnknownFacts(Exception):
    """What a file tells contradicts itself, or is no model of the family."""


@dataclass(frozen=True)
class Part:
    """One of several tensors of the file that a tensor of the checkpoint is made of."""

    known_as: str  # to the tables of the gguf package
    shape: tuple[str, ...]


@dataclass(frozen=True)
class TensorRow:
    """One kind of tensor; `{l}` is the layer's number; a shape names the sizes in `sizes_of`."""

    name: str  # of the checkpoint
    shape: tuple[str, ...]
    layout: Layout = as_stored
    optional: bool = False  # in all layers or in none
    # The file has so many of them in one tensor, of which `{e}` in the name is the number.
    count: str = ""
    stored_shape: tuple[str, ...] | None = None  # of one of them, where it is another
    known_as: str = ""  # to the tables of the gguf package, where it is another name
    where: Where | None = None  # None: in every layer
    parts: tuple[Part, ...] = ()  # what `join` makes it of, in place of one tensor
    join: Join | None = None
    field: str = ""  # of the file, with a number for each layer, in place of a tensor


# What llama.cpp and transformers both take for a field that is not there, out of the facts before it
# and the fields behind "<architecture>.".
Default = Callable[[Config, dict[str, Any]], Any]


def head_width(config: Config, fields: dict[str, Any]) -> int:
    """That of the keys, or the channels divided among the heads."""
    stored = fields.get("attention.key_length")
    if type(stored) is int and stored > 0:
        return stored
    return max(1, int(config["hidden_size"]) // int(config["num_attention_heads"]))


def nothing_derived(config: Config) -> Config:
    """Every fact is a constant or a field."""
    return {}


def nothing_seen(config: Config, tensors: Collection[str]) -> Config:
    """No fact follows from which tensors there are."""
    return {}


def nothing_ignored(config: Config, tensor: str) -> bool:
    """Every tensor of the file has its place."""
    return False


def no_more_sizes(config: Config) -> dict[str, int]:
    """Those of every family are enough."""
    return {}


@dataclass(frozen=True)
class Family:
    """One architecture of GGUF, and what it is to transformers. Keys of config.json that begin with "_" are
    for shapes and layouts alone, and are not written."""

    config_constants: Config
    config_keys: dict[str, str]  # key of config.json -> GGUF key behind "<architecture>."
    tensor_rows: tuple[TensorRow, ...]
    derived: Callable[[Config], Config] = nothing_derived  # facts that follow from the others
    defaults: dict[str, Default] = field(default_factory=dict)  # by config.json's key
    optional_keys: dict[str, str] = field(default_factory=dict)  # as config_keys; 0 is none
    # Fields beside those of every family that change nothing with one of the values given.
    without_effect: dict[str, Callable[[Config], tuple[object, ...]]] = field(default_factory=dict)
    # Keys of config.json that are true where the checkpoint has a tensor.
    flags: dict[str, str] = field(default_factory=dict)
    # What transformers takes for granted: the value that a fact must have, which is left out.
    fixed: dict[str, Callable[[Config], Any]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # other names in config.json, or "" for none
    # As config_keys, of whole numbers from 0, one for each layer.
    layer_lists: dict[str, str] = field(default_factory=dict)
    # Keys of config.json -> whole names of fields, of whole numbers from 0.
    whole_keys: dict[str, str] = field(default_factory=dict)
    from_tensors: Callable[[Config, Collection[str]], Config] = nothing_seen  # by their names in the file
    sizes: Callable[[Config], dict[str, int]] = no_more_sizes  # beside those of `sizes_of`
    # Facts of YaRN, out of `rope.scaling.yarn_log_multiplier`; None: of that nothing but 0 is known.
    yarn: Callable[[float, Config], Config] | None = None
    needs_yarn: bool = False
    has_scaled_default: bool = False  # transformers' class scales rotary positions unless told otherwise
    ignored: Callable[[Config, str], bool] = nothing_ignored  # a tensor of the file, by its name


def sizes_of(config: Config, family: Family) -> dict[str, int]:
    """C channels, D head width, H heads and G those of keys, Q and K rows of queries and keys, F
    feed-forward width, V vocabulary, P positions, E experts, X and S their width and the shared one's."""
    head_dim, channels = config.get("head_dim", 0), config["hidden_size"]
    heads, groups = config.get("num_attention_heads", 0), config.get("num_key_value_heads", 0)
    ffn = config.get("intermediate_size", 0)
    return {
        "1": 1,
        "C": channels,
        "3C": 3 * channels,
        "D": head_dim,
        "H": heads,
        "G": groups,
        "F": ffn,
        "2F": 2 * ffn,
        "V": config["vocab_size"],
        "P": config["max_position_embeddings"],
        "Q": heads * head_dim,
        "K": groups * head_dim,
        "QKV": (heads + 2 * groups) * head_dim,
        "E": config.get("num_experts", config.get("num_local_experts", 0)),
        "X": config.get("moe_intermediate_size", ffn),
        "S": config.get("shared_expert_intermediate_size", 0),
        **family.sizes(config),
    }


# Fields of a GGUF file, by the names of config.json.
SIZES = {
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length",
    "max_position_embeddings": "context_length",
    "vocab_size": VOCAB_SIZE,
}
ROPE_BASE = {"rope_theta": "rope.freq_base"}
DEFAULTS: dict[str, Default] = {
    "num_key_value_heads": lambda config, fields: config["num_attention_heads"],
    "head_dim": head_width,
    "rope_theta": lambda config, fields: 10000.0,
    "rotary_width": lambda config, fields: config["head_dim"],
}


def in_layers(begin: str, *rows: TensorRow, where: Where | None = None) -> tuple[TensorRow, ...]:
    """Rows whose names stand behind `begin`, such as "model.layers.{l}."."""

    def behind(name: str) -> str:
        return begin + name if name else ""

    return tuple(
        replace(
            row,
            name=begin + row.name,
            known_as=behind(row.known_as),
            parts=tuple(Part(behind(part.known_as), part.shape) for part in row.parts),
            where=row.where or where,
        )
        for row in rows
    )


def only(where: Where, *rows: TensorRow) -> tuple[TensorRow, ...]:
    """Rows of these layers alone."""
    return tuple(replace(row, where=where) for row in rows)


def optional(*rows: TensorRow) -> tuple[TensorRow, ...]:
    """Rows that all layers have or none."""
    return tuple(replace(row, optional=True) for row in rows)


def with_bias(row: TensorRow, optional: bool = False) -> tuple[TensorRow, TensorRow]:
    """A product or norm and its bias, which lies as the product's rows do."""
    known_as = row.known_as.removesuffix(".weight") + ".bias" if row.known_as else ""
    shape = (row.stored_shape or row.shape)[:1]
    layout = as_stored if row.stored_shape else row.layout
    name = row.name.removesuffix(".weight") + ".bias"
    return row, TensorRow(
        name, shape, layout, row.optional or optional, known_as=known_as, where=row.where
    )
