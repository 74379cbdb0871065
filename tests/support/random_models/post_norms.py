"""Families that norm what a layer gives: Gemma (and its first form, which does not), OLMo 2."""

from __future__ import annotations

from .model import LINEAR_ROPE, LLAMA3_ROPE, RandomModel, five, half, six, sizes

SLIDING, FULL = "sliding_attention", "full_attention"

POST_NORMS = (
    five("gemma-5over1-head24-tied", head_dim=24),
    RandomModel(
        "gemma-3over3-head22-biases-untied-old",
        "gemma",
        sizes(
            75, 3, (3, 3), 113, 241, head_dim=22, attention_bias=True, tie_word_embeddings=False,
            hidden_act="gelu_pytorch_tanh",
        ),
        is_old=True,
    ),
    half(six(
        "gemma-6over2-head20-linear-bfloat16", head_dim=20, rope_parameters=LINEAR_ROPE,
        rms_norm_eps=1e-5,
    )),
    RandomModel(
        "gemma2-4over2-head24-window16",
        "gemma2",
        sizes(
            84, 4, (4, 2), 131, 257, head_dim=24, query_pre_attn_scalar=24, sliding_window=16
        ),
    ),
    five(
        "gemma2-5over1-head18-tight-caps-biases", head_dim=18, query_pre_attn_scalar=40,
        sliding_window=13, attn_logit_softcapping=2.0, final_logit_softcapping=5.0,
        attention_bias=True, layer_types=[FULL, SLIDING, SLIDING],
    ),
    RandomModel(
        "gemma2-3over3-head26-uncapped-untied-bfloat16-old",
        "gemma2",
        sizes(
            75, 3, (3, 3), 113, 241, head_dim=26, query_pre_attn_scalar=26, sliding_window=17,
            attn_logit_softcapping=None, final_logit_softcapping=None, tie_word_embeddings=False,
        ),
        dtype="bfloat16",
        is_old=True,
    ),
    five(
        "gemma3_text-5over1-head24-window13", num_hidden_layers=4, head_dim=24,
        query_pre_attn_scalar=24, sliding_window=13, layer_types=[SLIDING, SLIDING, FULL, SLIDING],
    ),
    RandomModel(
        "gemma3_text-4over2-head20-linear-global-bfloat16-old",
        "gemma3_text",
        sizes(
            84, 4, (4, 2), 131, 257, head_dim=20, query_pre_attn_scalar=30, sliding_window=16,
            layer_types=[SLIDING, FULL, SLIDING, FULL],
            rope_parameters={
                FULL: LINEAR_ROPE | {"rope_theta": 1e6},
                SLIDING: {"rope_type": "default", "rope_theta": 5000.0},
            },
        ),
        dtype="bfloat16",
        is_old=True,
    ),
    RandomModel(
        "gemma3_text-3over3-head26-capped-logits-biases-untied",
        "gemma3_text",
        sizes(
            75, 3, (3, 3), 113, 241, head_dim=26, query_pre_attn_scalar=26, sliding_window=17,
            final_logit_softcapping=6.0, attention_bias=True, tie_word_embeddings=False,
            layer_types=[FULL, FULL, SLIDING],
        ),
    ),
    RandomModel("olmo2-5over5", "olmo2", sizes(80, 3, (5, 5), 127, 251)),
    six("olmo2-6over2-biases-tied", attention_bias=True, tie_word_embeddings=True),
    RandomModel(
        "olmo2-7over1-scaled-rope-bfloat16-old",
        "olmo2",
        sizes(112, 3, (7, 1), 149, 263, rope_parameters=LLAMA3_ROPE, rms_norm_eps=1e-6),
        dtype="bfloat16",
        is_old=True,
    ),
)
