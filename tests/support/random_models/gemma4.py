"""Gemma 4: full layers with heads of their own sizes, keys for values, experts beside the dense MLP; inputs
of each layer's own and layers with the keys and values of an earlier one, as E2B and E4B have them; its
language model alone and within a model of several parts."""

from __future__ import annotations

from typing import Any

from .model import RandomModel, sizes
from .wrapped import NEW_NAMES, wrapped

SLIDING, FULL = "sliding_attention", "full_attention"
FOUR_LAYERS = [SLIDING, FULL, SLIDING, FULL]
VISION = {
    "model_type": "gemma4_vision", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8, "patch_size": 4,
    "position_embedding_size": 32,
}  # fmt: skip
EMBEDDER = {
    "model_type": "gemma4_unified_vision", "patch_size": 4, "mm_embed_dim": 16, "output_proj_dims": 16,
    "mm_posemb_size": 8,
}  # fmt: skip
NAMES = NEW_NAMES | {"embed_vision.": "model.embed_vision."}


def dense(
    channels: int, layers: int, heads: tuple[int, int], ffn: int, vocabulary: int,
    full: tuple[int, int | None], **more: Any,
) -> dict[str, Any]:
    """`full`: width and number of the full layers' key heads, which count as values where there is a
    number."""
    width, keys = full
    shared = {} if keys is None else {"attention_k_eq_v": True, "num_global_key_value_heads": keys}
    own = {"global_head_dim": width, **shared, **more}
    return sizes(channels, layers, heads, ffn, vocabulary, pad_token_id=0, **own)


def text(*sizes: Any, **more: Any) -> dict[str, Any]:
    return dense(*sizes, hidden_size_per_layer_input=0, **more)


def with_inputs(*sizes: Any, inputs: tuple[int, int], shared: int, **more: Any) -> dict[str, Any]:
    """`inputs`: width and rows of their table; the last `shared` layers have no keys of their own."""
    width, rows = inputs
    own = {"hidden_size_per_layer_input": width, "vocab_size_per_layer_input": rows}
    return dense(*sizes, num_kv_shared_layers=shared, **own, **more)


def experts(count: int, chosen: int, width: int) -> dict[str, Any]:
    return {"enable_moe_block": True, "num_experts": count, "top_k_experts": chosen,
            "moe_intermediate_size": width}  # fmt: skip


GEMMA4 = (
    RandomModel(
        "gemma4_text-4over2-head16-full24over1-window13-capped-tied",
        "gemma4_text",
        text(
            80, 4, (4, 2), 127, 251, (24, 1), head_dim=16, sliding_window=13, layer_types=FOUR_LAYERS,
            final_logit_softcapping=30.0,
        ),
        is_old=True,
    ),
    RandomModel(
        "gemma4_text-5over5-head12-full20-window16-2of6-keys-and-values-untied",
        "gemma4_text",
        text(
            84, 4, (5, 5), 113, 241, (20, None), head_dim=12, sliding_window=16, layer_types=FOUR_LAYERS,
            tie_word_embeddings=False, attention_bias=True, **experts(6, 2, 36),
        ),
    ),
    RandomModel(
        "gemma4_text-6over3-head20-full12over2-window17-3of8-two-bases-bfloat16",
        "gemma4_text",
        text(
            96, 6, (6, 3), 131, 257, (12, 2), head_dim=20, sliding_window=17, rms_norm_eps=1e-5,
            rope_parameters={
                FULL: {"rope_type": "proportional", "rope_theta": 2e4, "partial_rotary_factor": 0.6,
                       "factor": 2.0},
                SLIDING: {"rope_type": "linear", "rope_theta": 1e3, "factor": 4.0},
            },
            **experts(8, 3, 35),
        ),
        dtype="bfloat16",
        seed=1,
    ),
    RandomModel(
        "gemma4-4over2-full24over1-2of6-tied",
        "gemma4",
        wrapped(
            "gemma4_text", VISION,
            text(80, 4, (4, 2), 127, 251, (24, 1), head_dim=16, sliding_window=13,
                 layer_types=FOUR_LAYERS, use_bidirectional_attention="vision", **experts(6, 2, 28)),
        ),
    ),
    RandomModel(
        "gemma4-7over1-full16over7-untied-sharded",
        "gemma4",
        wrapped(
            "gemma4_text", VISION,
            text(84, 4, (7, 1), 131, 257, (16, 7), head_dim=24, sliding_window=16,
                 layer_types=FOUR_LAYERS),
            tie_word_embeddings=False,
        ),
        shard="100KB",
    ),
    RandomModel(
        "gemma4-6over2-full32over3-bfloat16",
        "gemma4",
        wrapped(
            "gemma4_text", VISION,
            text(96, 6, (6, 2), 113, 241, (32, 3), head_dim=16, sliding_window=13,
                 final_logit_softcapping=30.0),
        ),
        dtype="bfloat16",
        names=NAMES,
    ),
    RandomModel(
        "gemma4_unified_text-4over2-head16-full24over1-window13-tied",
        "gemma4_unified_text",
        dense(80, 4, (4, 2), 127, 251, (24, 1), head_dim=16, sliding_window=13, layer_types=FOUR_LAYERS,
              final_logit_softcapping=30.0),
        is_old=True,
    ),
    RandomModel(
        "gemma4_unified_text-5over5-head12-full20-window16-untied",
        "gemma4_unified_text",
        dense(84, 4, (5, 5), 113, 241, (20, None), head_dim=12, sliding_window=16,
              layer_types=FOUR_LAYERS, tie_word_embeddings=False, attention_bias=True),
    ),
    RandomModel(
        "gemma4_unified_text-6over3-head20-full12over2-window17-bfloat16",
        "gemma4_unified_text",
        dense(96, 6, (6, 3), 131, 257, (12, 2), head_dim=20, sliding_window=17, rms_norm_eps=1e-5),
        dtype="bfloat16",
    ),
    RandomModel(
        "gemma4_unified-4over2-full24over1-tied",
        "gemma4_unified",
        wrapped("gemma4_unified_text", EMBEDDER,
                dense(80, 4, (4, 2), 127, 251, (24, 1), head_dim=16, sliding_window=13,
                      layer_types=FOUR_LAYERS)),
    ),
    RandomModel(
        "gemma4_unified-7over1-full16over7-untied-sharded",
        "gemma4_unified",
        wrapped("gemma4_unified_text", EMBEDDER,
                dense(84, 4, (7, 1), 131, 257, (16, 7), head_dim=24, sliding_window=16,
                      layer_types=FOUR_LAYERS),
                tie_word_embeddings=False),
        shard="100KB",
    ),
    RandomModel(
        "gemma4_unified-6over2-full32over3-bfloat16",
        "gemma4_unified",
        wrapped("gemma4_unified_text", EMBEDDER,
                dense(96, 6, (6, 2), 113, 241, (32, 3), head_dim=16, sliding_window=13)),
        dtype="bfloat16",
    ),
)  # fmt: skip

# With inputs of each layer's own, and layers without keys of their own.
GEMMA4_INPUTS = (
    RandomModel(
        "gemma4_text-4over1-full24-inputs12-shared3of6-wide-tied",
        "gemma4_text",
        with_inputs(
            80, 6, (4, 1), 59, 251, (24, None), inputs=(12, 251), shared=3, head_dim=16, sliding_window=13,
            layer_types=[SLIDING, FULL, SLIDING, FULL, SLIDING, FULL], use_double_wide_mlp=True,
            final_logit_softcapping=30.0,
        ),
        is_old=True,
    ),
    RandomModel(
        "gemma4_text-5over5-full20-inputs7-shared2of5-untied",
        "gemma4_text",
        with_inputs(
            84, 5, (5, 5), 113, 241, (20, None), inputs=(7, 260), shared=2, head_dim=12, sliding_window=16,
            layer_types=[FULL, SLIDING, SLIDING, SLIDING, FULL], tie_word_embeddings=False,
            attention_bias=True,
        ),
    ),
    RandomModel(
        "gemma4_text-6over2-full32over1-inputs9-shared1of6-bfloat16",
        "gemma4_text",
        with_inputs(96, 6, (6, 2), 131, 257, (32, 1), inputs=(9, 257), shared=1, head_dim=16,
                    sliding_window=13, layer_types=[FULL, SLIDING, SLIDING, SLIDING, SLIDING, FULL],
                    final_logit_softcapping=30.0),
        dtype="bfloat16",
        seed=1,
    ),
    RandomModel(
        "gemma4-4over2-full16-inputs16-shared2of4-wide-tied",
        "gemma4",
        wrapped(
            "gemma4_text", VISION,
            with_inputs(96, 4, (4, 2), 61, 257, (16, None), inputs=(16, 257), shared=2, head_dim=24,
                        sliding_window=16, layer_types=FOUR_LAYERS, use_double_wide_mlp=True,
                        final_logit_softcapping=30.0),
        ),
        dtype="bfloat16",
        names=NAMES,
    ),
)
