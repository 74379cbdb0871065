"""Decoders of 2025 in the shape of Llama, of OLMo 2 or of Cohere, whose layers differ in kind."""

from __future__ import annotations

from .model import (
    GROWING_ROPE,
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

SLIDING, FULL = "sliding_attention", "full_attention"

RECENT_DECODERS = (
    RandomModel("olmo3-5over5-window13", "olmo3", sizes(80, 4, (5, 5), 127, 251, sliding_window=13)),
    RandomModel(
        "olmo3-6over2-window16-yarn-on-full-layers-biases-tied-old",
        "olmo3",
        sizes(
            96, 4, (6, 2), 131, 257, sliding_window=16, attention_bias=True, tie_word_embeddings=True,
            rope_parameters={
                FULL: YARN_ROPE | {"rope_theta": 20000.0},
                SLIDING: {"rope_type": "default", "rope_theta": 500000.0},
            },
        ),
        is_old=True,
    ),
    RandomModel(
        "olmo3-7over1-window17-two-bases-bfloat16",
        "olmo3",
        sizes(
            112, 3, (7, 1), 149, 263, sliding_window=17, rms_norm_eps=1e-6,
            layer_types=[FULL, SLIDING, FULL],
            rope_parameters={
                FULL: LLAMA3_ROPE, SLIDING: {"rope_type": "default", "rope_theta": 5000.0},
            },
        ),
        dtype="bfloat16",
    ),
    five("smollm3-5over1-tied", num_hidden_layers=4, pad_token_id=0),
    six(
        "smollm3-6over2-window16-biases-untied", num_hidden_layers=4, no_rope_layers=[0, 1, 1, 0],
        use_sliding_window=True, sliding_window=16, attention_bias=True, mlp_bias=True,
        tie_word_embeddings=False, pad_token_id=0,
    ),
    old(seven(
        "smollm3-7over7-every-second-unrotated-yarn-bfloat16-old", no_rope_layer_interval=2,
        rope_parameters=YARN_ROPE, rms_norm_eps=1e-5, pretraining_tp=2, pad_token_id=0,
    )),
    five("seed_oss-5over1-head24", head_dim=24),
    six(
        "seed_oss-6over2-output-and-mlp-biases-tied", head_dim=None, attention_bias=False,
        attention_out_bias=True, mlp_bias=True, tie_word_embeddings=True,
    ),
    RandomModel(
        "seed_oss-4over4-head22-linear-bfloat16-old",
        "seed_oss",
        sizes(84, 3, (4, 4), 113, 241, head_dim=22, rope_parameters=LINEAR_ROPE, rms_norm_eps=1e-5),
        dtype="bfloat16",
        is_old=True,
    ),
    five("cohere2-5over1-window13-tied", num_hidden_layers=4, logit_scale=0.25, sliding_window=13),
    RandomModel(
        "cohere2-6over3-window16-biases-untied-old",
        "cohere2",
        sizes(
            96, 4, (6, 3), 131, 257, sliding_window=16, attention_bias=True, logit_scale=2.0,
            tie_word_embeddings=False,
            rope_parameters={"rope_type": "default", "rope_theta": 50000.0},
        ),
        is_old=True,
    ),
    RandomModel(
        "cohere2-3over3-window17-linear-bfloat16",
        "cohere2",
        sizes(
            102, 3, (3, 3), 149, 263, sliding_window=17, rope_parameters=LINEAR_ROPE,
            layer_norm_eps=1e-6, layer_types=[FULL, SLIDING, SLIDING], logit_scale=0.5,
        ),
        dtype="bfloat16",
    ),
    five(
        "ministral3-5over1-head16-growing-from-32", head_dim=16, rope_parameters=GROWING_ROPE,
        pad_token_id=0,
    ),
    six(
        "ministral3-6over2-head20-window16-growing-from-7-tied", head_dim=20, sliding_window=16,
        tie_word_embeddings=True,
        rope_parameters={
            "rope_type": "default", "rope_theta": 20000.0, "llama_4_scaling_beta": 0.4,
            "original_max_position_embeddings": 7,
        },
    ),
    RandomModel(
        "ministral3-7over7-head18-growing-from-20-bfloat16-old",
        "ministral3",
        sizes(
            84, 3, (7, 7), 113, 241, head_dim=18, rms_norm_eps=1e-6,
            rope_parameters=GROWING_ROPE | {
                "llama_4_scaling_beta": 0.2, "original_max_position_embeddings": 20,
            },
        ),
        dtype="bfloat16",
        is_old=True,
    ),
    five("exaone4-5over1-window13", num_hidden_layers=4, sliding_window=13),
    six(
        "exaone4-6over2-without-window-llama3-tied", sliding_window=None,
        sliding_window_pattern=None, layer_types=[FULL, FULL, FULL], rope_parameters=LLAMA3_ROPE,
        tie_word_embeddings=True,
    ),
    old(seven(
        "exaone4-7over7-window16-every-second-full-yarn-bfloat16-old", sliding_window=16,
        sliding_window_pattern=2, rope_parameters=YARN_ROPE, rms_norm_eps=1e-6,
    )),
    five("glm-5over1-head24", head_dim=24, pad_token_id=0),
    RandomModel(
        "glm-6over2-head20-unbiased-tied-old",
        "glm",
        sizes(
            96, 3, (6, 2), 131, 257, pad_token_id=0, head_dim=20, attention_bias=False,
            tie_word_embeddings=True,
            rope_parameters={
                "rope_type": "default", "rope_theta": 25000.0, "partial_rotary_factor": 0.4,
            },
        ),
        is_old=True,
    ),
    RandomModel(
        "glm-7over7-head16-yarn-bfloat16",
        "glm",
        sizes(
            84, 3, (7, 7), 113, 241, pad_token_id=0, head_dim=16, rms_norm_eps=1e-6,
            rope_parameters=YARN_ROPE | {"partial_rotary_factor": 0.5},
        ),
        dtype="bfloat16",
    ),
    five("glm4-5over1-head24", head_dim=24, pad_token_id=0),
    RandomModel(
        "glm4-6over2-head20-unbiased-tied-old",
        "glm4",
        sizes(
            96, 3, (6, 2), 131, 257, pad_token_id=0, head_dim=20, attention_bias=False,
            tie_word_embeddings=True, rms_norm_eps=1e-5,
            rope_parameters={
                "rope_type": "default", "rope_theta": 25000.0, "partial_rotary_factor": 1.0,
            },
        ),
        is_old=True,
    ),
    RandomModel(
        "glm4-4over4-head22-linear-bfloat16",
        "glm4",
        sizes(
            84, 3, (4, 4), 113, 241, pad_token_id=0, head_dim=22,
            rope_parameters=LINEAR_ROPE | {"partial_rotary_factor": 0.55},
        ),
        dtype="bfloat16",
    ),
    five("ernie4_5-5over1-head24-tied", head_dim=24),
    six(
        "ernie4_5-6over2-biases-untied", head_dim=None, use_bias=True, tie_word_embeddings=False,
        rope_parameters={"rope_type": "default", "rope_theta": 20000.0},
    ),
    RandomModel(
        "ernie4_5-7over7-head18-linear-bfloat16-old",
        "ernie4_5",
        sizes(
            84, 3, (7, 7), 113, 241, head_dim=18, rope_parameters=LINEAR_ROPE, rms_norm_eps=1e-6
        ),
        dtype="bfloat16",
        is_old=True,
    ),
)
