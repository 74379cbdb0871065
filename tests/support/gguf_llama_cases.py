"""Random models of the architectures of GGUF of Llama's shape that have something of their own: cases of
`gguf_architectures`."""

from __future__ import annotations

import numpy as np
import transformers

from support.gguf_cases import (
    EXPERTS,
    F,
    G,
    GROUPED,
    H,
    LAYERS,
    MOE,
    MOE_FIELDS,
    WIDER,
    C,
    Case,
    Stored,
    all_fields,
    head_fields,
    layer_norms,
    permuted,
)
from support.gguf_expert_cases import COUNTED, YARN, fields_of_yarn

T = transformers
GLM = {"partial_rotary_factor": 0.5, "attention_bias": True, "rms_norm_eps": 1e-6}
GLM_FIELDS = head_fields(12) | {"rope.dimension_count": 6}
GEMMA4 = {
    **{name: value for name, value in GROUPED.items() if name != "num_hidden_layers"},
    "head_dim": 8, "global_head_dim": 16, "sliding_window": 5,
}  # fmt: skip
GEMMA4_FIELDS = {
    "attention.key_length": 16, "attention.value_length": 16, "attention.key_length_swa": 8,
    "attention.value_length_swa": 8, "attention.sliding_window": 5, "rope.freq_base": 1e6,
    "rope.freq_base_swa": 10000.0, "rope.dimension_count": 16, "rope.dimension_count_swa": 8,
}  # fmt: skip
TURNED = {"rope_freqs.weight": np.repeat(np.float32([1, 1e30]), [2, 6])}  # a quarter of 16 channels


def gemma4(name: str, values: np.ndarray) -> Stored:
    """Scales of the router and of experts stand beside the matrices that they scale."""
    others = {"router.scale": "router.proj.scale", "router.per_expert_scale": "experts.down_proj.scale"}
    for ours, theirs in others.items():
        if name.endswith(ours):
            return {name.replace(ours, theirs): values}
    if name.endswith(("experts.down_proj", "experts.gate_up_proj", "layer_scalar")):
        return {f"{name}.weight": values}
    return values


def permuted_alike(name: str, values: np.ndarray) -> np.ndarray:
    """As `permuted`, of as many keys as queries."""
    return permuted(name.replace("k_proj", "q_proj"), values)


def without_numbers(name: str, values: np.ndarray) -> Stored:
    """The activation's are no tensors of the file."""
    return {} if "act_fn" in name else values


def xielu_fields(weights: dict[str, np.ndarray]) -> dict[str, list[float]]:
    """The numbers of the activation, which llama.cpp keeps among the fields."""
    return {
        f"xielu.{which}": [
            float(weights[f"model.layers.{n}.mlp.act_fn.{which}"].reshape(())) for n in range(LAYERS)
        ]
        for which in ("alpha_n", "alpha_p", "beta", "eps")
    }


SECTIONS = {"rope.dimension_sections": [2, 1, 1, 0]}

LLAMA_CASES = (
    Case(
        "apertus", T.ApertusConfig(**GROUPED, rms_norm_eps=1e-6, rope_theta=10000.0,
                                   rope_parameters={"rope_type": "default", "rope_theta": 10000.0}),
        all_fields(**{"rope.dimension_count": 8, "vocab_size": 6}), without_numbers, fields_of=xielu_fields,
    ),
    Case("ernie4_5", T.Ernie4_5Config(**WIDER, rms_norm_eps=1e-6, rope_theta=10000.0),
         all_fields(**head_fields(12)), skipped=("lm_head.weight",)),
    Case("hunyuan-dense", T.HunYuanDenseV1Config(**WIDER, rms_norm_eps=1e-6),
         all_fields(**head_fields(12), **{"rope.scaling.type": "none", "rope.scaling.factor": 1.0})),
    Case("chatglm", T.GlmConfig(**WIDER, **GLM), all_fields(**GLM_FIELDS)),
    Case("chatglm-fused", T.GlmConfig(**WIDER, **GLM), all_fields(**GLM_FIELDS), architecture="chatglm",
         is_fused=True),
    Case("mistral3", T.LlamaConfig(**WIDER, rms_norm_eps=1e-6), all_fields(**head_fields(12), **{
        "rope.dimension_count": 12}), permuted),
    Case(
        "ministral3",
        T.Ministral3Config(
            **WIDER, rms_norm_eps=1e-6, sliding_window=None,
            rope_parameters=YARN | {"rope_theta": 1e6, "beta_fast": 32.0, "beta_slow": 1.0, "mscale": 1.0,
                                    "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.25},
        ),
        all_fields(**head_fields(12), **fields_of_yarn(log_multiplier=1.0, beta_fast=32.0, beta_slow=1.0), **{
            "rope.freq_base": 1e6, "rope.dimension_count": 12, "attention.temperature_scale": 0.25}),
        permuted, "mistral3",
    ),
    Case("internlm2", T.LlamaConfig(**GROUPED, rms_norm_eps=1e-6), all_fields(), permuted),
    Case("xverse", T.LlamaConfig(**GROUPED | {"num_key_value_heads": H}, rms_norm_eps=1e-6),
         all_fields(**{"attention.head_count_kv": H, "rope.dimension_count": 8}), permuted_alike),
    Case("exaone", T.LlamaConfig(**GROUPED, rms_norm_eps=1e-6), all_fields(**{"rope.dimension_count": 8})),
    Case(
        "minicpm",
        T.GraniteConfig(**GROUPED, attention_multiplier=8**-0.5, embedding_multiplier=12.0,
                        residual_multiplier=0.25, logits_scaling=8.0),
        all_fields(**{"embedding_scale": 12.0, "residual_scale": 0.25, "logit_scale": 8.0,
                      "rope.dimension_count": 8}),
        permuted,
    ),
    Case("qwen2vl", T.Qwen2Config(**GROUPED), all_fields(**SECTIONS)),
    Case("qwen3vl", T.Qwen3Config(**WIDER), all_fields(**SECTIONS, **head_fields(12), n_deepstack_layers=1)),
    Case("qwen3vlmoe", T.Qwen3MoeConfig(**WIDER, **MOE, norm_topk_prob=True),
         all_fields(**SECTIONS, **head_fields(12), **MOE_FIELDS)),
    Case(
        "gemma4-experts",
        T.Gemma4TextConfig(
            **GEMMA4, num_global_key_value_heads=1, attention_k_eq_v=True, enable_moe_block=True,
            num_experts=EXPERTS, top_k_experts=2, moe_intermediate_size=24, hidden_size_per_layer_input=0,
            num_hidden_layers=2, final_logit_softcapping=3.0,
        ),
        all_fields(**GEMMA4_FIELDS | COUNTED, **{
            "attention.head_count_kv": [G, 1], "expert_feed_forward_length": 24,
            "final_logit_softcapping": 3.0, "attention.sliding_window_pattern": [True, False]}),
        gemma4, "gemma4", extra=TURNED, skipped=("lm_head.weight",),
    ),
    Case(
        "gemma4-shared",
        T.Gemma4TextConfig(
            **GEMMA4, hidden_size_per_layer_input=8, vocab_size_per_layer_input=6, num_kv_shared_layers=2,
            use_double_wide_mlp=True, num_hidden_layers=4,
            layer_types=["sliding_attention", "full_attention"] * 2,
        ),
        all_fields(**GEMMA4_FIELDS, **{
            "block_count": 4, "feed_forward_length": [F, F, 2 * F, 2 * F], "attention.shared_kv_layers": 2,
            "embedding_length_per_layer_input": 8,
            "attention.sliding_window_pattern": [True, False, True, False]}),
        gemma4, "gemma4", skipped=("lm_head.weight",),
        extra=TURNED | {"blk.3.attn_k.weight": np.ones((G * 16, C), np.float32)},  # which no layer uses
    ),
    Case(
        "mpt",
        T.MptConfig(d_model=C, n_heads=H, n_layers=LAYERS, max_seq_len=64, vocab_size=6, bos_token_id=0,
                    eos_token_id=1, attn_config={"clip_qkv": 0.75, "alibi_bias_max": 4}),
        layer_norms(**{"feed_forward_length": 4 * C, "attention.clamp_kqv": 0.75, "rope.freq_base": None,
                       "attention.max_alibi_bias": 4.0, "attention.head_count_kv": None}),
        skipped=("lm_head.weight",),
    ),
)  # fmt: skip
