"""Families of routed experts.

Some expert widths are multiples of 4, which transformers' default experts ask for on CPUs; the
oracle's eager ones do not.
"""

from __future__ import annotations

from .model import LINEAR_ROPE, YARN_ROPE, RandomModel, five, six, sizes

SLIDING, FULL = "sliding_attention", "full_attention"

ROUTED_EXPERTS = (
    five("mixtral-5over1-2of5", intermediate_size=44, num_local_experts=5, num_experts_per_tok=2),
    RandomModel(
        "mixtral-6over2-head20-1of4-window16",
        "mixtral",
        sizes(
            92, 3, (6, 2), 53, 257, num_local_experts=4, num_experts_per_tok=1, head_dim=20,
            sliding_window=16,
        ),
    ),
    RandomModel(
        "mixtral-3over3-3of7-tied-bfloat16-old",
        "mixtral",
        sizes(
            84, 3, (3, 3), 36, 241, num_local_experts=7, num_experts_per_tok=3,
            tie_word_embeddings=True, rms_norm_eps=1e-6,
        ),
        dtype="bfloat16",
        is_old=True,
    ),
    five(
        "qwen2_moe-5over1-2of6", num_experts=6, num_experts_per_tok=2, moe_intermediate_size=44,
        shared_expert_intermediate_size=52,
    ),
    RandomModel(
        "qwen2_moe-6over3-3of5-every-second-renormed-windows13-unbiased-old",
        "qwen2_moe",
        sizes(
            96, 4, (6, 3), 131, 257, num_experts=5, num_experts_per_tok=3, norm_topk_prob=True,
            moe_intermediate_size=35, shared_expert_intermediate_size=53, decoder_sparse_step=2,
            qkv_bias=False, use_sliding_window=True, sliding_window=13, max_window_layers=3,
        ),
        is_old=True,
    ),
    RandomModel(
        "qwen2_moe-4over2-4of9-first-dense-tied-bfloat16",
        "qwen2_moe",
        sizes(
            88, 3, (4, 2), 113, 241, num_experts=9, num_experts_per_tok=4,
            moe_intermediate_size=28, shared_expert_intermediate_size=61, mlp_only_layers=[0],
            tie_word_embeddings=True,
        ),
        dtype="bfloat16",
    ),
    five(
        "qwen3_moe-5over1-head24-2of6", head_dim=24, num_experts=6, num_experts_per_tok=2,
        moe_intermediate_size=44,
    ),
    six(
        "qwen3_moe-6over2-3of5-middle-dense-renormed-window16", num_experts=5,
        num_experts_per_tok=3, norm_topk_prob=True, moe_intermediate_size=37, mlp_only_layers=[1],
        use_sliding_window=True, sliding_window=16,
    ),
    RandomModel(
        "qwen3_moe-7over7-4of9-every-second-biases-linear-bfloat16-old",
        "qwen3_moe",
        sizes(
            112, 4, (7, 7), 113, 241, num_experts=9, num_experts_per_tok=4,
            moe_intermediate_size=28, decoder_sparse_step=2, attention_bias=True,
            rope_parameters=LINEAR_ROPE, tie_word_embeddings=True,
        ),
        dtype="bfloat16",
        is_old=True,
    ),
    RandomModel(
        "gpt_oss-5over1-head16-2of5-window16",
        "gpt_oss",
        sizes(
            80, 3, (5, 1), 44, 251, head_dim=16, num_local_experts=5, num_experts_per_tok=2,
            sliding_window=16, swiglu_limit=1.5,
        ),
        seed=2,
    ),
    RandomModel(
        "gpt_oss-6over2-head20-1of4-window13",
        "gpt_oss",
        sizes(
            92, 3, (6, 2), 51, 257, head_dim=20, num_local_experts=4, num_experts_per_tok=1,
            sliding_window=13, layer_types=[FULL, SLIDING, SLIDING], swiglu_alpha=1.2,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        ),
    ),
    RandomModel(
        "gpt_oss-3over3-head24-3of7-yarn-unbiased-bfloat16",
        "gpt_oss",
        sizes(
            84, 4, (3, 3), 36, 241, head_dim=24, num_local_experts=7, num_experts_per_tok=3,
            sliding_window=17, attention_bias=False, swiglu_limit=0.7,
            rope_parameters=YARN_ROPE | {"truncate": False}, tie_word_embeddings=True,
        ),
        dtype="bfloat16",
    ),
)
