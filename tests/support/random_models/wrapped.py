"""Models of several parts, of which text passes the language model alone: Gemma 3, LLaVA, Mistral 3,
Qwen's.

Tensors are stored under the names of publications, which transformers 5.23 writes
("language_model.model.layers…"; "model.layers…" of Qwen2), or under those of versions between
("model.language_model.layers…").
"""

from __future__ import annotations

from typing import Any

from .model import GROWING_ROPE, LINEAR_ROPE, LLAMA3_ROPE, RandomModel, sizes

IMAGE_ID = 300  # which no text has
NEW_NAMES = {"language_model.model.": "model.language_model.", "language_model.lm_head.": "lm_head.",
             "vision_tower.": "model.vision_tower.",
             "multi_modal_projector.": "model.multi_modal_projector."}  # fmt: skip

NEW_QWEN_NAMES = {"model.": "model.language_model.", "visual.": "model.visual."}


def tower(model_type: str, **more: Any) -> dict[str, Any]:
    """The least vision tower."""
    return {"model_type": model_type, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
            "num_attention_heads": 2, "image_size": 28, "patch_size": 14, **more}  # fmt: skip


def wrapped(text_type: str, vision: dict[str, Any], text: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"text_config": {"model_type": text_type, **text}, "vision_config": vision,
            "image_token_index": IMAGE_ID, **more}  # fmt: skip


GEMMA3_TEXT = {"head_dim": 20, "query_pre_attn_scalar": 24, "sliding_window": 13}
SIGLIP, CLIP = tower("siglip_vision_model"), tower("clip_vision_model", projection_dim=16)
PIXTRAL = tower("pixtral", head_dim=8)

QWEN_TOWER = {"depth": 2, "num_heads": 2, "patch_size": 4, "hidden_act": "silu"}
QWEN2_VL = {**QWEN_TOWER, "embed_dim": 16, "mlp_ratio": 2}
QWEN2_5_VL = {**QWEN_TOWER, "hidden_size": 16, "intermediate_size": 24, "window_size": 16,
              "fullatt_block_indexes": [1]}  # fmt: skip
QWEN3_VL = {**QWEN_TOWER, "hidden_size": 16, "intermediate_size": 24, "num_position_embeddings": 16,
            "deepstack_visual_indexes": [1]}  # fmt: skip


def qwen(
    tower_keys: dict[str, Any], channels: int, heads: tuple[int, int], axes: list[int], **text: Any
) -> dict[str, Any]:
    """`axes`: pairs of channels that rotate by each axis' position, which text has alike."""
    rope = {"rope_type": "default", "rope_theta": 3e4, "mrope_section": axes}
    keys = sizes(channels, 3, heads, 131, 257, rope_parameters=rope, **text)
    width = {"hidden_size": channels} if "embed_dim" in tower_keys else {"out_hidden_size": channels}
    return {"text_config": keys, "vision_config": {**tower_keys, **width}, "image_token_id": IMAGE_ID,
            "video_token_id": IMAGE_ID + 1}  # fmt: skip


TIED = {"tie_word_embeddings": True}
WRAPPED = (
    RandomModel(
        "gemma3-4over2-tied",
        "gemma3",
        wrapped("gemma3_text", SIGLIP, sizes(84, 7, (4, 2), 131, 257, **GEMMA3_TEXT),
                mm_tokens_per_image=4),
    ),
    RandomModel(
        "gemma3-5over1-untied-bfloat16",
        "gemma3",
        wrapped("gemma3_text", SIGLIP, sizes(80, 6, (5, 1), 127, 251, **GEMMA3_TEXT),
                mm_tokens_per_image=4, tie_word_embeddings=False),
        dtype="bfloat16",
        names=NEW_NAMES,
    ),
    RandomModel(
        "gemma3-6over3-sharded",
        "gemma3",
        wrapped("gemma3_text", SIGLIP, sizes(72, 6, (6, 3), 113, 241, **GEMMA3_TEXT),
                mm_tokens_per_image=4),
        shard="100KB",
    ),
    RandomModel(
        "llava-llama-5over1-tied-by-text",
        "llava",
        wrapped("llama", CLIP, sizes(80, 3, (5, 1), 127, 251, tie_word_embeddings=True)),
    ),
    RandomModel(
        "llava-mistral-6over3-window17",
        "llava",
        wrapped("mistral", CLIP, sizes(96, 3, (6, 3), 131, 257, sliding_window=17)),
        names=NEW_NAMES,
    ),
    RandomModel(
        "llava-qwen2-7over1-bfloat16-sharded",
        "llava",
        wrapped("qwen2", SIGLIP, sizes(84, 3, (7, 1), 113, 241), vision_feature_select_strategy="full"),
        dtype="bfloat16",
        shard="100KB",
    ),
    RandomModel(
        "mistral3-6over2-untied",
        "mistral3",
        wrapped("mistral", PIXTRAL, sizes(96, 3, (6, 2), 131, 257, sliding_window=None),
                tie_word_embeddings=False),
    ),
    RandomModel(
        "mistral3-4over4-tied",
        "mistral3",
        wrapped("mistral", PIXTRAL, sizes(80, 3, (4, 4), 127, 251, sliding_window=None,
                                          rope_parameters=LINEAR_ROPE)),
        names=NEW_NAMES,
    ),
    RandomModel(
        "mistral3-llama-5over5-untied-float16",
        "mistral3",
        wrapped("llama", PIXTRAL, sizes(80, 3, (5, 5), 113, 241, rope_parameters=LLAMA3_ROPE),
                tie_word_embeddings=False),
        dtype="float16",
    ),
    RandomModel("qwen2_vl-7over1-tied", "qwen2_vl", qwen(QWEN2_VL, 84, (7, 1), [2, 2, 2]) | TIED),
    RandomModel(
        "qwen2_vl-4over2-window13-flat",
        "qwen2_vl",
        qwen(QWEN2_VL, 80, (4, 2), [4, 3, 3], use_sliding_window=True, sliding_window=13,
             max_window_layers=1),
        is_flat=True,
    ),
    RandomModel(
        "qwen2_vl-6over3-bfloat16-sharded",
        "qwen2_vl",
        qwen(QWEN2_VL, 96, (6, 3), [4, 2, 2]),
        dtype="bfloat16",
        shard="100KB",
        names=NEW_QWEN_NAMES,
    ),
    RandomModel(
        "qwen2_5_vl-5over1-flat",
        "qwen2_5_vl",
        qwen(QWEN2_5_VL, 80, (5, 1), [4, 2, 2]),
        is_flat=True,
    ),
    RandomModel(
        "qwen2_5_vl-14over2-tied", "qwen2_5_vl", qwen(QWEN2_5_VL, 112, (14, 2), [2, 1, 1]) | TIED
    ),
    RandomModel(
        "qwen2_5_vl-4over4-float16",
        "qwen2_5_vl",
        qwen(QWEN2_5_VL, 80, (4, 4), [4, 3, 3]),
        dtype="float16",
        names=NEW_QWEN_NAMES,
    ),
    RandomModel(
        "qwen3_vl-5over1-head24-tied",
        "qwen3_vl",
        qwen(QWEN3_VL, 80, (5, 1), [4, 4, 4], head_dim=24) | TIED,
    ),
    RandomModel(
        "qwen3_vl-6over3-head20-biases-sharded",
        "qwen3_vl",
        qwen(QWEN3_VL, 84, (6, 3), [4, 3, 3], head_dim=20, attention_bias=True),
        shard="100KB",
    ),
    RandomModel(
        "qwen3_vl-7over7-bfloat16",
        "qwen3_vl",
        qwen(QWEN3_VL, 84, (7, 7), [2, 2, 2], head_dim=12),
        dtype="bfloat16",
    ),
    RandomModel(
        "qwen3_vl_moe-5over1-head24-2of6-tied",
        "qwen3_vl_moe",
        qwen(QWEN3_VL, 80, (5, 1), [4, 4, 4], head_dim=24, num_experts=6, num_experts_per_tok=2,
             moe_intermediate_size=44) | TIED,
        is_exchanged=True,
    ),
    RandomModel(
        "qwen3_vl_moe-6over3-head20-3of5-middle-dense-sharded",
        "qwen3_vl_moe",
        qwen(QWEN3_VL, 84, (6, 3), [4, 3, 3], head_dim=20, num_experts=5, num_experts_per_tok=3,
             moe_intermediate_size=37, mlp_only_layers=[1], attention_bias=True),
        shard="100KB",
    ),
    RandomModel(
        "qwen3_vl_moe-7over7-head12-4of9-bfloat16",
        "qwen3_vl_moe",
        qwen(QWEN3_VL, 84, (7, 7), [2, 2, 2], head_dim=12, num_experts=9, num_experts_per_tok=4,
             moe_intermediate_size=28),
        dtype="bfloat16",
    ),
    RandomModel(
        "mistral3-ministral3-5over1-growing-from-20-bfloat16",
        "mistral3",
        wrapped("ministral3", PIXTRAL, sizes(80, 3, (5, 1), 127, 251, head_dim=16,
                                             rope_parameters=GROWING_ROPE), tie_word_embeddings=False),
        dtype="bfloat16",
        names=NEW_NAMES,
    ),
)  # fmt: skip
