"""Families that differ from others in one fact or two: factors of branches, a squared ReLU, norms
without weights, a norm of the embeddings, an activation with learned numbers."""

from __future__ import annotations

from typing import Any

from .model import DYNAMIC_ROPE, LINEAR_ROPE, LLAMA3_ROPE, YARN_ROPE, RandomModel, sizes

# As Tencent publishes it: dynamic in name only.
ALPHA_ROPE = DYNAMIC_ROPE | {"factor": 1.0, "alpha": 50.0}


def bloom_sizes(channels: int, heads: int, vocabulary: int, **more: Any) -> dict[str, Any]:
    return {
        "hidden_size": channels, "n_layer": 3, "n_head": heads, "vocab_size": vocabulary, **more,
    }  # fmt: skip


ONE_FACT = (
    RandomModel(
        "granite-5over1-branches0.22-tied",
        "granite",
        sizes(
            80, 3, (5, 1), 127, 251, embedding_multiplier=3.0, residual_multiplier=0.22,
            attention_multiplier=0.11, logits_scaling=2.0, tie_word_embeddings=True,
        ),
    ),
    RandomModel(
        "granite-6over2-branches1.7-biases",
        "granite",
        sizes(
            96, 3, (6, 2), 131, 257, residual_multiplier=1.7, attention_multiplier=0.4,
            logits_scaling=0.5, attention_bias=True, mlp_bias=True, rms_norm_eps=1e-5,
        ),
    ),
    RandomModel(
        "granite-7over7-llama3-whole-factors-bfloat16-old",
        "granite",
        sizes(
            112, 3, (7, 7), 149, 263, embedding_multiplier=2, residual_multiplier=1,
            attention_multiplier=0.3, rope_parameters=LLAMA3_ROPE,
        ),
        dtype="bfloat16",
        is_old=True,
    ),
    RandomModel("nemotron-5over1", "nemotron", sizes(80, 3, (5, 1), 127, 251)),
    RandomModel(
        "nemotron-6over2-head20-biases-linear-tied",
        "nemotron",
        sizes(
            96, 3, (6, 2), 131, 257, head_dim=20, attention_bias=True, mlp_bias=True,
            norm_eps=1e-3, rope_parameters=LINEAR_ROPE, tie_word_embeddings=True,
        ),
    ),
    RandomModel(
        "nemotron-7over7-quarter-rotary-gelu-bfloat16-old",
        "nemotron",
        sizes(
            112, 3, (7, 7), 149, 263, hidden_act="gelu",
            rope_parameters={
                "rope_type": "default", "rope_theta": 25000.0, "partial_rotary_factor": 0.25,
            },
        ),
        dtype="bfloat16",
        is_old=True,
    ),
    RandomModel("arcee-5over1", "arcee", sizes(80, 3, (5, 1), 127, 251)),
    RandomModel(
        "arcee-6over2-head24-biases-tied",
        "arcee",
        sizes(
            96, 3, (6, 2), 131, 257, head_dim=24, attention_bias=True, mlp_bias=True,
            tie_word_embeddings=True, rms_norm_eps=1e-3,
        ),
    ),
    RandomModel(
        "arcee-7over7-yarn-bfloat16-old",
        "arcee",
        sizes(112, 3, (7, 7), 149, 263, rope_parameters=YARN_ROPE),
        dtype="bfloat16",
        is_old=True,
    ),
    RandomModel("olmo-5over1-clipped", "olmo", sizes(80, 3, (5, 1), 127, 251, clip_qkv=1.5)),
    RandomModel(
        "olmo-6over2-head20-biases",
        "olmo",
        sizes(96, 3, (6, 2), 131, 257, head_dim=20, attention_bias=True),
    ),
    RandomModel(
        "olmo-7over7-linear-clipped-bfloat16-old",
        "olmo",
        sizes(112, 3, (7, 7), 149, 263, clip_qkv=2.5, rope_parameters=LINEAR_ROPE),
        dtype="bfloat16",
        is_old=True,
    ),
    RandomModel(
        "olmoe-5over1-2of6-clipped",
        "olmoe",
        sizes(80, 3, (5, 1), 44, 251, num_experts=6, num_experts_per_tok=2, clip_qkv=1.2),
    ),
    RandomModel(
        "olmoe-6over2-3of5-biases-renormed-tied",
        "olmoe",
        sizes(
            96, 3, (6, 2), 35, 257, num_experts=5, num_experts_per_tok=3, norm_topk_prob=True,
            attention_bias=True, tie_word_embeddings=True, rms_norm_eps=1e-3,
        ),
    ),
    RandomModel(
        "olmoe-4over4-4of9-yarn-clipped-bfloat16-old",
        "olmoe",
        sizes(
            88, 3, (4, 4), 28, 241, num_experts=9, num_experts_per_tok=4, clip_qkv=0.8,
            rope_parameters=YARN_ROPE,
        ),
        dtype="bfloat16",
        is_old=True,
    ),
    RandomModel("bloom-5heads-tied", "bloom", bloom_sizes(80, 5, 251)),
    RandomModel(
        "bloom-6heads-without-prefix",
        "bloom",
        bloom_sizes(96, 6, 257, layer_norm_epsilon=1e-3),
        names={"transformer.": ""},
    ),
    RandomModel(
        "bloom-7heads-untied-bfloat16",
        "bloom",
        bloom_sizes(112, 7, 263, tie_word_embeddings=False),
        dtype="bfloat16",
    ),
    RandomModel("apertus-5over1", "apertus", sizes(80, 3, (5, 1), 127, 251, rope_parameters=LLAMA3_ROPE)),
    RandomModel(
        "apertus-6over2-head20-biases-linear-tied",
        "apertus",
        sizes(
            96, 3, (6, 2), 131, 257, head_dim=20, attention_bias=True, tie_word_embeddings=True,
            rms_norm_eps=1e-3, rope_parameters=LINEAR_ROPE,
        ),
    ),
    RandomModel(
        "apertus-7over7-bfloat16-old",
        "apertus",
        sizes(112, 3, (7, 7), 149, 263, rope_parameters=LLAMA3_ROPE | {"rope_theta": 12e6}),
        dtype="bfloat16",
        is_old=True,
    ),
    RandomModel(
        "apertus-3over3-relu2",
        "apertus",
        sizes(66, 3, (3, 3), 101, 241, hidden_act="relu2", rope_parameters=YARN_ROPE),
    ),
    RandomModel(
        "granitemoe-5over1-2of6-branches0.22-tied",
        "granitemoe",
        sizes(
            80, 3, (5, 1), 44, 251, num_local_experts=6, num_experts_per_tok=2,
            embedding_multiplier=3.0, residual_multiplier=0.22, attention_multiplier=0.11,
            logits_scaling=2.0, tie_word_embeddings=True,
        ),
    ),
    RandomModel(
        "granitemoe-6over2-3of5-biases",
        "granitemoe",
        sizes(
            96, 3, (6, 2), 35, 257, num_local_experts=5, num_experts_per_tok=3,
            residual_multiplier=1.5, attention_multiplier=0.4, attention_bias=True,
            rms_norm_eps=1e-3,
        ),
    ),
    RandomModel(
        "granitemoe-4over4-1of7-linear-bfloat16-old",
        "granitemoe",
        sizes(
            88, 3, (4, 4), 28, 241, num_local_experts=7, num_experts_per_tok=1,
            attention_multiplier=0.2, rope_parameters=LINEAR_ROPE,
        ),
        dtype="bfloat16",
        is_old=True,
    ),
    RandomModel(
        "granitemoeshared-5over1-2of6-shared53-branches0.22",
        "granitemoeshared",
        sizes(
            80, 3, (5, 1), 44, 251, num_local_experts=6, num_experts_per_tok=2,
            shared_intermediate_size=53, residual_multiplier=0.22, attention_multiplier=0.11,
        ),
    ),
    RandomModel(
        "granitemoeshared-6over2-3of5-shared26-biases-tied",
        "granitemoeshared",
        sizes(
            96, 3, (6, 2), 35, 257, num_local_experts=5, num_experts_per_tok=3,
            shared_intermediate_size=26, attention_multiplier=0.4, attention_bias=True,
            logits_scaling=0.5, tie_word_embeddings=True, hidden_act="gelu",
        ),
    ),
    RandomModel(
        "granitemoeshared-4over4-2of7-unshared-bfloat16-old",
        "granitemoeshared",
        sizes(
            88, 3, (4, 4), 28, 241, num_local_experts=7, num_experts_per_tok=2,
            attention_multiplier=0.2, residual_multiplier=0.5,
        ),
        dtype="bfloat16",
        is_old=True,
    ),
    RandomModel(
        "hunyuan_v1_dense-5over1-head24",
        "hunyuan_v1_dense",
        sizes(80, 3, (5, 1), 127, 251, head_dim=24),
    ),
    RandomModel(
        "hunyuan_v1_dense-6over2-head20-alpha-biases-tied",
        "hunyuan_v1_dense",
        sizes(
            96, 3, (6, 2), 131, 257, head_dim=20, attention_bias=True, tie_word_embeddings=True,
            rms_norm_eps=1e-3, max_position_embeddings=32, rope_parameters=ALPHA_ROPE,
        ),
    ),
    RandomModel(
        "hunyuan_v1_dense-7over7-dynamic-bfloat16-old",
        "hunyuan_v1_dense",
        sizes(
            112, 3, (7, 7), 149, 263, head_dim=16, max_position_embeddings=32,
            rope_parameters=DYNAMIC_ROPE,
        ),
        dtype="bfloat16",
        is_old=True,
    ),
)  # fmt: skip
