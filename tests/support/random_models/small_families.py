"""Families that are few models each: Helium, BioGPT, Phi-3.5-MoE, Hunyuan-A13B, DBRX; and Mixtral and
MiniMax-M2 with their experts stacked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .model import LINEAR_ROPE, YARN_ROPE, RandomModel, five, half, longrope, old, seven, six, sizes

MAGNITUDES = {"short_mscale": 1.1, "long_mscale": 1.3}


def biogpt_sizes(channels: int, heads: int, ffn: int, vocabulary: int, **more: Any) -> dict[str, Any]:
    """As many positions as the longest prompt has."""
    keys = sizes(channels, 3, (heads, heads), ffn, vocabulary, max_position_embeddings=96)
    del keys["num_key_value_heads"]
    return keys | more


def dbrx_sizes(
    channels: int, heads: tuple[int, int], vocabulary: int, experts: dict[str, Any], **attention: Any
) -> dict[str, Any]:
    """transformers takes the base of rotary positions from `rope_parameters`, published files have it
    beside the clip."""
    return {
        "d_model": channels, "n_layers": 3, "n_heads": heads[0], "vocab_size": vocabulary,
        "max_seq_len": 512, "ffn_config": experts,
        "attn_config": {"kv_n_heads": heads[1], "rope_theta": 10000.0} | attention,
    }  # fmt: skip


def stacked(model: RandomModel) -> RandomModel:
    return replace(model, is_stacked=True)


SMALL_FAMILIES = (
    five("helium-5over1", head_dim=16),
    six("helium-6over2-biases-linear-tied", head_dim=16, attention_bias=True, mlp_bias=True,
        tie_word_embeddings=True, rms_norm_eps=1e-3, rope_parameters=LINEAR_ROPE),
    old(seven("helium-7over7-yarn-bfloat16-old", head_dim=16, rope_parameters=YARN_ROPE)),
    RandomModel("biogpt-5-tied", "biogpt", biogpt_sizes(80, 5, 127, 251)),
    RandomModel(
        "biogpt-6-unscaled-relu",
        "biogpt",
        biogpt_sizes(96, 6, 131, 257, scale_embedding=False, hidden_act="relu",
                     tie_word_embeddings=False),
    ),
    RandomModel(
        "biogpt-7-untied-bfloat16",
        "biogpt",
        biogpt_sizes(112, 7, 149, 263, tie_word_embeddings=False, layer_norm_eps=1e-3),
        dtype="bfloat16",
    ),
    replace(
        five("phimoe-5over1-of6-wide-band", intermediate_size=44, num_local_experts=6,
             router_jitter_noise=0.3, attention_bias=True, lm_head_bias=True),
        seed=3,
    ),
    stacked(six(
        "phimoe-6over2-of5-window16-other-magnitudes-tied-stacked", intermediate_size=36,
        num_local_experts=5, router_jitter_noise=0.2, sliding_window=16, rms_norm_eps=1e-3,
        tie_word_embeddings=True, max_position_embeddings=1024,
        rope_parameters=longrope(8, 512, **MAGNITUDES),
    )),
    half(seven(
        "phimoe-7over7-of4-long-magnitude-bfloat16", intermediate_size=28, num_local_experts=4,
        lm_head_bias=True,  # one list of factors: transformers 5.23 takes the short one always
        rope_parameters=longrope(8, 32, **MAGNITUDES) | {"long_factor": longrope(8)["short_factor"]},
    )),
    five("hunyuan_v1_moe-5over1-head24-2of6", intermediate_size=44, head_dim=24, num_experts=6,
         moe_topk=2),
    stacked(six(
        "hunyuan_v1_moe-6over2-head16-3of5-biases-tied-stacked", intermediate_size=36, head_dim=16,
        num_experts=5, moe_topk=[3, 3, 3], attention_bias=True, tie_word_embeddings=True,
        rms_norm_eps=1e-3,
    )),
    half(seven("hunyuan_v1_moe-7over7-head16-1of4-linear-bfloat16", intermediate_size=28, head_dim=16,
               num_experts=4, moe_topk=1, rope_parameters=LINEAR_ROPE)),
    RandomModel(
        "dbrx-5over1-2of6-clipped",
        "dbrx",
        dbrx_sizes(80, (5, 1), 251, {"ffn_hidden_size": 44, "moe_num_experts": 6, "moe_top_k": 2},
                   clip_qkv=1.5),
    ),
    RandomModel(
        "dbrx-6over2-3of5-unnormed-gelu",
        "dbrx",
        dbrx_sizes(96, (6, 2), 257, {
            "ffn_hidden_size": 35, "moe_num_experts": 5, "moe_top_k": 3,
            "moe_normalize_expert_weights": None, "ffn_act_fn": {"name": "gelu"},
        }, clip_qkv=2),
    ),
    RandomModel(
        "dbrx-7over7-1of4-linear-bfloat16",
        "dbrx",
        dbrx_sizes(112, (7, 7), 263, {"ffn_hidden_size": 28, "moe_num_experts": 4, "moe_top_k": 1},
                   clip_qkv=100.0)
        | {"rope_parameters": LINEAR_ROPE},
        dtype="bfloat16",
    ),
    stacked(five("mixtral-5over1-2of4-stacked", intermediate_size=44, num_local_experts=4)),
    stacked(six("minimax_m2-6over2-head20-2of5-stacked", intermediate_size=36, head_dim=20,
                num_local_experts=5, num_experts_per_tok=2)),
)  # fmt: skip
