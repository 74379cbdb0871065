"""Families whose routers have sigmoid scores, a selection bias, groups or factors: GLM-4.5, dots,
MiniMax-M2, ERNIE.
"""

from __future__ import annotations

from .model import LINEAR_ROPE, YARN_ROPE, RandomModel, five, sizes

SIGMOID_ROUTERS = (
    five(
        "glm4_moe-5over1-2of6-first-dense", n_routed_experts=6, num_experts_per_tok=2,
        moe_intermediate_size=44, first_k_dense_replace=1, routed_scaling_factor=1.7,
    ),
    RandomModel(
        "glm4_moe-6over3-head20-3of12-2of3groups-normed-biases-bfloat16",
        "glm4_moe",
        sizes(
            96, 4, (6, 3), 131, 257, head_dim=20, n_routed_experts=12, num_experts_per_tok=3,
            moe_intermediate_size=35, first_k_dense_replace=2, n_group=3, topk_group=2,
            use_qk_norm=True, attention_bias=True, routed_scaling_factor=2.5, n_shared_experts=2,
            rope_parameters=LINEAR_ROPE | {"partial_rotary_factor": 0.4},
        ),
        dtype="bfloat16",
        seed=1,
    ),
    RandomModel(
        "glm4_moe-4over2-3of8-1of2groups-tied-stacked",
        "glm4_moe",
        sizes(
            88, 3, (4, 2), 113, 241, head_dim=24, n_routed_experts=8, num_experts_per_tok=3,
            moe_intermediate_size=28, first_k_dense_replace=0, n_group=2, topk_group=1,
            norm_topk_prob=False, tie_word_embeddings=True, rope_parameters=YARN_ROPE,
        ),
        is_stacked=True,
    ),
    five(
        "dots1-5over1-2of6-first-dense", n_routed_experts=6, num_experts_per_tok=2,
        n_shared_experts=1, moe_intermediate_size=44, first_k_dense_replace=1,
        routed_scaling_factor=2.5, norm_topk_prob=True, max_window_layers=3,
    ),
    RandomModel(
        "dots1-6over2-head20-3of8-1of2groups-windows13-biases-stacked",
        "dots1",
        sizes(
            96, 4, (6, 2), 131, 257, head_dim=20, n_routed_experts=8, num_experts_per_tok=3,
            n_shared_experts=2, moe_intermediate_size=37, n_group=2, topk_group=1,
            sliding_window=13, max_window_layers=2, attention_bias=True,
        ),
        is_stacked=True,
    ),
    RandomModel(
        "dots1-7over7-4of9-2of3groups-tied-bfloat16",
        "dots1",
        sizes(
            112, 3, (7, 7), 113, 241, n_routed_experts=9, num_experts_per_tok=4,
            n_shared_experts=1, moe_intermediate_size=28, first_k_dense_replace=1, n_group=3,
            topk_group=2, norm_topk_prob=True, sliding_window=None, tie_word_embeddings=True,
            rope_parameters=LINEAR_ROPE,
        ),
        dtype="bfloat16",
    ),
    five(
        "minimax_m2-5over1-head16-2of6", intermediate_size=44, head_dim=16, num_local_experts=6,
        num_experts_per_tok=2,
    ),
    RandomModel(
        "minimax_m2-6over2-head20-3of8-rotary10",
        "minimax_m2",
        sizes(
            92, 3, (6, 2), 53, 257, head_dim=20, num_local_experts=8, num_experts_per_tok=3,
            rotary_dim=10, rms_norm_eps=1e-5,
        ),
    ),
    RandomModel(
        "minimax_m2-3over3-head24-1of5-yarn-tied-bfloat16",
        "minimax_m2",
        sizes(
            84, 3, (3, 3), 36, 241, head_dim=24, num_local_experts=5, num_experts_per_tok=1,
            tie_word_embeddings=True, rope_parameters=YARN_ROPE,
        ),
        dtype="bfloat16",
    ),
    five(
        "ernie4_5_moe-5over1-2of6-untied", moe_num_experts=6, moe_k=2, moe_intermediate_size=44,
        moe_num_shared_experts=2, tie_word_embeddings=False,
    ),
    RandomModel(
        "ernie4_5_moe-6over3-head20-3of8-every-second-biases-least-sum",
        "ernie4_5_moe",
        sizes(
            96, 4, (6, 3), 131, 257, head_dim=20, moe_num_experts=8, moe_k=3,
            moe_intermediate_size=35, moe_num_shared_experts=0, moe_layer_interval=2,
            moe_norm_min=0.9, use_bias=True, tie_word_embeddings=False,
        ),
    ),
    RandomModel(
        "ernie4_5_moe-4over2-4of9-last-dense-tied-bfloat16",
        "ernie4_5_moe",
        sizes(
            88, 4, (4, 2), 113, 241, moe_num_experts=9, moe_k=4, moe_intermediate_size=28,
            moe_num_shared_experts=1, moe_layer_end_index=2, use_bias=True,
        ),
        dtype="bfloat16",
    ),
)  # fmt: skip
