"""Random checkpoints of the families, written by transformers' own save_pretrained.

Their weights are scaled so that activations are of order one, and none is trivial: norms and biases
are random too, rows of the embedding hold massive values, one layer has an outlier channel.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

MASSIVE_IDS = (3, 5)  # their embedding has a value of +3000 or -3000
SMALL_ID = 6  # its embedding is so small that the epsilon of the first norm decides
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

    @property
    def vocabulary(self) -> int:
        return self.config["vocab_size"]

    @property
    def heads(self) -> int:
        return self.config["num_attention_heads"]

    @property
    def window(self) -> int | None:
        return self.config.get("sliding_window")


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


LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
LINEAR_ROPE = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}

# Head counts that 2, 3 and 4 do not divide, feed-forward and vocabulary sizes that none divides.
MODELS = (
    RandomModel(
        "llama-5over1-tied", "llama", sizes(80, 3, (5, 1), 127, 251, tie_word_embeddings=True)
    ),
    RandomModel(
        "llama-7over7-biases-sharded",
        "llama",
        sizes(112, 3, (7, 7), 149, 263, attention_bias=True, mlp_bias=True),
        shard="100KB",
    ),
    RandomModel(
        "llama-6over2-head24-llama3-bfloat16",
        "llama",
        sizes(96, 3, (6, 2), 131, 257, head_dim=24, rope_parameters=LLAMA3_ROPE),
        dtype="bfloat16",
        is_old=True,
    ),
    RandomModel(
        "llama-9over3-linear-float16-tied",
        "llama",
        sizes(
            144, 3, (9, 3), 211, 307, rope_parameters=LINEAR_ROPE, tie_word_embeddings=True,
            rms_norm_eps=1e-5,
        ),
        dtype="float16",
        is_old=True,
    ),
    RandomModel(
        "mistral-10over5-window16", "mistral", sizes(80, 3, (10, 5), 131, 251, sliding_window=16)
    ),
    RandomModel(
        "mistral-6over3-head20-window17-bfloat16-sharded",
        "mistral",
        sizes(96, 3, (6, 3), 163, 269, head_dim=20, sliding_window=17),
        dtype="bfloat16",
        shard="60KB",
    ),
    RandomModel(
        "mistral-3over1-unwindowed", "mistral", sizes(48, 4, (3, 1), 89, 239, sliding_window=None)
    ),
    RandomModel(
        "qwen2-7over1-tied", "qwen2", sizes(112, 3, (7, 1), 149, 263, tie_word_embeddings=True)
    ),
    RandomModel(
        "qwen2-4over2-upper-window13",
        "qwen2",
        sizes(
            80, 4, (4, 2), 113, 257, use_sliding_window=True, max_window_layers=2,
            sliding_window=13,
        ),
        is_old=True,
    ),
    RandomModel(
        "qwen2-14over2-theta1e6-float16-sharded",
        "qwen2",
        sizes(
            140, 3, (14, 2), 197, 271,
            rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        ),
        dtype="float16",
        shard="150KB",
    ),
)


def make_random(model: RandomModel) -> PreTrainedModel:
    """The module with its random weights, float32, before they are rounded for storage."""
    module = AutoModelForCausalLM.from_config(AutoConfig.for_model(model.family, **model.config))
    generator = torch.Generator().manual_seed(model.seed)

    def normal(tensor: torch.Tensor, std: float) -> torch.Tensor:
        return torch.randn(tensor.shape, generator=generator) * std

    with torch.no_grad():
        for name, weight in module.named_parameters():
            if name.endswith("bias"):
                weight.copy_(normal(weight, 0.5))
            elif weight.dim() == 1:  # a norm
                weight.copy_(1 + normal(weight, 0.2))
            elif name.endswith("embed_tokens.weight"):
                weight.copy_(normal(weight, 1.0))
            else:
                weight.copy_(normal(weight, weight.shape[1] ** -0.5))
        embedding = module.get_input_embeddings().weight
        embedding[MASSIVE_IDS[0], MASSIVE_CHANNEL] = 3000.0
        embedding[MASSIVE_IDS[1], MASSIVE_CHANNEL] = -3000.0
        embedding[SMALL_ID] *= 1e-3
        module.model.layers[1].mlp.down_proj.weight[OUTLIER_CHANNEL] *= 100
        if module.config.tie_word_embeddings:  # logits of order one, as an untied head gives them
            module.model.norm.weight *= model.config["hidden_size"] ** -0.5
            module.model.norm.weight[MASSIVE_CHANNEL] = 1e-4
    return module


EXACT = RandomModel(
    "exact", "llama", sizes(48, 3, (3, 1), 37, 101, attention_bias=True, rms_norm_eps=1e-5)
)
ZERO_ID, TIED_IDS, BOUND_ID, INFINITE_ID = 10, (11, 12), 13, 9


def make_exact(*, overflows: bool = False) -> PreTrainedModel:
    """EXACT: a model whose residual stream has the same bits in any micro-batch and at any m.

    Each output of a projection is one product, and attention adds its bias alone: no order of
    additions matters. So a captured prompt is bitwise the stream that the sweep measured. Its
    embedding has what selections stumble over: ties within a row and between rows, a median of 0,
    values that reach a bound exactly.
    With `overflows` one id has an infinite value, and the last block overflows at many tokens.
    """
    module = make_random(EXACT)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for block in module.model.layers:
            block.self_attn.o_proj.weight.zero_()
            for projection in (block.mlp.gate_proj, block.mlp.up_proj, block.mlp.down_proj):
                keep_one_in_each_row(projection.weight, generator)
        embedding = module.get_input_embeddings().weight
        embedding[ZERO_ID] = 0
        embedding[ZERO_ID, MASSIVE_CHANNEL] = 1500
        embedding[MASSIVE_IDS[0], OUTLIER_CHANNEL] = 650
        for row in TIED_IDS:
            embedding[row] = 2.5
            embedding[row, ::2] = -2.5
        embedding[BOUND_ID] = 1.5
        embedding[BOUND_ID, MASSIVE_CHANNEL : MASSIVE_CHANNEL + 2] = torch.tensor([1500.0, 6.0])
        if overflows:
            embedding[INFINITE_ID, 4] = torch.inf
            mlp = module.model.layers[-1].mlp
            row = mlp.down_proj.weight[OUTLIER_CHANNEL]
            mlp.up_proj.weight[row != 0] *= 8
            row.copy_(3e38 * (row != 0))
    return module


def keep_one_in_each_row(weight: torch.Tensor, generator: torch.Generator) -> None:
    """Sets all but one entry of each row to 0, and that one to order one."""
    column = torch.randint(weight.shape[1], (weight.shape[0], 1), generator=generator)
    kept = weight.gather(1, column) * weight.shape[1] ** 0.5
    weight.zero_().scatter_(1, column, kept)


def save(module: PreTrainedModel, model: RandomModel, directory: Path) -> Path:
    """Stores a module as the checkpoint of `model`; proves that it is sharded as asked."""
    module.to(DTYPES[model.dtype]).save_pretrained(directory, max_shard_size=model.shard)
    is_sharded = (directory / "model.safetensors.index.json").exists()
    assert is_sharded == (model.shard != "50GB"), sorted(directory.iterdir())
    if model.is_old:
        write_old_config(directory / "config.json")
    return directory


def write_old_config(path: Path) -> None:
    """Most published checkpoints have it: rotary positions in two keys, windows without a list."""
    config = json.loads(path.read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    if rope["rope_type"] == "linear":
        rope["type"] = rope.pop("rope_type")
    config["rope_scaling"] = None if rope.get("rope_type") == "default" else rope
    config["torch_dtype"] = config.pop("dtype")
    config.pop("layer_types", None)
    path.write_text(json.dumps(config, indent=2))
