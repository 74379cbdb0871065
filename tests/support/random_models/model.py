"""What a random checkpoint is: a configuration and how it is stored; the keys of config.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

MASSIVE_IDS = (3, 5)  # the stream of these tokens begins with a value of +3000 or -3000
SMALL_ID = 6  # its embedding is so small that the epsilon of the first norm decides
SMALL_POSITIONS = (4, 9)  # learned positions are as small there
MASSIVE_CHANNEL = 7
OUTLIER_CHANNEL = 11  # output of the second block's feed-forward layer, 100 times the others

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class RandomModel:
    """A configuration, and how its checkpoint is stored."""

    name: str
    family: str  # model_type
    config: Mapping[str, Any]
    dtype: str = "float32"  # of the stored weights
    shard: str = "50GB"  # largest file
    is_old: bool = False  # config.json as transformers wrote it before version 5
    seed: int = 0
    is_flat: bool = False  # the language model's keys of config.json stand in no section
    is_stacked: bool = False  # experts in one tensor, as transformers 5 keeps them
    is_exchanged: bool = False  # experts' tensors with their last two axes exchanged
    names: Mapping[str, str] = field(default_factory=dict, hash=False)  # other beginnings of tensors' names

    @property
    def text(self) -> Mapping[str, Any]:
        """The keys of the language model, which others of several parts keep in a section."""
        return self.config.get("text_config", self.config)

    @property
    def vocabulary(self) -> int:
        return self.text["vocab_size"]

    @property
    def heads(self) -> int:
        keys = ("num_attention_heads", "n_head", "n_heads", "num_heads")
        return next((self.text[key] for key in keys if key in self.text), 0)

    @property
    def window(self) -> int | None:
        return self.text.get("sliding_window", self.text.get("window_size"))


def sizes(
    channels: int, layers: int, heads: tuple[int, int], ffn: int, vocabulary: int, **more: Any
) -> dict[str, Any]:
    """Keys of config.json; `heads`: of queries, of keys and values."""
    return {
        "hidden_size": channels,
        "num_hidden_layers": layers,
        "num_attention_heads": heads[0],
        "num_key_value_heads": heads[1],
        "intermediate_size": ffn,
        "vocab_size": vocabulary,
        "max_position_embeddings": 512,
        "bos_token_id": 1,
        "eos_token_id": 2,
        **more,
    }


# Three shapes that many families share; the family is the first word of the name.


def five(name: str, **config: Any) -> RandomModel:
    """Five heads that share one key and value."""
    return RandomModel(name, name.partition("-")[0], sizes(80, 3, (5, 1), 127, 251, **config))


def six(name: str, **config: Any) -> RandomModel:
    """Six heads, of which three share a key and a value."""
    return RandomModel(name, name.partition("-")[0], sizes(96, 3, (6, 2), 131, 257, **config))


def seven(name: str, **config: Any) -> RandomModel:
    """Seven heads with keys and values of their own."""
    return RandomModel(name, name.partition("-")[0], sizes(112, 3, (7, 7), 149, 263, **config))


def half(model: RandomModel) -> RandomModel:
    """The same, stored in bfloat16."""
    return replace(model, dtype="bfloat16")


def old(model: RandomModel) -> RandomModel:
    """The same, stored in bfloat16 as before transformers 5."""
    return replace(model, dtype="bfloat16", is_old=True)


def gpt_sizes(
    channels: int, layers: int, heads: int, ffn: int | None, vocabulary: int, **more: Any
) -> dict[str, Any]:
    """The same in the words of GPT-2; as many positions as the longest prompt has."""
    return {
        "n_embd": channels,
        "n_layer": layers,
        "n_head": heads,
        "n_inner": ffn,
        "vocab_size": vocabulary,
        "n_positions": 96,
        "bos_token_id": 1,
        "eos_token_id": 2,
        **more,
    }


LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
LINEAR_ROPE = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}
DYNAMIC_ROPE = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 3.0}
YARN_ROPE = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 32,
}
GROWING_ROPE = YARN_ROPE | {"mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.3}


def longrope(pairs: int, original: int | None = None, **more: Any) -> dict[str, Any]:
    """Factors for each of the rotary pairs. Windows lie on both sides of 32 positions."""
    if original is not None:
        more["original_max_position_embeddings"] = original
    return {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [round(1 + 0.05 * i, 3) for i in range(pairs)],
        "long_factor": [round(1.5 + 0.4 * i, 3) for i in range(pairs)],
        **more,
    }
