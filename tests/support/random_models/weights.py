"""Random weights for every family, and checkpoints by transformers' own save_pretrained.

Activations are of order one and no weight is trivial: norms and biases are random too, rows of the
embedding hold massive values, one layer has an outlier channel. What a weight is follows from the
class of the module that owns it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForMaskedLM,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.pytorch_utils import Conv1D

from .model import (
    DTYPES,
    MASSIVE_CHANNEL,
    MASSIVE_IDS,
    OUTLIER_CHANNEL,
    SMALL_ID,
    SMALL_POSITIONS,
    RandomModel,
)

DOWN_PROJECTIONS = (
    "mlp.experts.down_proj", "mlp.shared_expert.down_proj", "mlp.shared_experts.down_proj",
    "mlp.down_proj", "mlp.c_proj", "mlp.fc2", "fc2", "mlp.dense_4h_to_h", "ffn.down_proj", "mlp.Wo",
    "feed_forward.experts.down_proj", "feed_forward.shared_expert.down_proj", "feed_forward.down_proj",
    "mlp.fc_out", "block_sparse_moe.experts.down_proj", "shared_mlp.output_linear",
    "feed_forward.w2", "mixer.down_proj", "mixer.experts.down_proj", "mixer.out_proj",
    "mixer.shared_experts.down_proj", "mlp.shared_mlp.down_proj", "ffn.experts.mlp.w2",
)  # fmt: skip


ENCODERS = ("bert", "roberta", "xlm-roberta", "modernbert", "eurobert")
IN_OUT_EXPERTS = ("GptOssExperts", "Llama4TextExperts")
CORRECTION, SELECTION_BIAS = "e_score_correction_bias", 0.1


def make_random(model: RandomModel) -> PreTrainedModel:
    """The module with its random weights, float32, before they are rounded for storage."""
    # transformers completes rotary parameters in place.
    config = AutoConfig.for_model(model.family, **copy.deepcopy(dict(model.config)))
    module = auto_class(config).from_config(config)
    generator = torch.Generator().manual_seed(model.seed)
    with torch.no_grad():
        for owner, name, weight in owned_parameters(module):
            mean, deviation = distribution(module, owner, name, weight)
            noise = torch.randn(weight.shape, generator=generator) * deviation
            weight.copy_(mean + noise if mean else noise)
        for _, buffer in selection_biases(module):
            buffer.copy_(torch.randn(buffer.shape, generator=generator) * SELECTION_BIAS)
        set_embeddings(module)
        set_xielu(module)
        set_gemma4(module)
        set_outlier(module)
        is_tied = getattr(module.config, "tie_word_embeddings", False)
        if is_tied and model.family not in ENCODERS:
            shrink_logits(module)
    assert_nontrivial(module)
    return module


def auto_class(config: PreTrainedConfig) -> type:
    """What transformers makes a module of with a language model's head."""
    if config.model_type in ENCODERS:
        return AutoModelForMaskedLM
    is_wrapped = config.get_text_config() is not config
    return AutoModelForImageTextToText if is_wrapped else AutoModelForCausalLM


def owned_parameters(module: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Parameter]]:
    """Each parameter once, with the module that holds it, in the order of named_parameters."""
    seen: set[int] = set()
    for owner in module.modules():
        for name, weight in owner.named_parameters(recurse=False):
            if id(weight) not in seen:
                seen.add(id(weight))
                yield owner, name, weight


def selection_biases(module: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """What routers add to the scores that they choose experts by; in most families a buffer."""
    return [(name, buffer) for name, buffer in module.named_buffers() if name.endswith(CORRECTION)]


def xielu_numbers(module: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """beta and epsilon of each xIELU: buffers that a checkpoint holds."""
    names = (".act_fn.beta", ".act_fn.eps")
    return [(name, buffer) for name, buffer in module.named_buffers() if name.endswith(names)]


def layer_scalars(module: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """By what Gemma 4 multiplies the stream behind each layer: buffers that a checkpoint holds."""
    return [(name, buffer) for name, buffer in module.named_buffers() if name.endswith("layer_scalar")]


def distribution(
    module: PreTrainedModel, owner: nn.Module, name: str, weight: nn.Parameter
) -> tuple[float, float]:
    """Mean and standard deviation of a parameter."""
    kind = type(owner).__name__
    if name == CORRECTION:
        return 0.0, SELECTION_BIAS
    if name.endswith("bias"):
        return 0.0, 0.5
    if name == "sinks":
        return 0.0, 1.0
    if name == "A_log":
        return -3.0, 1.5
    if isinstance(owner, nn.Embedding):
        is_token = owner is module.get_input_embeddings()
        return 0.0, 1 / embedding_scale(module) if is_token else 0.5
    if name in ("scale", "per_expert_scale"):  # of Gemma 4's router
        return 1.0, 0.2
    if "Norm" in kind:
        return (0.0 if adds_one(owner) else 1.0), 0.2
    if "Router" in kind:  # well separated logits
        return 0.0, 2 * weight.shape[1] ** -0.5
    if isinstance(owner, Conv1D):
        return 0.0, weight.shape[0] ** -0.5
    if kind in IN_OUT_EXPERTS:  # [experts, in, out]
        return 0.0, weight.shape[1] ** -0.5
    return 0.0, weight.shape[-1] ** -0.5


def adds_one(norm: nn.Module) -> bool:
    """Whether a norm multiplies by 1 + its weight."""
    kind = type(norm).__name__
    is_gemma = "Gemma" in kind and "Gemma4" not in kind
    return is_gemma or "LayerNorm1P" in kind or kind in ("Qwen3NextRMSNorm", "Qwen3_5RMSNorm", "Qwen3_5MoeRMSNorm")


def embedding_scale(module: PreTrainedModel) -> float:
    """What the model multiplies its embeddings by."""
    embedding = module.get_input_embeddings()
    return float(getattr(embedding, "scalar_embed_scale", getattr(embedding, "embed_scale", 1.0)))


def decoder_of(module: PreTrainedModel) -> nn.Module:
    """The module that owns the embeddings, the blocks and the final norm."""
    base = module.base_model
    model = getattr(base, "language_model", getattr(base, "text_model", base))
    if hasattr(model, "lm_head"):  # of Llama 4, whose head is its language model's own
        model = model.model
    return getattr(model, "decoder", getattr(model, "encoder", model))


def blocks_of(module: PreTrainedModel) -> nn.ModuleList:
    """Those that text passes: Llama 3.2 Vision's others attend to images."""
    decoder = decoder_of(module)
    names = ("layers", "h", "blocks", "layer")
    blocks = next(getattr(decoder, name) for name in names if hasattr(decoder, name))
    return nn.ModuleList(block for block in blocks if not hasattr(block, "cross_attn"))


def set_embeddings(module: PreTrainedModel) -> None:
    """The massive rows and the small ones."""
    embedding = module.get_input_embeddings().weight
    massive = 3000.0 / embedding_scale(module)
    embedding[MASSIVE_IDS[0], MASSIVE_CHANNEL] = massive
    embedding[MASSIVE_IDS[1], MASSIVE_CHANNEL] = -massive
    embedding[SMALL_ID] *= 1e-3
    decoder = decoder_of(module)
    tables = getattr(module.base_model, "embeddings", decoder)  # of an encoder, of a decoder
    for name, owner in tables.named_children():
        is_table = isinstance(owner, nn.Embedding) and "type" not in name
        if is_table and owner is not module.get_input_embeddings():
            offset = getattr(owner, "offset", getattr(tables, "padding_idx", -1) + 1)
            owner.weight[[offset + position for position in SMALL_POSITIONS]] *= 1e-3
    norm = getattr(decoder, "word_embeddings_layernorm", None)
    if norm is not None:  # of a massive row the norm leaves the root of the channels
        embedding[np.setdiff1d(np.arange(len(embedding)), MASSIVE_IDS), MASSIVE_CHANNEL] *= 1e-3
        norm.weight[MASSIVE_CHANNEL] = 300
    if getattr(decoder, "project_in", None) is not None:  # OPT: keep it in one channel
        decoder.project_in.weight[:, MASSIVE_CHANNEL] *= 1e-3
        decoder.project_in.weight[MASSIVE_CHANNEL, MASSIVE_CHANNEL] = 1.0


def set_xielu(module: PreTrainedModel) -> None:
    """beta and epsilon other than the module's own constants, and in each layer others."""
    for number, (name, buffer) in enumerate(xielu_numbers(module)):
        buffer.fill_((0.375 + 0.125 * number) if name.endswith("beta") else -0.0625)


def set_gemma4(module: PreTrainedModel) -> None:
    """Well separated logits, of rows divided by the root of the channels; a factor of each layer."""
    for part in module.modules():
        if type(part).__name__ == "Gemma4TextRouter":
            part.proj.weight *= 2 * part.hidden_size**0.5
    for number, (_, buffer) in enumerate(layer_scalars(module)):
        buffer.fill_(0.75 + 0.125 * number)


def set_outlier(module: PreTrainedModel) -> None:
    """One channel of the second block's feed-forward output, 100 times the others."""
    block = blocks_of(module)[1]
    norm = getattr(block, "post_feedforward_layernorm", None)
    if norm is None and module.config.model_type in ENCODERS and hasattr(block, "output"):
        norm = block.output.LayerNorm
    if norm is not None:  # behind a norm an outlier of the product would only shrink the others
        norm.weight[OUTLIER_CHANNEL] = 99 if adds_one(norm) else 100
        return
    found = 0
    for path in DOWN_PROJECTIONS:
        owner: object = blocks_of(module)[1]
        for name in path.split("."):
            parent, owner = owner, getattr(owner, name, None)
        if owner is None:
            continue
        found += 1
        weight = owner if isinstance(owner, nn.Parameter) else owner.weight
        is_transposed = (
            isinstance(owner, Conv1D)
            or type(parent).__name__ in IN_OUT_EXPERTS
            or module.config.model_type == "dbrx"
        )
        if is_transposed:
            weight[..., OUTLIER_CHANNEL] *= 100
        else:
            weight[..., OUTLIER_CHANNEL, :] *= 100
    assert found, f"{type(module).__name__}: no down projection among {DOWN_PROJECTIONS}"


def shrink_logits(module: PreTrainedModel) -> None:
    """Logits of order one from a tied embedding, as an untied head gives them."""
    decoder = decoder_of(module)
    scale = embedding_scale(module) / module.config.get_text_config().hidden_size ** 0.5
    if getattr(decoder, "project_out", None) is not None:
        weight = decoder.project_out.weight
        weight *= weight.shape[0] ** -0.5
        weight[MASSIVE_CHANNEL] *= 1e-3
        return
    norm = [child for child in decoder.children() if "Norm" in type(child).__name__][-1]
    added = 1 if adds_one(norm) else 0
    norm.weight.copy_((norm.weight + added) * scale - added)
    smallest = 2**-8 if embedding_scale(module) > 1 else 2**-12  # a massive row is as much larger
    norm.weight[MASSIVE_CHANNEL] = smallest - 1 if added else 1e-4
    if getattr(norm, "bias", None) is not None:
        norm.bias *= scale
        norm.bias[MASSIVE_CHANNEL] = 1e-4


def assert_nontrivial(module: nn.Module) -> None:
    """No entry is zero, and none of the tensors repeats one value."""
    for name, weight in module.named_parameters():
        assert torch.isfinite(weight).all() and (weight != 0).all(), name
        assert weight.numel() <= 1 or weight.std() > 0, name


def save(module: PreTrainedModel, model: RandomModel, directory: Path) -> Path:
    """Stores a module as the checkpoint of `model`; proves that it is sharded as asked."""
    biases = [(name, bias.clone()) for name, bias in selection_biases(module)]
    module.to(DTYPES[model.dtype])
    for name, bias in biases:  # float32 in every publication
        module.get_submodule(name.rpartition(".")[0]).register_buffer(CORRECTION, bias)
    module.save_pretrained(
        directory, max_shard_size=model.shard, save_original_format=not model.is_stacked
    )
    is_sharded = (directory / "model.safetensors.index.json").exists()
    assert is_sharded == (model.shard != "50GB"), sorted(directory.iterdir())
    rename_tensors(directory, model.names)
    if model.is_exchanged:
        exchange_axes(directory)
    if model.is_flat:
        write_flat_config(directory / "config.json")
    if model.is_old:
        write_old_config(directory / "config.json", model)
    return directory


def rename_tensors(directory: Path, names: Mapping[str, str]) -> None:
    """The beginnings of tensors' names, the first that fits each."""

    def renamed(name: str) -> str:
        start = next((start for start in names if name.startswith(start)), "")
        return names.get(start, "") + name.removeprefix(start)

    if not names:
        return
    for path in directory.glob("*.safetensors"):
        tensors = {renamed(name): tensor for name, tensor in load_file(path).items()}
        save_file(tensors, path, {"format": "pt"})
    index = directory / "model.safetensors.index.json"
    if index.exists():
        content = json.loads(index.read_text())
        content["weight_map"] = {renamed(name): file for name, file in content["weight_map"].items()}
        index.write_text(json.dumps(content))


def exchange_axes(directory: Path) -> None:
    """As Qwen3-VL-MoE was published: [experts, in, out]."""
    for path in directory.glob("*.safetensors"):
        tensors = load_file(path)
        for name, tensor in tensors.items():
            tensors[name] = tensor.mT.contiguous() if ".experts." in name else tensor
        save_file(tensors, path, {"format": "pt"})


def write_flat_config(path: Path) -> None:
    """As Qwen2-VL and Qwen2.5-VL were published."""
    config = json.loads(path.read_text())
    text = config.pop("text_config")
    rope = text.pop("rope_parameters")
    rope["type"] = rope.pop("rope_type").replace("default", "mrope")
    text |= {"rope_theta": rope.pop("rope_theta"), "rope_scaling": rope}
    path.write_text(json.dumps({**text, **config}))


def write_old_config(path: Path, model: RandomModel) -> None:
    """Most published checkpoints have it: rotary positions in two keys, windows without a list."""
    config, family = json.loads(path.read_text()), model.family
    if family.startswith("gemma4"):  # whose sizes of full layers' heads stand by layer now
        del config["per_layer_config"]
        path.write_text(json.dumps({**config, **model.config}))
        return
    rope = config.pop("rope_parameters")
    is_nested = "full_attention" in rope  # Gemma 3, where transformers overlooks the key "type"
    if is_nested:
        config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        config["sliding_window_pattern"] = config["layer_types"].index("full_attention") + 1
        rope = rope["full_attention"]
    config["rotary_emb_base" if family == "gpt_neox" else "rope_theta"] = rope.pop("rope_theta")
    if "partial_rotary_factor" in rope:
        key = "rotary_pct" if family == "gpt_neox" else "partial_rotary_factor"
        config[key] = rope.pop("partial_rotary_factor")
    if "original_max_position_embeddings" in config:
        rope.pop("original_max_position_embeddings", None)
    if rope["rope_type"] in ("linear", "longrope") and not is_nested:
        rope["type"] = rope.pop("rope_type")
    config["rope_scaling"] = None if rope.get("rope_type") == "default" else rope
    if family == "gemma":
        config["hidden_act"] = "gelu"  # which means the tanh form
    config["torch_dtype"] = config.pop("dtype")
    config.pop("layer_types", None)
    path.write_text(json.dumps(config, indent=2))
