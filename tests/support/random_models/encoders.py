"""Encoders of text: attention without a mask, windows on both sides."""

from __future__ import annotations

from typing import Any

from .model import LLAMA3_ROPE, YARN_ROPE, RandomModel, sizes

SLIDING, FULL = "sliding_attention", "full_attention"


def bert_sizes(
    channels: int, layers: int, heads: int, ffn: int, vocabulary: int, **more: Any
) -> dict[str, Any]:
    """As many positions as the longest prompt has; the id of padding is in no text."""
    keys = sizes(channels, layers, (heads, heads), ffn, vocabulary, pad_token_id=0)
    del keys["num_key_value_heads"]
    return keys | {"max_position_embeddings": 97} | more


ENCODERS = (
    RandomModel("bert-5", "bert", bert_sizes(80, 3, 5, 127, 251)),
    RandomModel(
        "bert-6-four-types-relu-bfloat16",
        "bert",
        bert_sizes(96, 3, 6, 131, 257, type_vocab_size=4, hidden_act="relu", layer_norm_eps=1e-3),
        dtype="bfloat16",
    ),
    RandomModel(
        "bert-3-old-names",
        "bert",
        bert_sizes(75, 3, 3, 113, 241, hidden_act="gelu_new"),
        names={"bert.embeddings.LayerNorm.weight": "bert.embeddings.LayerNorm.gamma",
               "bert.embeddings.LayerNorm.bias": "bert.embeddings.LayerNorm.beta"},
    ),
    RandomModel("roberta-5", "roberta", bert_sizes(80, 3, 5, 127, 251)),
    RandomModel(
        "roberta-4-positions-behind-200-bfloat16",
        "roberta",
        bert_sizes(84, 3, 4, 131, 257, pad_token_id=0, max_position_embeddings=300,
                   type_vocab_size=1),
        dtype="bfloat16",
    ),
    RandomModel("roberta-3-bare", "roberta", bert_sizes(75, 3, 3, 113, 241), names={"roberta.": ""}),
    RandomModel("xlm-roberta-5", "xlm-roberta", bert_sizes(80, 3, 5, 127, 251, type_vocab_size=1)),
    RandomModel("xlm-roberta-6", "xlm-roberta", bert_sizes(96, 3, 6, 131, 257), dtype="bfloat16"),
    RandomModel("xlm-roberta-3-silu", "xlm-roberta", bert_sizes(75, 3, 3, 113, 241, hidden_act="silu")),
    RandomModel(
        "modernbert-5-window8",
        "modernbert",
        bert_sizes(80, 4, 5, 127, 251, local_attention=16, max_position_embeddings=512),
    ),
    RandomModel(
        "modernbert-4-biases-window3-bfloat16",
        "modernbert",
        bert_sizes(
            84, 4, 4, 131, 257, local_attention=7, max_position_embeddings=512, norm_bias=True,
            attention_bias=True, mlp_bias=True, norm_eps=1e-3, head_dim=None,
            layer_types=[SLIDING, FULL, SLIDING, SLIDING],
        ) | {"hidden_size": 96},
        dtype="bfloat16",
    ),
    RandomModel(
        "modernbert-3-linear-global",
        "modernbert",
        bert_sizes(
            78, 4, 3, 113, 241, local_attention=20, max_position_embeddings=512,
            rope_parameters={
                FULL: YARN_ROPE | {"rope_theta": 5000.0},
                SLIDING: {"rope_type": "default", "rope_theta": 700.0},
            },
        ),
    ),
    RandomModel("eurobert-5over5", "eurobert", sizes(80, 3, (5, 5), 127, 251, pad_token_id=0)),
    RandomModel(
        "eurobert-6over2-biases-head20",
        "eurobert",
        sizes(96, 3, (6, 2), 131, 257, attention_bias=True, mlp_bias=True, head_dim=20, pad_token_id=0),
    ),
    RandomModel(
        "eurobert-7over1-scaled-rope-bfloat16",
        "eurobert",
        sizes(112, 3, (7, 1), 149, 263, rope_parameters=LLAMA3_ROPE, rms_norm_eps=1e-3,
              pad_token_id=0),
        dtype="bfloat16",
    ),
)
