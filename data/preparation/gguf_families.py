"""What a GGUF file of each architecture becomes: an explicit table, one row per tensor and one per
fact of config.json.

A family whose tensors llama.cpp stores otherwise than transformers does says so in its rows
(`layout`). A new family is a new entry of FAMILIES.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# The facts of a model that shapes and layouts need: config.json's keys and values.
Config = dict[str, Any]
Layout = Callable[[np.ndarray, Config], np.ndarray]

VOCAB_SIZE = "vocab_size"  # a GGUF key; a file without it has as many ids as tokens


def as_stored(values: np.ndarray, config: Config) -> np.ndarray:
    """Stored as transformers stores it."""
    return values


def without_one(values: np.ndarray, config: Config) -> np.ndarray:
    """[C]: llama.cpp stores a norm that multiplies by 1 + w as 1 + w, transformers as w."""
    return values - np.float32(1)


def _split_halves(values: np.ndarray, num_heads: int) -> np.ndarray:
    """Rows [heads, pair, 2] of interleaved rotary pairs -> rows [heads, 2, pair] of two halves."""
    columns = values.shape[1]
    return values.reshape(num_heads, -1, 2, columns).swapaxes(1, 2).reshape(-1, columns)


def interleaved_query(values: np.ndarray, config: Config) -> np.ndarray:
    """[H*D, C]: llama.cpp interleaves rotary's two halves, transformers keeps them apart."""
    return _split_halves(values, config["num_attention_heads"])


def interleaved_key(values: np.ndarray, config: Config) -> np.ndarray:
    """[key/value heads * D, C]: as `interleaved_query`."""
    return _split_halves(values, config["num_key_value_heads"])


@dataclass(frozen=True)
class TensorRow:
    """One kind of tensor; `{l}` is the layer's number; a shape names the sizes in `sizes_of`."""

    gguf_name: str
    name: str
    shape: tuple[str, ...]
    layout: Layout = as_stored
    optional: bool = False


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


def sizes_of(config: Config) -> dict[str, int]:
    """C channels, D head width, Q and K rows of queries and keys, F feed-forward width, V
    vocabulary."""
    head_dim = config["head_dim"]
    return {
        "C": config["hidden_size"],
        "D": head_dim,
        "F": config["intermediate_size"],
        "V": config["vocab_size"],
        "Q": config["num_attention_heads"] * head_dim,
        "K": config["num_key_value_heads"] * head_dim,
    }


# Fields of a GGUF file, by the names of config.json.
SIZES = {
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
}

LLAMA = Family(
    config_constants={
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "initializer_range": 0.02,
    },
    config_keys={
        **SIZES,
        "head_dim": "rope.dimension_count",
        "max_position_embeddings": "context_length",
        "rms_norm_eps": "attention.layer_norm_rms_epsilon",
        "rope_theta": "rope.freq_base",
        "vocab_size": VOCAB_SIZE,
    },
    tensor_rows=(
        TensorRow("token_embd.weight", "model.embed_tokens.weight", ("V", "C")),
        TensorRow("blk.{l}.attn_norm.weight", "model.layers.{l}.input_layernorm.weight", ("C",)),
        TensorRow(
            "blk.{l}.attn_q.weight",
            "model.layers.{l}.self_attn.q_proj.weight",
            ("Q", "C"),
            interleaved_query,
        ),
        TensorRow(
            "blk.{l}.attn_k.weight",
            "model.layers.{l}.self_attn.k_proj.weight",
            ("K", "C"),
            interleaved_key,
        ),
        TensorRow("blk.{l}.attn_v.weight", "model.layers.{l}.self_attn.v_proj.weight", ("K", "C")),
        TensorRow(
            "blk.{l}.attn_output.weight", "model.layers.{l}.self_attn.o_proj.weight", ("C", "Q")
        ),
        TensorRow(
            "blk.{l}.ffn_norm.weight", "model.layers.{l}.post_attention_layernorm.weight", ("C",)
        ),
        TensorRow("blk.{l}.ffn_gate.weight", "model.layers.{l}.mlp.gate_proj.weight", ("F", "C")),
        TensorRow("blk.{l}.ffn_up.weight", "model.layers.{l}.mlp.up_proj.weight", ("F", "C")),
        TensorRow("blk.{l}.ffn_down.weight", "model.layers.{l}.mlp.down_proj.weight", ("C", "F")),
        TensorRow("output_norm.weight", "model.norm.weight", ("C",)),
        TensorRow("output.weight", "lm_head.weight", ("V", "C"), optional=True),  # absent: tied
    ),
    defaults={
        "num_key_value_heads": lambda config, fields: config["num_attention_heads"],
        "head_dim": head_width,
        "rope_theta": lambda config, fields: 10000.0,
    },
)

# Facts of Gemma 3 that GGUF leaves to the program that reads it.
GEMMA3_LAYERS_PER_GLOBAL = 6  # every sixth layer sees the whole window
GEMMA3_27B_LAYERS = 62  # the one size whose queries are not scaled by the head width


def gemma3_facts(config: Config) -> Config:
    layers = config["num_hidden_layers"]
    scalar = config["head_dim"]
    if layers == GEMMA3_27B_LAYERS:
        scalar = config["hidden_size"] // config["num_attention_heads"]
    return {
        "query_pre_attn_scalar": scalar,
        "layer_types": [
            "sliding_attention" if layer % GEMMA3_LAYERS_PER_GLOBAL else "full_attention"
            for layer in range(1, layers + 1)
        ],
    }


GEMMA3 = Family(
    config_constants={
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "hidden_activation": "gelu_pytorch_tanh",
        "attention_bias": False,
        "attn_logit_softcapping": None,
        "final_logit_softcapping": None,
        "rope_local_base_freq": 10000.0,
        "initializer_range": 0.02,
    },
    config_keys={
        **SIZES,
        "head_dim": "attention.key_length",
        "max_position_embeddings": "context_length",
        "rms_norm_eps": "attention.layer_norm_rms_epsilon",
        "rope_theta": "rope.freq_base",
        "sliding_window": "attention.sliding_window",
        "vocab_size": VOCAB_SIZE,
    },
    tensor_rows=(
        TensorRow("token_embd.weight", "model.embed_tokens.weight", ("V", "C")),
        *(
            TensorRow(f"blk.{{l}}.{stored}.weight", f"model.layers.{{l}}.{name}.weight", *rest)
            for stored, name, *rest in (
                ("attn_norm", "input_layernorm", ("C",), without_one),
                ("attn_q", "self_attn.q_proj", ("Q", "C")),
                ("attn_k", "self_attn.k_proj", ("K", "C")),
                ("attn_v", "self_attn.v_proj", ("K", "C")),
                ("attn_q_norm", "self_attn.q_norm", ("D",), without_one),
                ("attn_k_norm", "self_attn.k_norm", ("D",), without_one),
                ("attn_output", "self_attn.o_proj", ("C", "Q")),
                ("post_attention_norm", "post_attention_layernorm", ("C",), without_one),
                ("ffn_norm", "pre_feedforward_layernorm", ("C",), without_one),
                ("ffn_gate", "mlp.gate_proj", ("F", "C")),
                ("ffn_up", "mlp.up_proj", ("F", "C")),
                ("ffn_down", "mlp.down_proj", ("C", "F")),
                ("post_ffw_norm", "post_feedforward_layernorm", ("C",), without_one),
            )
        ),
        TensorRow("output_norm.weight", "model.norm.weight", ("C",), without_one),
        TensorRow("output.weight", "lm_head.weight", ("V", "C"), optional=True),  # absent: tied
    ),
    derived=gemma3_facts,
    optional_keys={"final_logit_softcapping": "final_logit_softcapping"},
    without_effect={
        "attention.sliding_window_pattern": lambda config: (
            GEMMA3_LAYERS_PER_GLOBAL,
            [kind == "sliding_attention" for kind in config["layer_types"]],
        ),
        "rope.freq_base_swa": lambda config: (config["rope_local_base_freq"],),
    },
)

FAMILIES: dict[str, Family] = {"gemma3": GEMMA3, "llama": LLAMA}
