"""What a GGUF file of an architecture becomes: tables, one row per tensor and one per fact of config.json.

A row names a tensor as transformers does; the gguf package's own tables say under which name llama.cpp
stores it. A family whose tensors llama.cpp stores otherwise says so in its rows (`layout`). The families
stand in gguf_decoders.py (RMS norms), gguf_gemma.py, gguf_layer_norms.py and gguf_gpt.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from preparation.gguf_layouts import Config, Layout, as_stored

VOCAB_SIZE = "vocab_size"  # a GGUF key; a file without it has as many ids as tokens


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


@dataclass(frozen=True)
class Family:
    """One architecture of GGUF, and what it is to transformers."""

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


def sizes_of(config: Config) -> dict[str, int]:
    """C channels, D head width, H heads and G those of keys, Q and K rows of queries and keys, F
    feed-forward width, V vocabulary, P positions, E experts, X and S their width and the shared one's."""
    head_dim, channels = config["head_dim"], config["hidden_size"]
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    ffn = config["intermediate_size"]
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


def in_layers(begin: str, *rows: TensorRow) -> tuple[TensorRow, ...]:
    """Rows whose names stand behind `begin`, such as "model.layers.{l}."."""
    return tuple(
        TensorRow(
            begin + row.name, row.shape, row.layout, row.optional, row.count, row.stored_shape,
            begin + row.known_as if row.known_as else "",
        )
        for row in rows
    )  # fmt: skip


def with_bias(row: TensorRow, optional: bool = False) -> tuple[TensorRow, TensorRow]:
    """A product or norm and its bias, which lies as the product's rows do."""
    known_as = row.known_as.removesuffix(".weight") + ".bias" if row.known_as else ""
    shape = (row.stored_shape or row.shape)[:1]
    layout = as_stored if row.stored_shape else row.layout
    name = row.name.removesuffix(".weight") + ".bias"
    return row, TensorRow(name, shape, layout, row.optional or optional, known_as=known_as)
