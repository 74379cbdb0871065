"""Random models of the architectures of GGUF with routed experts: cases of `gguf_architectures`."""

from __future__ import annotations

from typing import Any

import numpy as np
import transformers

from support.gguf_cases import (
    EXPERTS,
    F,
    G,
    GROUPED,
    H,
    LAYERS,
    WIDER,
    C,
    Case,
    Stored,
    all_fields,
    head_fields,
    layer_norms,
    permuted,
)

T = transformers
ROUTED = {
    "n_routed_experts": EXPERTS, "num_experts_per_tok": 2, "moe_intermediate_size": 24,
    "n_shared_experts": 1, "first_k_dense_replace": 1,
}  # fmt: skip
LOCAL = {"num_local_experts": EXPERTS, "num_experts_per_tok": 2}
COUNTED = {"expert_count": EXPERTS, "expert_used_count": 2}
ROUTED_FIELDS = COUNTED | {
    "expert_feed_forward_length": 24, "expert_shared_count": 1, "leading_dense_block_count": 1,
}  # fmt: skip
LATENT = {"kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 6,
          "num_key_value_heads": H}  # fmt: skip
LATENT_FIELDS = ROUTED_FIELDS | {
    "attention.head_count_kv": 1, "attention.kv_lora_rank": 16, "attention.key_length": 20,
    "attention.value_length": 16, "attention.key_length_mla": 12, "attention.value_length_mla": 6,
    "rope.dimension_count": 4,
}  # fmt: skip
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
YARN_FIELDS = {
    "rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 16,
}  # fmt: skip


def shifted(name: str, values: np.ndarray) -> Stored:
    """The shift of scores is called a bias."""
    end = "_correction_bias"
    return {name.replace(end, "_correction.bias"): values} if name.endswith(end) else values


def latent(name: str, values: np.ndarray) -> Stored:
    """Of keys and values out of the latent ones: by head, apart, the keys turned."""
    if not name.endswith("kv_b_proj.weight"):
        return shifted(name, values)
    heads = values.reshape(H, 8 + 6, 16)
    keys, rest = heads[:, :8], heads[:, 8:]
    return {name.replace("kv_b", "k_b"): keys.transpose(0, 2, 1), name.replace("kv_b", "v_b"): rest}


def granite(name: str, values: np.ndarray) -> Stored:
    """A gate and an up are apart, under the names of other models."""
    if "input_linear" not in name:
        return permuted(name, values)
    half = values.shape[-2] // 2
    begin = name.split(".block_sparse_moe")[0].split(".shared_mlp")[0]
    kind = "experts" if "block_sparse_moe" in name else "shared_experts"
    return {
        f"{begin}.mlp.{kind}.gate_proj.weight": values[..., :half, :],
        f"{begin}.mlp.{kind}.up_proj.weight": values[..., half:, :],
    }


def gpt_oss(name: str, values: np.ndarray) -> Stored:
    """Gates and ups take turns in transformers' tensor, which lies with the inputs first."""
    if name.endswith("sinks"):
        return {f"{name}.weight": values}
    if name.endswith("down_proj_bias"):
        return {name.replace("_bias", ".bias"): values}
    if name.endswith("down_proj"):
        return {f"{name}.weight": values.transpose(0, 2, 1)}
    if "gate_up_proj" not in name:
        return values
    is_bias = name.endswith("_bias")
    begin, kind = name.split("gate_up_proj")[0], "bias" if is_bias else "weight"
    rows = values if is_bias else values.transpose(0, 2, 1)
    return {f"{begin}gate_proj.{kind}": rows[:, ::2], f"{begin}up_proj.{kind}": rows[:, 1::2]}


def llama4(name: str, values: np.ndarray) -> Stored:
    if name.endswith("experts.down_proj"):
        return {f"{name}.weight": values.transpose(0, 2, 1)}
    if not name.endswith("gate_up_proj"):
        return values
    gates, ups = np.split(values.transpose(0, 2, 1), 2, axis=1)
    begin = name.removesuffix("gate_up_proj")
    return {f"{begin}gate_proj.weight": gates, f"{begin}up_proj.weight": ups}


def dbrx(name: str, values: np.ndarray) -> Stored:
    if ".experts.mlp." not in name:
        return values
    experts = values.reshape(EXPERTS, -1, C)
    return {f"{name}.weight": experts.transpose(0, 2, 1) if name.endswith("w2") else experts}




def fields_of_yarn(**more: Any) -> dict[str, Any]:
    return YARN_FIELDS | {f"rope.scaling.yarn_{key}": value for key, value in more.items()}


LONG = {
    "rope_type": "longrope", "rope_theta": 10000.0, "long_factor": [1.5, 2.0, 3.0, 4.0],
    "short_factor": [1.0, 1.25, 1.5, 1.75], "original_max_position_embeddings": 16,
    "short_mscale": (1 + np.log(4) / np.log(16)) ** 0.5, "long_mscale": (1 + np.log(4) / np.log(16)) ** 0.5,
}  # fmt: skip
GRANITE = {"attention_multiplier": 0.25, "embedding_multiplier": 12.0, "residual_multiplier": 0.5,
           "logits_scaling": 8.0}  # fmt: skip
GRANITE_FIELDS = COUNTED | {
    "attention.scale": 0.25, "embedding_scale": 12.0, "residual_scale": 0.5, "logit_scale": 8.0,
    "rope.dimension_count": 8,
}  # fmt: skip

EXPERT_CASES = (
    Case(
        "deepseek2",
        T.DeepseekV2Config(
            **GROUPED | ROUTED | LATENT, q_lora_rank=None, routed_scaling_factor=2.5,
            rope_parameters=YARN | {"rope_theta": 10000.0, "mscale": 0.707, "mscale_all_dim": 0.707},
        ),
        all_fields(**LATENT_FIELDS, **fields_of_yarn(log_multiplier=0.0707), expert_weights_scale=2.5),
        latent,
    ),
    Case(
        "deepseek2-whole",
        T.DeepseekV2Config(**GROUPED | ROUTED | LATENT, q_lora_rank=20, n_group=1, topk_group=1),
        all_fields(**LATENT_FIELDS | {
            "attention.head_count_kv": H, "attention.key_length": 12, "attention.value_length": 6,
            "attention.key_length_mla": None, "attention.value_length_mla": None,
            "attention.q_lora_rank": 20, "expert_weights_scale": 1.0}),
        architecture="deepseek2",
    ),
    Case(
        "deepseek3",
        T.DeepseekV3Config(
            **GROUPED | ROUTED | LATENT | {"n_routed_experts": 4}, q_lora_rank=20, n_group=2, topk_group=1,
            norm_topk_prob=True, routed_scaling_factor=2.5,
        ),
        all_fields(**LATENT_FIELDS | {
            "attention.q_lora_rank": 20, "expert_count": 4, "expert_group_count": 2,
            "expert_group_used_count": 1, "expert_gating_func": 2, "expert_weights_norm": True,
            "expert_weights_scale": 2.5, "vocab_size": 6}),
        latent, "deepseek2",
    ),
    Case(
        "glm4moe",
        T.Glm4MoeConfig(**WIDER | ROUTED, attention_bias=True, use_qk_norm=True, partial_rotary_factor=0.5,
                        rms_norm_eps=1e-6, norm_topk_prob=True, routed_scaling_factor=1.5),
        all_fields(**ROUTED_FIELDS, **head_fields(12), **{
            "rope.dimension_count": 6, "expert_gating_func": 2, "expert_weights_norm": True,
            "expert_weights_scale": 1.5, "block_count": LAYERS + 1, "nextn_predict_layers": 1}),
        shifted, extra={f"blk.{LAYERS}.nextn.enorm.weight": np.ones(C, np.float32)},
    ),
    Case(
        "dots1", T.Dots1Config(**WIDER | ROUTED, norm_topk_prob=True, sliding_window=None),
        all_fields(**ROUTED_FIELDS, **head_fields(12), expert_weights_norm=True, expert_weights_scale=1.0,
                   expert_gating_func=2),
        shifted,
    ),
    Case(
        "ernie4_5-moe",
        T.Ernie4_5_MoeConfig(**GROUPED, moe_num_experts=EXPERTS, moe_k=2, moe_intermediate_size=24,
                             moe_num_shared_experts=2, moe_layer_start_index=1, rms_norm_eps=1e-6,
                             rope_theta=10000.0),
        all_fields(**ROUTED_FIELDS | {
            "expert_shared_count": 2, "interleave_moe_layer_step": 1,
            "expert_shared_feed_forward_length": F // G}),
        shifted, skipped=("lm_head.weight",),
    ),
    Case(
        "minimax-m2",
        T.MiniMaxM2Config(**WIDER | LOCAL, rms_norm_eps=1e-6,
                          rope_parameters={"rope_type": "default", "rope_theta": 10000.0,
                                           "partial_rotary_factor": 0.5}),
        all_fields(**COUNTED, **head_fields(12), **{
            "rope.dimension_count": 6, "expert_feed_forward_length": F, "expert_gating_func": 2}),
        shifted,
    ),
    Case(
        "hunyuan-moe", T.HunYuanMoEV1Config(**WIDER, num_experts=EXPERTS, moe_topk=2, rms_norm_eps=1e-6),
        all_fields(**COUNTED, **head_fields(12), expert_feed_forward_length=F, expert_shared_count=1,
                   expert_shared_feed_forward_length=F),
    ),
    Case("granitemoe", T.GraniteMoeConfig(**GROUPED | LOCAL | GRANITE), all_fields(**GRANITE_FIELDS),
         granite),
    Case(
        "granitemoe-shared",
        T.GraniteMoeSharedConfig(**GROUPED | LOCAL | GRANITE, shared_intermediate_size=40),
        all_fields(**GRANITE_FIELDS, expert_shared_feed_forward_length=40), granite, "granitemoe",
    ),
    Case(
        "gpt-oss",
        T.GptOssConfig(
            **WIDER | LOCAL, sliding_window=5, rms_norm_eps=1e-6,
            layer_types=["sliding_attention", "full_attention"],
            rope_parameters=YARN | {"rope_theta": 150000.0, "beta_fast": 32.0, "beta_slow": 1.0,
                                    "truncate": False},
        ),
        all_fields(**COUNTED, **head_fields(12), **fields_of_yarn(beta_fast=32.0, beta_slow=1.0), **{
            "rope.freq_base": 150000.0, "attention.sliding_window": 5, "expert_feed_forward_length": F}),
        gpt_oss,
    ),
    Case(
        "gpt-oss-unscaled",
        T.GptOssConfig(**WIDER | LOCAL, sliding_window=5, rms_norm_eps=1e-6,
                       layer_types=["sliding_attention", "full_attention"],
                       rope_parameters={"rope_type": "default", "rope_theta": 10000.0}),
        all_fields(**COUNTED, **head_fields(12), **{
            "attention.sliding_window": 5, "expert_feed_forward_length": F}),
        gpt_oss, "gpt-oss",
    ),
    Case(
        "llama4",
        T.Llama4TextConfig(**WIDER, num_local_experts=EXPERTS, num_experts_per_tok=1,
                           intermediate_size_mlp=40, interleave_moe_layer_step=2, rms_norm_eps=1e-6,
                           rope_theta=500000.0),
        all_fields(**head_fields(12), **{
            "feed_forward_length": 40, "expert_feed_forward_length": F, "expert_count": EXPERTS,
            "expert_used_count": 1, "interleave_moe_layer_step": 2, "rope.freq_base": 500000.0,
            "rope.dimension_count": 12, "vocab_size": 6}),
        llama4,
    ),
    Case(
        "phimoe",
        T.PhimoeConfig(**GROUPED | LOCAL, rope_parameters=LONG, attention_bias=True, lm_head_bias=True,
                       rms_norm_eps=1e-6),
        all_fields(**COUNTED, **{
            "rope.dimension_count": 8, "rope.scaling.original_context_length": 16,
            "rope.scaling.attn_factor": LONG["long_mscale"], "attention.sliding_window": 0}),
        extra={"rope_factors_long.weight": np.float32(LONG["long_factor"]),
               "rope_factors_short.weight": np.float32(LONG["short_factor"])},
    ),
    Case(
        "phimoe-fused", T.PhimoeConfig(**GROUPED | LOCAL, rms_norm_eps=1e-6, rope_theta=10000.0),
        all_fields(**COUNTED, **{"rope.dimension_count": 8, "attention.sliding_window": 0}),
        architecture="phimoe", is_fused=True,
    ),
    Case(
        "dbrx",
        T.DbrxConfig(
            d_model=C, n_heads=H, n_layers=LAYERS, max_seq_len=64, vocab_size=6, bos_token_id=0,
            eos_token_id=1,
            attn_config={"kv_n_heads": G, "clip_qkv": 0.75, "rope_theta": 10000.0},
            ffn_config={"hidden_size": C, "ffn_hidden_size": 24, "moe_num_experts": EXPERTS, "moe_top_k": 2},
        ),
        layer_norms(**COUNTED, **{"feed_forward_length": 24, "attention.clamp_kqv": 0.75}), dbrx,
    ),
)  # fmt: skip
