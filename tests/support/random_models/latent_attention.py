"""Families of latent attention: DeepSeek-V2 and V3, GLM-4.7-Flash.

Values are narrower than queries and keys, as wide, or wider.
"""

from __future__ import annotations

from typing import Any

from .model import LINEAR_ROPE, YARN_ROPE, RandomModel, sizes

MAGNITUDES = {"mscale": 0.7, "mscale_all_dim": 1.3}


def latent(
    channels: int, layers: int, heads: int, widths: tuple[int, int, int], **more: Any
) -> dict[str, Any]:
    """`widths` of a head: channels that are not rotated, that are, and of values."""
    plain, rotated, value = widths
    return sizes(
        channels, layers, (heads, heads), 113, 251, qk_nope_head_dim=plain, qk_rope_head_dim=rotated,
        v_head_dim=value, **more,
    )  # fmt: skip


LATENT_ATTENTION = (
    RandomModel(
        "deepseek_v2-5-lite-2of6-first-dense",
        "deepseek_v2",
        latent(
            80, 3, 5, (12, 8, 10), q_lora_rank=None, kv_lora_rank=28, n_routed_experts=6,
            num_experts_per_tok=2, n_shared_experts=2, moe_intermediate_size=36,
            first_k_dense_replace=1, rope_parameters=YARN_ROPE | MAGNITUDES,
        ),
    ),
    RandomModel(
        "deepseek_v2-6-3of9-2of3groups-biases-bfloat16",
        "deepseek_v2",
        latent(
            96, 3, 6, (10, 6, 15), q_lora_rank=37, kv_lora_rank=24, n_routed_experts=9,
            num_experts_per_tok=3, n_shared_experts=1, moe_intermediate_size=28, n_group=3,
            topk_group=2, topk_method="group_limited_greedy", routed_scaling_factor=2.5,
            attention_bias=True, mlp_bias=True,
        ),
        dtype="bfloat16",
    ),
    RandomModel(
        "deepseek_v2-4-2of8-values-wider-tied-stacked",
        "deepseek_v2",
        latent(
            88, 3, 4, (8, 10, 24), q_lora_rank=31, kv_lora_rank=40, n_routed_experts=8,
            num_experts_per_tok=2, n_shared_experts=1, moe_intermediate_size=35,
            first_k_dense_replace=2, tie_word_embeddings=True, rope_parameters=LINEAR_ROPE,
        ),
        is_stacked=True,
    ),
    RandomModel(
        "deepseek_v3-5-3of8-1of2groups-first-dense-yarn",
        "deepseek_v3",
        latent(
            80, 3, 5, (12, 8, 10), q_lora_rank=33, kv_lora_rank=28, n_routed_experts=8,
            num_experts_per_tok=3, moe_intermediate_size=36, n_group=2, topk_group=1,
            first_k_dense_replace=1, rope_parameters=YARN_ROPE | MAGNITUDES,
        ),
    ),
    RandomModel(
        "deepseek_v3-6-4of12-2of3groups-halves-biases-bfloat16",
        "deepseek_v3",
        latent(
            96, 3, 6, (9, 6, 15), q_lora_rank=None, kv_lora_rank=23, n_routed_experts=12,
            num_experts_per_tok=4, moe_intermediate_size=28, n_group=3, topk_group=2,
            first_k_dense_replace=0, rope_interleave=False, attention_bias=True,
            rms_norm_eps=1e-5, n_shared_experts=2,
        ),
        dtype="bfloat16",
    ),
    RandomModel(
        "deepseek_v3-3-2of6-values-wider-tied-stacked",
        "deepseek_v3",
        latent(
            84, 3, 3, (7, 10, 24), q_lora_rank=31, kv_lora_rank=40, n_routed_experts=6,
            num_experts_per_tok=2, moe_intermediate_size=35, n_group=1, topk_group=1,
            first_k_dense_replace=2, norm_topk_prob=False, routed_scaling_factor=1.0,
            tie_word_embeddings=True,
        ),
        is_stacked=True,
    ),
    RandomModel(
        "glm4_moe_lite-5-2of6-yarn",
        "glm4_moe_lite",
        latent(
            80, 3, 5, (12, 8, 20), q_lora_rank=33, kv_lora_rank=28, n_routed_experts=6,
            num_experts_per_tok=2, moe_intermediate_size=36, rope_parameters=YARN_ROPE | MAGNITUDES,
        ),
    ),
    RandomModel(
        "glm4_moe_lite-6-3of8-1of2groups-last-dense-halves-bfloat16",
        "glm4_moe_lite",
        latent(
            96, 3, 6, (9, 6, 13), q_lora_rank=37, kv_lora_rank=23, n_routed_experts=8,
            num_experts_per_tok=3, moe_intermediate_size=28, n_group=2, topk_group=1,
            mlp_layer_types=["sparse", "sparse", "dense"], rope_interleave=False,
            attention_bias=True,
        ),
        dtype="bfloat16",
    ),
    RandomModel(
        "glm4_moe_lite-4-1of5-tied",
        "glm4_moe_lite",
        latent(
            88, 3, 4, (7, 10, 24), q_lora_rank=None, kv_lora_rank=40, n_routed_experts=5,
            num_experts_per_tok=1, moe_intermediate_size=35, tie_word_embeddings=True,
            n_shared_experts=2,
        ),
        seed=3,
    ),
)  # fmt: skip
