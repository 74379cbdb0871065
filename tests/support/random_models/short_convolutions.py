"""LFM2: short convolutions between gates, attention in the other layers.

Channels that 2, 3 and 4 do not divide; two to five taps; widths of the MLP as given and adjusted.
"""

from __future__ import annotations

from .model import LINEAR_ROPE, RandomModel, sizes

CONV, FULL = "conv", "full_attention"

SHORT_CONVOLUTIONS = (
    RandomModel(
        "lfm2-5over1-3taps-untied",
        "lfm2",
        sizes(80, 4, (5, 1), 127, 251, layer_types=[CONV, FULL, CONV, CONV], norm_eps=1e-4,
              block_auto_adjust_ff_dim=False, tie_word_embeddings=False),
    ),
    RandomModel(
        "lfm2-6over2-head24-5taps-biases-adjusted-tied-old",
        "lfm2",
        sizes(90, 4, (6, 2), 150, 257, head_dim=24, full_attn_idxs=[1, 3], conv_bias=True, conv_L_cache=5,
              block_multiple_of=9, block_ffn_dim_multiplier=1.15),
        is_old=True,
    ),
    RandomModel(
        "lfm2-3over3-2taps-linear-sharded-bfloat16",
        "lfm2",
        sizes(75, 3, (3, 3), 180, 241, head_dim=16, layer_types=[FULL, CONV, FULL], conv_L_cache=2,
              block_multiple_of=1, rope_parameters=LINEAR_ROPE),
        dtype="bfloat16", shard="100KB",
    ),
)  # fmt: skip
