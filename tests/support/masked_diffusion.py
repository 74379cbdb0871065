"""LLaDA and Dream: checkpoints as they are published, of modules of transformers that have their
mathematics.

transformers has no class of theirs. LLaDA is its Llama, Dream its Qwen2, both with a mask that hides
nothing; the names of tensors and keys are those of the published files.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from .double_precision import in_precision_of
from .random_models import RandomModel, make_random, save
from .random_models.model import LINEAR_ROPE, five, half, seven, six
from .splitmix import splitmix64
from .transformers_oracle import BothPrecisions, Oracle, Pass

MASK_ID = 9
RELATIVES = {"llada": "llama", "Dream": "qwen2"}  # types of transformers
MODELS = (
    five("llada-5over1", rms_norm_eps=1e-5),
    six("llada-6over2-biases-tied", attention_bias=True, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 500000.0}),
    half(seven("llada-7over7-bfloat16", rms_norm_eps=1e-3)),
    five("Dream-5over1", rms_norm_eps=1e-5),
    six("Dream-6over2-linear-tied", tie_word_embeddings=True, rope_parameters=LINEAR_ROPE),
    half(seven("Dream-7over7-bfloat16", rms_norm_eps=1e-3)),
)  # fmt: skip
LAYER_NAMES = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ff_norm",
    "self_attn.q_proj": "q_proj", "self_attn.k_proj": "k_proj", "self_attn.v_proj": "v_proj",
    "self_attn.o_proj": "attn_out", "mlp.gate_proj": "ff_proj", "mlp.up_proj": "up_proj",
    "mlp.down_proj": "ff_out",
}  # fmt: skip
OTHER_NAMES = {
    "model.embed_tokens": "model.transformer.wte", "model.norm": "model.transformer.ln_f",
    "lm_head": "model.transformer.ff_out",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Directories:
    """One model twice."""

    published: Path
    relative: Path  # as transformers' relative


def make(model: RandomModel, folder: Path) -> Directories:
    relative = dataclasses.replace(model, family=RELATIVES[model.family])
    module = make_random(relative)
    if model.family == "llada" and model.config.get("attention_bias"):
        for block in module.model.layers:  # LLaDA's output projection has none
            block.self_attn.o_proj.bias.data.zero_()
    directory = save(module, relative, folder / "relative")
    published = folder / "published"
    shutil.copytree(directory, published)
    if model.family == "llada":
        publish_llada(published)
    else:
        config = json.loads((published / "config.json").read_text())
        config |= {"model_type": "Dream", "mask_token_id": MASK_ID, "use_mrope": False}
        (published / "config.json").write_text(json.dumps(config))
    return Directories(published, directory)


def publish_llada(directory: Path) -> None:
    path = directory / "model.safetensors"
    tensors = load_file(path)
    named = {published_name(name): tensor for name, tensor in tensors.items()}
    named.pop("model.transformer.blocks.0.attn_out.bias", None)
    named = {name: tensor for name, tensor in named.items() if not name.endswith("attn_out.bias")}
    save_file(named, path, {"format": "pt"})
    theirs = json.loads((directory / "config.json").read_text())
    config = {
        "model_type": "llada", "architectures": ["LLaDAModelLM"], "d_model": theirs["hidden_size"],
        "n_heads": theirs["num_attention_heads"], "n_kv_heads": theirs["num_key_value_heads"],
        "n_layers": theirs["num_hidden_layers"], "mlp_hidden_size": theirs["intermediate_size"],
        "vocab_size": theirs["vocab_size"], "embedding_size": theirs["vocab_size"],
        "max_sequence_length": theirs["max_position_embeddings"], "activation_type": "silu",
        "rms_norm_eps": theirs["rms_norm_eps"], "weight_tying": theirs["tie_word_embeddings"],
        "rope_theta": theirs["rope_parameters"]["rope_theta"], "include_bias": False,
        "include_qkv_bias": theirs["attention_bias"], "mask_token_id": MASK_ID,
        "block_type": "llama", "layer_norm_type": "rms", "layer_norm_with_affine": True,
        "bias_for_layer_norm": False, "attention_layer_norm": False, "input_emb_norm": False,
        "scale_logits": False, "alibi": False, "rope": True, "rope_full_precision": True,
        "multi_query_attention": None, "mlp_ratio": 4, "block_group_size": 1,
        "flash_attention": False, "precision": "amp_bf16",
    }  # fmt: skip
    (directory / "config.json").write_text(json.dumps(config))


def published_name(name: str) -> str:
    parts = name.split(".")
    if parts[1] == "layers":
        inner = ".".join(parts[3:-1])
        return f"model.transformer.blocks.{parts[2]}.{LAYER_NAMES[inner]}.{parts[-1]}"
    return f"{OTHER_NAMES['.'.join(parts[:-1])]}.{parts[-1]}"


def masked(ids: np.ndarray, first: int, ratio: float, seed: int) -> np.ndarray:
    """The ids of corpus tokens from `first` on, with masks at their places."""
    places = [splitmix64(seed, first + i) / 2**64 < ratio for i in range(len(ids))]
    return np.where(places, MASK_ID, ids)


class UnmaskedOracle(Oracle):
    """Every query sees every key."""

    @torch.no_grad()
    def run(self, ids: np.ndarray) -> Pass:
        nothing = torch.zeros(1, 1, len(ids), len(ids), dtype=self._dtype)
        with in_precision_of(self._dtype):
            self.module.base_model(self._begin(ids), attention_mask=nothing, use_cache=False)
        return Pass(torch.stack(self._layers).numpy(), self._routings)


class UnmaskedPrecisions(BothPrecisions):
    def __init__(self, directory: Path) -> None:
        self.exact = UnmaskedOracle(directory, torch.float64)
        self.single = UnmaskedOracle(directory)
