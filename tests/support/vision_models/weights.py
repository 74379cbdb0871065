"""Random weights for Vision Transformers, and checkpoints by transformers' own save_pretrained.

Activations are of order one and no weight is trivial. One channel is massive: in the class token
and the first register, in one position where there is no class token, or where it is so small that
the epsilon of the first norm decides. In one layer another channel is an outlier.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoConfig, PreTrainedModel

from ..random_models import DTYPES, MASSIVE_CHANNEL, OUTLIER_CHANNEL
from ..random_models.weights import assert_nontrivial, owned_parameters, rename_tensors
from .model import SMALL_CLASS, VisionModel

MASSIVE_PATCH = 1  # of the position table
CLASS_TOKENS = ("cls_token", "class_embedding", "distillation_token")
SIZES = (
    "model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "mlp_ratio", "image_size", "patch_size",
)  # fmt: skip


def make_random(model: VisionModel) -> PreTrainedModel:
    """The module with its random weights, float32, before they are rounded for storage."""
    config = AutoConfig.for_model(model.family, **model.config)
    name, _, without_pooler = model.module.partition(" without ")
    options = {"add_pooling_layer": False} if without_pooler else {}
    module = getattr(transformers, name)(config, **options)
    generator = torch.Generator().manual_seed(model.seed)
    layer_scale = float(model.vision.get("layerscale_value", 1.0))
    with torch.no_grad():
        for owner, name, weight in owned_parameters(module):
            mean, deviation = distribution(owner, name, weight, layer_scale)
            weight.copy_(mean + torch.randn(weight.shape, generator=generator) * deviation)
        set_massive(module, model)
        down_of(blocks_of(module)[1]).weight[OUTLIER_CHANNEL] *= 100
    assert_nontrivial(module)
    return module


def distribution(
    owner: nn.Module, name: str, weight: nn.Parameter, layer_scale: float
) -> tuple[float, float]:
    """Mean and standard deviation of a parameter."""
    kind = type(owner).__name__
    if name.endswith("bias"):
        return 0.0, 0.5
    if "LayerScale" in kind:
        return layer_scale, 0.3 * layer_scale
    if "Norm" in kind:
        return 1.0, 0.2
    if isinstance(owner, nn.Conv2d):
        return 0.0, weight[0].numel() ** -0.5
    if isinstance(owner, nn.Linear) or name == "in_proj_weight":
        return 0.0, weight.shape[1] ** -0.5
    return 0.0, 0.5  # tokens and positions


def encoder_of(module: PreTrainedModel) -> nn.Module:
    """The module that owns the embeddings, the blocks and the final norm."""
    if hasattr(module, "embeddings"):
        return module
    base = module.base_model
    return getattr(base, "vision_tower", getattr(module, "vision_model", base))


def blocks_of(module: PreTrainedModel) -> nn.ModuleList:
    encoder = encoder_of(module)
    inner = getattr(encoder, "encoder", getattr(encoder, "model", encoder))
    return inner.layer if hasattr(inner, "layer") else inner.layers


def down_of(block: nn.Module) -> nn.Module:
    """The last product of a block's MLP."""
    feed_forward = getattr(block, "mlp", None) or block.ffn
    return getattr(feed_forward, "fc2", None) or feed_forward.down_proj


def set_massive(module: PreTrainedModel, model: VisionModel) -> None:
    """The massive channel, before the first block; of patches without a table, behind the last."""
    encoder = encoder_of(module)
    embeddings = encoder.embeddings
    table = table_of(embeddings)
    classes = [getattr(embeddings, name) for name in CLASS_TOKENS if hasattr(embeddings, name)]
    if hasattr(encoder, "pre_layrnorm"):  # which leaves √C of 3000, and at other tokens little
        encoder.pre_layrnorm.weight[MASSIVE_CHANNEL] = 300
        embeddings.patch_embedding.weight[MASSIVE_CHANNEL] *= 1e-3
        table[:, MASSIVE_CHANNEL] *= 1e-3
    if classes and not model.has_small_class:
        classes[0][..., MASSIVE_CHANNEL] = 3000
    elif table is None:
        down_of(blocks_of(module)[-1]).weight[MASSIVE_CHANNEL] *= 3000
    else:
        table[len(classes) + MASSIVE_PATCH, MASSIVE_CHANNEL] = 3000
    if model.has_small_class:
        classes[0].view(-1).copy_(-table[0])
        classes[0] += SMALL_CLASS * torch.randn(
            table.shape[1], generator=torch.Generator().manual_seed(model.seed + 1)
        )
    if model.registers:
        embeddings.register_tokens[0, 0, MASSIVE_CHANNEL] = -3000


def table_of(embeddings: nn.Module) -> torch.Tensor | None:
    """Learned positions [positions, C]."""
    table = getattr(embeddings, "position_embeddings", None)
    if table is not None:
        return table[0]
    embedding = getattr(embeddings, "position_embedding", None)
    return None if embedding is None else embedding.weight


def save(module: PreTrainedModel, model: VisionModel, directory: Path) -> Path:
    """Stores a module as the checkpoint of `model`; proves that it is sharded as asked."""
    module.to(DTYPES[model.dtype]).save_pretrained(directory, max_shard_size=model.shard)
    is_sharded = (directory / "model.safetensors.index.json").exists()
    assert is_sharded == (model.shard != "50GB"), sorted(directory.iterdir())
    rename_tensors(directory, model.names)
    if model.is_published:
        if not is_sharded:
            write_published_tensors(directory / "model.safetensors", model)
        write_published_config(directory / "config.json", model)
    return directory


def write_published_tensors(path: Path, model: VisionModel) -> None:
    """Names as published, where transformers 5 writes others; the buffers that version 4 wrote."""
    tensors = load_file(path)
    if model.family in ("siglip_vision_model", "aimv2_vision_model"):
        tensors = {f"vision_model.{name}": tensor for name, tensor in tensors.items()}
    tensors = {
        name.replace("decoder.decoder_encoder.layer.", "decoder.decoder_layers."): tensor
        for name, tensor in tensors.items()
    }
    if model.family.startswith("clip"):
        for name in [name for name in tensors if name.endswith("position_embedding.weight")]:
            ids = torch.arange(len(tensors[name]))[None]
            tensors[name.replace("position_embedding.weight", "position_ids")] = ids
    save_file(tensors, path, metadata={"format": "pt"})


def write_published_config(path: Path, model: VisionModel) -> None:
    """Keys that have their defaults are left out: of a half all, as transformers 4 did; else all
    but sizes. The dtype has its older name."""
    config = json.loads(path.read_text())
    config["torch_dtype"] = config.pop("dtype")
    defaults = AutoConfig.for_model(model.family).to_dict()
    remove_defaults(config, defaults, kept=SIZES)
    for half in ("vision_config", "text_config"):
        if half in config:
            remove_defaults(config[half], defaults[half])
            if model.family == "clip":
                # OpenAI's have both, where transformers overlooks the former.
                config[f"{half}_dict"] = config[half]
                config[half] = config[half] | {"hidden_act": "relu"}
    path.write_text(json.dumps(config, indent=2))


def remove_defaults(
    config: dict[str, Any], defaults: dict[str, Any], kept: Sequence[str] = ("model_type",)
) -> None:
    for name in [name for name in config if name in defaults and name not in kept]:
        if config[name] == defaults[name]:
            del config[name]
