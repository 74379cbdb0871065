"""GGUF files of random models of each architecture, as llama.cpp's converter writes them: what it stores
otherwise than transformers is written down here, anew, and the names are those of the gguf package.

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
Rule = Callable[[str, np.ndarray], np.ndarray]


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


@dataclass(frozen=True)
class Case:
    name: str
    config: transformers.PretrainedConfig
    fields: dict[str, Any]  # behind the architecture's name, beside those of all
    rule: Rule = as_it_is
    architecture: str = ""  # where it is not the name
    extra: dict[str, np.ndarray] = field(default_factory=dict)  # tensors that are no weights
    skipped: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return self.architecture or self.name

    def model(self) -> transformers.PreTrainedModel:
        """Of random weights; multiples of 1/1024, to which 1 can be added without rounding."""
        model = transformers.AutoModelForCausalLM.from_config(self.config, dtype=torch.float32)
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for weight in model.parameters():
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


T = transformers
LLAMA3 = T.LlamaConfig(
    **WIDER, rms_norm_eps=1e-6, attention_bias=True,
    rope_parameters={
        "rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
    },
)  # fmt: skip
LONG = {"rope_type": "longrope", "rope_theta": 10000.0, "long_factor": [1.5, 2.0, 3.0, 4.0],
        "short_factor": [1.0, 1.25, 1.5, 1.75], "original_max_position_embeddings": 16}  # fmt: skip
MOE = {"num_experts": EXPERTS, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
MOE_FIELDS = {"expert_count": EXPERTS, "expert_used_count": 2, "expert_feed_forward_length": 24}

CASES = (
    Case(
        "llama", LLAMA3,
        all_fields(**{"rope.freq_base": 500000.0, "rope.dimension_count": 12, "vocab_size": len(TOKENS)},
                   **head_fields(12)),
        permuted, extra={"rope_freqs.weight": llama3_frequencies(LLAMA3)},
    ),
    Case(
        "mixtral", T.MixtralConfig(**GROUPED, num_local_experts=EXPERTS, rms_norm_eps=1e-6, rope_theta=1e6),
        all_fields(**{"rope.freq_base": 1e6, "rope.dimension_count": 8, "expert_count": EXPERTS,
                      "expert_used_count": 2}),
        permuted, "llama",
    ),
    Case("smollm3", T.SmolLM3Config(**GROUPED, rope_theta=10000.0),
         all_fields(**{"rope.dimension_count": 8}), permuted),
    Case("arcee", T.ArceeConfig(**WIDER, rms_norm_eps=1e-6),
         all_fields(**{"rope.dimension_count": 12}, **head_fields(12)), permuted),
    Case(
        "granite",
        T.GraniteConfig(**GROUPED, attention_multiplier=0.25, embedding_multiplier=12.0,
                        residual_multiplier=0.5, logits_scaling=8.0),
        all_fields(**{"attention.scale": 0.25, "embedding_scale": 12.0, "residual_scale": 0.5,
                      "logit_scale": 8.0, "rope.dimension_count": 8}),
        permuted,
    ),
    Case("qwen2", T.Qwen2Config(**GROUPED), all_fields()),
    Case("qwen3", T.Qwen3Config(**WIDER), all_fields(**head_fields(12))),
    Case("qwen3moe", T.Qwen3MoeConfig(**WIDER, **MOE, norm_topk_prob=True),
         all_fields(**head_fields(12), **MOE_FIELDS)),
    Case(
        "qwen2moe", T.Qwen2MoeConfig(**GROUPED, **MOE, shared_expert_intermediate_size=40),
        all_fields(**MOE_FIELDS, expert_shared_feed_forward_length=40),
    ),
    Case("olmoe", T.OlmoeConfig(**GROUPED, num_experts=EXPERTS, num_experts_per_tok=2),
         all_fields(**{"attention.layer_norm_rms_epsilon": 1e-5, "expert_count": EXPERTS,
                       "expert_used_count": 2})),
    Case("seed_oss", T.SeedOssConfig(**WIDER), all_fields(**head_fields(12))),
    Case("olmo2", T.Olmo2Config(**GROUPED), all_fields(**{"attention.layer_norm_rms_epsilon": 1e-5})),
    Case(
        "olmo3",
        T.Olmo3Config(**GROUPED, sliding_window=5, layer_types=["sliding_attention", "full_attention"]),
        all_fields(**{"attention.layer_norm_rms_epsilon": 1e-5, "attention.sliding_window": 5,
                      "attention.sliding_window_pattern": [True, False], "rope.freq_base": 500000.0}),
        architecture="olmo2",
    ),
    Case(
        "phi3", T.Phi3Config(**GROUPED, rope_parameters=LONG, rms_norm_eps=1e-6,
                             original_max_position_embeddings=16),
        all_fields(**{"rope.dimension_count": 8, "rope.scaling.original_context_length": 16,
                      "rope.scaling.attn_factor": (1 + np.log(4) / np.log(16)) ** 0.5,
                      "attention.sliding_window": 0}),
        extra={"rope_factors_long.weight": np.float32(LONG["long_factor"]),
               "rope_factors_short.weight": np.float32(LONG["short_factor"])},
    ),
    Case("gemma", T.GemmaConfig(**WIDER), all_fields(**{"rope.freq_base": None}, **head_fields(12)), plus_one,
         skipped=("lm_head.weight",)),
    Case(
        "gemma2", T.Gemma2Config(**WIDER, query_pre_attn_scalar=12, sliding_window=5,
                                 attn_logit_softcapping=7.0, final_logit_softcapping=3.0),
        all_fields(**{"rope.freq_base": None, "attention.sliding_window": 5, "attn_logit_softcapping": 7.0,
                      "final_logit_softcapping": 3.0}, **head_fields(12)),
        plus_one, skipped=("lm_head.weight",),
    ),
    Case(
        "gemma3", T.Gemma3TextConfig(**WIDER, query_pre_attn_scalar=12, sliding_window=5),
        all_fields(**{"rope.freq_base": 1e6, "attention.sliding_window": 5}, **head_fields(12)), plus_one,
        skipped=("lm_head.weight",),
    ),
    Case("gpt2", T.GPT2Config(**GPT2),
         layer_norms(**{"rope.freq_base": None, "attention.head_count_kv": None,
                        "feed_forward_length": 4 * C}),
         turned, skipped=("lm_head.weight",)),
    Case("starcoder", T.GPTBigCodeConfig(**GPT2), layer_norms(**{"rope.freq_base": None,
         "attention.head_count_kv": 1, "feed_forward_length": 4 * C}), skipped=("lm_head.weight",)),
    Case(
        "bloom",
        T.BloomConfig(vocab_size=len(TOKENS), hidden_size=C, n_layer=LAYERS, n_head=H, bos_token_id=0,
                      eos_token_id=1),
        layer_norms(**{"rope.freq_base": None, "attention.head_count_kv": H, "feed_forward_length": 4 * C}),
        fused_by_head, skipped=("lm_head.weight",),
    ),
    Case(
        "falcon", T.FalconConfig(**COMMON),
        layer_norms(**{"rope.freq_base": None, "attention.head_count_kv": 1, "feed_forward_length": 4 * C,
                       "tensor_data_layout": "jploski"}),
        fused_by_group(1),
        skipped=("lm_head.weight",),
    ),
    Case(
        "falcon-40b", T.FalconConfig(**COMMON, new_decoder_architecture=True, num_kv_heads=G),
        layer_norms(**{"rope.freq_base": None, "feed_forward_length": 4 * C,
                       "tensor_data_layout": "jploski"}),
        fused_by_group(G), "falcon", skipped=("lm_head.weight",),
    ),
    Case(
        "gptneox", T.GPTNeoXConfig(**COMMON, intermediate_size=F, rotary_pct=0.5, use_parallel_residual=True),
        layer_norms(**{"rope.freq_base": None, "attention.head_count_kv": None, "rope.dimension_count": 4,
                       "use_parallel_residual": True}),
        fused_by_head,
    ),
    Case("phi2", T.PhiConfig(**COMMON, intermediate_size=4 * C, partial_rotary_factor=0.5),
         layer_norms(**{"rope.freq_base": None, "attention.head_count_kv": H, "rope.dimension_count": 4,
                        "feed_forward_length": 4 * C})),
    Case(
        "stablelm", T.StableLmConfig(**GROUPED, partial_rotary_factor=0.5, use_qkv_bias=True),
        layer_norms(**{"rope.freq_base": None, "rope.dimension_count": 4, "use_parallel_residual": False}),
    ),
    Case(
        "stablelm-12b",
        T.StableLmConfig(**GROUPED, partial_rotary_factor=0.25, qk_layernorm=True,
                         use_parallel_residual=True),
        layer_norms(**{"rope.freq_base": None, "rope.dimension_count": 2, "use_parallel_residual": True}),
        architecture="stablelm",
    ),
    Case("starcoder2", T.Starcoder2Config(**GROUPED, sliding_window=None), layer_norms()),
    Case(
        "command-r", T.CohereConfig(**GROUPED, logit_scale=0.0625, use_qk_norm=True, rope_theta=10000.0),
        layer_norms(**{"logit_scale": 0.0625, "rope.scaling.type": "none"}), skipped=("lm_head.weight",),
    ),
    Case(
        "cohere2",
        T.Cohere2Config(**WIDER | {"num_hidden_layers": LAYERS}, logit_scale=0.25, sliding_window=5,
                        rope_theta=10000.0, layer_types=["sliding_attention"] * LAYERS),
        layer_norms(**{"logit_scale": 0.25, "rope.scaling.type": "none", "attention.sliding_window": 5,
                       "rope.dimension_count": 12, "vocab_size": len(TOKENS)}, **head_fields(12)),
        skipped=("lm_head.weight",),
    ),
    Case(
        "exaone4",
        T.Exaone4Config(**WIDER, rms_norm_eps=1e-6, sliding_window=5, rope_theta=10000.0,
                        layer_types=["sliding_attention", "full_attention"]),
        all_fields(**{"attention.sliding_window": 5, "attention.sliding_window_pattern": [True, False],
                      "vocab_size": len(TOKENS)}, **head_fields(12)),
    ),
    Case("glm4", T.Glm4Config(**WIDER, rms_norm_eps=1e-6, partial_rotary_factor=0.5, attention_bias=True),
         all_fields(**{"rope.dimension_count": 6}, **head_fields(12))),
    Case("nemotron", T.NemotronConfig(**WIDER, partial_rotary_factor=0.5),
         layer_norms(**{"rope.dimension_count": 6, "rope.scaling.type": "none", "vocab_size": len(TOKENS)},
                     **head_fields(12)), plus_one),
    Case("olmo", T.OlmoConfig(**GROUPED, clip_qkv=0.75),
         layer_norms(**{"attention.clamp_kqv": 0.75}), permuted),
)  # fmt: skip

STACKED = re.compile(r"(\.experts|\.[qk]_layernorm\.norms)\.(\d+)\.")


def gguf_tensors(case: Case, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """By llama.cpp's names; experts and the norms of single heads are stacked."""
    kinds = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
    names = gguf.get_tensor_name_map(kinds[case.kind], LAYERS)
    stacks: dict[str, dict[int, np.ndarray]] = {}
    found = dict(case.extra)
    for name, values in weights.items():
        if name in case.skipped:
            continue
        changed = case.rule(name, values)
        if match := STACKED.search(name):
            merged = name.replace(match[0], match[1].removesuffix(".norms") + ".")
            stacks.setdefault(merged, {})[int(match[2])] = changed
        else:
            found[stored_name(names, case, name)] = np.squeeze(changed)
    for name, parts in stacks.items():
        found[stored_name(names, case, name)] = np.stack([parts[i] for i in range(len(parts))])
    return found


def stored_name(names: gguf.TensorNameMap, case: Case, name: str) -> str:
    known = name.removeprefix("transformer.") if case.name == "bloom" else name
    stored = names.get_name(known, try_suffixes=(".weight", ".bias"))
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
