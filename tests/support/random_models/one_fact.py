"""Families that differ from others in one fact or two: factors of branches, a squared ReLU, norms
without weights, a norm of the embeddings, an activation with learned numbers."""

from __future__ import annotations

from typing import Any

from .model import (
    DYNAMIC_ROPE,
    LINEAR_ROPE,
    LLAMA3_ROPE,
    YARN_ROPE,
    RandomModel,
    five,
    old,
    seven,
    six,
    sizes,
)

# As Tencent publishes it: dynamic in name only.
ALPHA_ROPE = DYNAMIC_ROPE | {"factor": 1.0, "alpha": 50.0}


def bloom_sizes(channels: int, heads: int, vocabulary: int, **more: Any) -> dict[str, Any]:
    return {
        "hidden_size": channels, "n_layer": 3, "n_head": heads, "vocab_size": vocabulary, **more,
    }  # fmt: skip


ONE_FACT = (
    five(
        "granite-5over1-branches0.22-tied", embedding_multiplier=3.0, residual_multiplier=0.22,
        attention_multiplier=0.11, logits_scaling=2.0, tie_word_embeddings=True,
    ),
    six(
        "granite-6over2-branches1.7-biases", residual_multiplier=1.7, attention_multiplier=0.4,
        logits_scaling=0.5, attention_bias=True, mlp_bias=True, rms_norm_eps=1e-5,
    ),
    old(seven(
        "granite-7over7-llama3-whole-factors-bfloat16-old", embedding_multiplier=2,
        residual_multiplier=1, attention_multiplier=0.3, rope_parameters=LLAMA3_ROPE,
    )),
    five("nemotron-5over1"),
    six(
        "nemotron-6over2-head20-biases-linear-tied", head_dim=20, attention_bias=True,
        mlp_bias=True, norm_eps=1e-3, rope_parameters=LINEAR_ROPE, tie_word_embeddings=True,
    ),
    old(seven(
        "nemotron-7over7-quarter-rotary-gelu-bfloat16-old", hidden_act="gelu",
        rope_parameters={
            "rope_type": "default", "rope_theta": 25000.0, "partial_rotary_factor": 0.25,
        },
    )),
    five("arcee-5over1"),
    six(
        "arcee-6over2-head24-biases-tied", head_dim=24, attention_bias=True, mlp_bias=True,
        tie_word_embeddings=True, rms_norm_eps=1e-3,
    ),
    old(seven("arcee-7over7-yarn-bfloat16-old", rope_parameters=YARN_ROPE)),
    five("olmo-5over1-clipped", clip_qkv=1.5),
    six("olmo-6over2-head20-biases", head_dim=20, attention_bias=True),
    old(seven(
        "olmo-7over7-linear-clipped-bfloat16-old", clip_qkv=2.5, rope_parameters=LINEAR_ROPE,
    )),
    five(
        "olmoe-5over1-2of6-clipped", intermediate_size=44, num_experts=6, num_experts_per_tok=2,
        clip_qkv=1.2,
    ),
    six(
        "olmoe-6over2-3of5-biases-renormed-tied", intermediate_size=35, num_experts=5,
        num_experts_per_tok=3, norm_topk_prob=True, attention_bias=True, tie_word_embeddings=True,
        rms_norm_eps=1e-3,
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
    five("apertus-5over1", rope_parameters=LLAMA3_ROPE),
    six(
        "apertus-6over2-head20-biases-linear-tied", head_dim=20, attention_bias=True,
        tie_word_embeddings=True, rms_norm_eps=1e-3, rope_parameters=LINEAR_ROPE,
    ),
    old(seven("apertus-7over7-bfloat16-old", rope_parameters=LLAMA3_ROPE | {"rope_theta": 12e6})),
    RandomModel(
        "apertus-3over3-relu2",
        "apertus",
        sizes(66, 3, (3, 3), 101, 241, hidden_act="relu2", rope_parameters=YARN_ROPE),
    ),
    five(
        "granitemoe-5over1-2of6-branches0.22-tied", intermediate_size=44, num_local_experts=6,
        num_experts_per_tok=2, embedding_multiplier=3.0, residual_multiplier=0.22,
        attention_multiplier=0.11, logits_scaling=2.0, tie_word_embeddings=True,
    ),
    six(
        "granitemoe-6over2-3of5-biases", intermediate_size=35, num_local_experts=5,
        num_experts_per_tok=3, residual_multiplier=1.5, attention_multiplier=0.4,
        attention_bias=True, rms_norm_eps=1e-3,
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
    five(
        "granitemoeshared-5over1-2of6-shared53-branches0.22", intermediate_size=44,
        num_local_experts=6, num_experts_per_tok=2, shared_intermediate_size=53,
        residual_multiplier=0.22, attention_multiplier=0.11,
    ),
    six(
        "granitemoeshared-6over2-3of5-shared26-biases-tied", intermediate_size=35,
        num_local_experts=5, num_experts_per_tok=3, shared_intermediate_size=26,
        attention_multiplier=0.4, attention_bias=True, logits_scaling=0.5,
        tie_word_embeddings=True, hidden_act="gelu",
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
    five("hunyuan_v1_dense-5over1-head24", head_dim=24),
    six(
        "hunyuan_v1_dense-6over2-head20-alpha-biases-tied", head_dim=20, attention_bias=True,
        tie_word_embeddings=True, rms_norm_eps=1e-3, max_position_embeddings=32,
        rope_parameters=ALPHA_ROPE,
    ),
    old(seven(
        "hunyuan_v1_dense-7over7-dynamic-bfloat16-old", head_dim=16, max_position_embeddings=32,
        rope_parameters=DYNAMIC_ROPE,
    )),
)  # fmt: skip
