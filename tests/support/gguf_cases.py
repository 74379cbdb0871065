"""GGUF files of random models, as llama.cpp's converter writes them: what it stores otherwise than
transformers is written down here, anew, and the names are those of the gguf package.

A case has a model of transformers, the fields of its file, and the rule of each tensor.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
import transformers
from safetensors.numpy import load_file

from support.gguf_files import TOKENIZER, TOKENS, write_value

C, H, G, F, LAYERS, POSITIONS, EXPERTS = 32, 4, 2, 48, 2, 64, 3
COMMON = {
    "vocab_size": len(TOKENS), "hidden_size": C, "num_hidden_layers": LAYERS, "num_attention_heads": H,
    "max_position_embeddings": POSITIONS, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": None,
}  # fmt: skip
GROUPED = COMMON | {"num_key_value_heads": G, "intermediate_size": F}
WIDER = GROUPED | {"head_dim": 12}
GPT2 = {
    "vocab_size": len(TOKENS), "n_embd": C, "n_layer": LAYERS, "n_head": H, "n_positions": POSITIONS,
    "n_inner": 4 * C, "bos_token_id": 0, "eos_token_id": 1,
}  # fmt: skip
# What the file has in a tensor's place; of several tensors, or of one under another name, by the names that
# the gguf package's tables know.
Stored = np.ndarray | dict[str, np.ndarray]
MOE = {"num_experts": EXPERTS, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
MOE_FIELDS = {"expert_count": EXPERTS, "expert_used_count": 2, "expert_feed_forward_length": 24}
Rule = Callable[[str, np.ndarray], Stored]


def permuted(name: str, values: np.ndarray) -> np.ndarray:
    """Rotary's halves of queries and keys interleaved."""
    heads = {"q_proj": H, "k_proj": G}.get(name.split(".")[-2])
    if heads is None:
        return values
    halves = values.reshape(heads, 2, len(values) // heads // 2, *values.shape[1:])
    return halves.swapaxes(1, 2).reshape(values.shape)


def plus_one(name: str, values: np.ndarray) -> np.ndarray:
    return values + 1 if name.endswith("norm.weight") else values


def turned(name: str, values: np.ndarray) -> np.ndarray:
    return values.T.copy() if re.search(r"\.(c_attn|c_proj|c_fc)\.weight", name) else values


def fused_by_head(name: str, values: np.ndarray) -> np.ndarray:
    """[H, 3, D] -> [3, H, D]"""
    if "query_key_value" not in name:
        return values
    return values.reshape(H, 3, C // H, *values.shape[1:]).swapaxes(0, 1).reshape(values.shape)


def fused_by_group(groups: int) -> Rule:
    def rule(name: str, values: np.ndarray) -> np.ndarray:
        if "query_key_value" not in name:
            return values
        parts = values.reshape(groups, H // groups + 2, C // H, C)
        kinds = parts[:, :-2], parts[:, -2:-1], parts[:, -1:]
        return np.concatenate([kind.reshape(-1, C) for kind in kinds])

    return rule


def as_it_is(name: str, values: np.ndarray) -> np.ndarray:
    return values


def shifts_of(model: transformers.PreTrainedModel) -> list[torch.Tensor]:
    """Weights that transformers calls buffers."""
    return [
        buffer
        for name, buffer in model.named_buffers()
        if name.endswith(("e_score_correction_bias", "layer_scalar"))
    ]


@dataclass(frozen=True)
class Case:
    name: str
    config: transformers.PretrainedConfig
    fields: dict[str, Any]  # behind the architecture's name, beside those of all
    rule: Rule = as_it_is
    architecture: str = ""  # where it is not the name
    extra: dict[str, np.ndarray] = field(default_factory=dict)  # tensors that are no weights
    skipped: tuple[str, ...] = ()
    # Fields that the file has in place of weights, by their whole names.
    fields_of: Callable[[dict[str, np.ndarray]], dict[str, Any]] = lambda weights: {}
    auto: Any = transformers.AutoModelForCausalLM
    # Of models that transformers has no class of: their type, and their names for a relative's tensors.
    published: str = ""
    published_name: Callable[[str], str] = lambda name: name
    is_fused: bool = False  # queries, keys and values stand in one tensor of the file
    rounded: tuple[str, ...] = ()  # ends of names of tensors that the file has through a logarithm

    @property
    def kind(self) -> str:
        return self.architecture or self.name

    def model(self) -> transformers.PreTrainedModel:
        """Of random weights; multiples of 1/1024, to which 1 can be added without rounding."""
        model = self.auto.from_config(self.config, dtype=torch.float32)
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for weight in [*model.parameters(), *shifts_of(model)]:
                values = 0.2 * torch.randn(weight.shape, generator=generator)
                weight.copy_(torch.round(values * 1024) / 1024)
        return model.eval()


def all_fields(**more: Any) -> dict[str, Any]:
    """That the converter writes of any decoder; None leaves one out."""
    fields = {
        "block_count": LAYERS, "context_length": POSITIONS, "embedding_length": C, "feed_forward_length": F,
        "attention.head_count": H, "attention.head_count_kv": G, "rope.freq_base": 10000.0,
        "attention.layer_norm_rms_epsilon": 1e-6,
    }  # fmt: skip
    return {name: value for name, value in (fields | more).items() if value is not None}


def layer_norms(**more: Any) -> dict[str, Any]:
    names = {"attention.layer_norm_rms_epsilon": None, "attention.layer_norm_epsilon": 1e-5}
    return all_fields(**names | more)


def head_fields(width: int) -> dict[str, int]:
    return {"attention.key_length": width, "attention.value_length": width}


def llama3_frequencies(config: transformers.PretrainedConfig) -> np.ndarray:
    """By how much transformers' own Llama divides each frequency."""
    inverse, _ = transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    parameters = config.rope_parameters
    places = torch.arange(0, config.head_dim, 2, dtype=torch.float64) / config.head_dim
    plain = parameters["rope_theta"] ** -places
    return (plain / inverse.to(torch.float64)).float().numpy()


STACKED = re.compile(r"(\.experts|\.[qk]_layernorm\.norms)\.(\d+)\.")


def gguf_tensors(case: Case, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """By llama.cpp's names; experts and the norms of single heads are stacked."""
    kinds = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
    names = gguf.get_tensor_name_map(kinds[case.kind], case.config.num_hidden_layers)
    stacks: dict[str, dict[int, np.ndarray]] = {}
    found = dict(case.extra)
    for name, values in weights.items():
        if name in case.skipped:
            continue
        changed = case.rule(name, values)
        if match := STACKED.search(name):
            assert isinstance(changed, np.ndarray)
            merged = name.replace(match[0], match[1].removesuffix(".norms") + ".")
            merged = re.sub(r"^backbone(.*)mixer\.experts", r"model\1mlp.experts", merged)
            stacks.setdefault(merged, {})[int(match[2])] = changed
            continue
        for part, array in changed.items() if isinstance(changed, dict) else [(name, np.squeeze(changed))]:
            found[stored_name(names, case, part)] = array
    for name, parts in stacks.items():
        found[stored_name(names, case, name)] = np.stack([parts[i] for i in range(len(parts))])
    return fused(found) if case.is_fused else found


def fused(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rows of queries, keys and values one after the other."""
    found = dict(tensors)
    for name in [name for name in tensors if ".attn_q." in name]:
        parts = [found.pop(name.replace("attn_q", which)) for which in ("attn_q", "attn_k", "attn_v")]
        found[name.replace("attn_q", "attn_qkv")] = np.concatenate(parts)
    return found


def stored_name(names: gguf.TensorNameMap, case: Case, name: str) -> str:
    known = name.removeprefix("transformer.") if case.name == "bloom" else name
    stored = names.get_name(known, try_suffixes=(".weight", ".bias", ".scale"))
    assert stored is not None, name
    return stored


def is_packed(name: str, values: np.ndarray) -> bool:
    """Matrices are stored in fewer bits, norms and what does not fill blocks of 32 are not."""
    return values.ndim > 1 and not name.endswith("_norm.weight") and values.shape[-1] % 32 == 0


def write_case(
    case: Case, folder: Path, stored: str = "F32", tokenizer: Mapping[str, Any] | None = None
) -> tuple[Path, Path]:
    """The checkpoint that transformers saves, and the GGUF file of it, its matrices of a type of gguf."""
    kind = gguf.GGMLQuantizationType[stored]
    original, path = folder / "original", folder / "m.gguf"
    case.model().save_pretrained(original)
    weights = load_file(original / "model.safetensors")
    writer = gguf.GGUFWriter(path, case.kind)
    fields = {f"{case.kind}.{name}": value for name, value in case.fields.items()}
    fields |= case.fields_of(weights)
    for key, value in (TOKENIZER | fields | dict(tokenizer or {})).items():
        write_value(writer, key, float(value) if isinstance(value, np.floating) else value)
    for name, values in gguf_tensors(case, weights).items():
        if stored != "F32" and is_packed(name, values):
            writer.add_tensor(name, gguf.quantize(values.astype(np.float32), kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return original, path
