"""More models of several parts, of which text passes the language model alone: InternVL, PaliGemma,
LLaVA's descendants, Idefics 3 and SmolVLM, GLM-4.xV, Kimi K2.5, Llama 3.2 Vision.

Tensors are stored under the names that transformers 5.23 writes, or under NEW_NAMES.
"""

from __future__ import annotations

from typing import Any

from .latent_attention import MAGNITUDES, latent
from .model import LINEAR_ROPE, LLAMA3_ROPE, YARN_ROPE, RandomModel, sizes
from .wrapped import CLIP, NEW_NAMES, QWEN_TOWER, SIGLIP, TIED, tower, wrapped

UNTIED = {"tie_word_embeddings": False}
ROW_NAMES = {**NEW_NAMES, "image_newline": "model.image_newline"}
# As released, where save_pretrained of transformers 5.23 calls the layers "blocks".
KIMI_NAMES = {"language_model.model.blocks.": "language_model.model.layers."}
INTERNVIT = tower("internvl_vision", image_size=[28, 28], patch_size=[14, 14])
IDEFICS = tower("idefics3_vision")
MOONVIT = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
           "patch_size": 4, "pos_emb_height": 4, "pos_emb_width": 4}  # fmt: skip
TILED = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "attention_heads": 2,
         "num_global_layers": 1, "image_size": 28, "patch_size": 14, "vision_output_dim": 32,
         "intermediate_layers_indices": [0]}  # fmt: skip


def axes(sections: list[int], part: float = 0.5, **more: Any) -> dict[str, Any]:
    """Pairs of channels that rotate by each axis' position, which text has alike."""
    rope = {"rope_type": "default", "rope_theta": 3e4, "mrope_section": sections}
    return {"rope_parameters": rope | {"partial_rotary_factor": part} | more}


def glm(text_type: str, channels: int, text: dict[str, Any], **more: Any) -> dict[str, Any]:
    vision = {**QWEN_TOWER, "hidden_size": 16, "intermediate_size": 24, "out_hidden_size": channels,
              "image_size": 28}  # fmt: skip
    return wrapped(text_type, vision, text, **more)


def crossed(layers: list[int], text: dict[str, Any]) -> dict[str, Any]:
    """Llama 3.2 Vision; `layers` attend to images."""
    keys = text | {"cross_attention_layers": layers, "pad_token_id": 0}
    return wrapped("mllama_text_model", TILED, keys)


WRAPPED_LATER = (
    RandomModel(
        "internvl-qwen2-7over1-untied",
        "internvl",
        wrapped("qwen2", INTERNVIT, sizes(84, 3, (7, 1), 131, 257), **UNTIED),
    ),
    RandomModel(
        "internvl-llama-4over2-tied-bfloat16",
        "internvl",
        wrapped("llama", INTERNVIT, sizes(80, 3, (4, 2), 127, 251, rope_parameters=LLAMA3_ROPE)),
        dtype="bfloat16",
        names=NEW_NAMES,
    ),
    RandomModel(
        "internvl-qwen3-6over3-head20-untied-sharded",
        "internvl",
        wrapped("qwen3", INTERNVIT, sizes(96, 3, (6, 3), 113, 241, head_dim=20), **UNTIED),
        shard="100KB",
    ),
    RandomModel(
        "paligemma-5over1-head20-tied",
        "paligemma",
        wrapped("gemma", SIGLIP, sizes(80, 3, (5, 1), 127, 251, head_dim=20)),
    ),
    RandomModel(
        "paligemma-gemma2-4over2-window16",
        "paligemma",
        wrapped("gemma2", SIGLIP, sizes(84, 4, (4, 2), 131, 257, head_dim=24, sliding_window=16,
                                        query_pre_attn_scalar=24)),
        names=NEW_NAMES,
    ),
    RandomModel(
        "paligemma-6over3-head16-one-way-bfloat16",
        "paligemma",
        wrapped("gemma", SIGLIP, sizes(96, 3, (6, 3), 113, 241, head_dim=16,
                                       use_bidirectional_attention=False)),
        dtype="bfloat16",
    ),
    RandomModel(
        "llava_next-mistral-6over2-window17",
        "llava_next",
        wrapped("mistral", CLIP, sizes(96, 3, (6, 2), 131, 257, sliding_window=17)),
    ),
    RandomModel(
        "llava_next-llama-5over1-tied-sharded",
        "llava_next",
        wrapped("llama", CLIP, sizes(80, 3, (5, 1), 127, 251), **TIED),
        shard="100KB",
    ),
    RandomModel(
        "llava_next-qwen2-7over7-text-tied-untied-float16",
        "llava_next",
        wrapped("qwen2", CLIP, sizes(84, 3, (7, 7), 113, 241, tie_word_embeddings=True), **UNTIED),
        dtype="float16",
        names=ROW_NAMES,
    ),
    RandomModel(
        "llava_onevision-7over1-tied-by-text",
        "llava_onevision",
        wrapped("qwen2", SIGLIP, sizes(84, 3, (7, 1), 131, 257, tie_word_embeddings=True)),
    ),
    RandomModel(
        "llava_onevision-4over2-sharded",
        "llava_onevision",
        wrapped("qwen2", SIGLIP, sizes(80, 3, (4, 2), 127, 251)),
        shard="100KB",
        names=ROW_NAMES,
    ),
    RandomModel(
        "llava_onevision-llama-5over5-bfloat16",
        "llava_onevision",
        wrapped("llama", SIGLIP, sizes(80, 3, (5, 5), 113, 241, rope_parameters=LINEAR_ROPE)),
        dtype="bfloat16",
    ),
    RandomModel(
        "idefics3-5over1", "idefics3", wrapped("llama", IDEFICS, sizes(80, 3, (5, 1), 127, 251))
    ),
    RandomModel(
        "idefics3-6over3-tied-sharded",
        "idefics3",
        wrapped("llama", IDEFICS, sizes(96, 3, (6, 3), 131, 257, rope_parameters=LLAMA3_ROPE), **TIED),
        shard="100KB",
    ),
    RandomModel(
        "idefics3-mistral-4over4-bfloat16",
        "idefics3",
        wrapped("mistral", IDEFICS, sizes(80, 3, (4, 4), 113, 241, sliding_window=13)),
        dtype="bfloat16",
    ),
    RandomModel(
        "smolvlm-3over1-tied",
        "smolvlm",
        wrapped("llama", IDEFICS, sizes(72, 3, (3, 1), 127, 251), **TIED),
    ),
    RandomModel(
        "smolvlm-5over5", "smolvlm", wrapped("llama", IDEFICS, sizes(80, 3, (5, 5), 131, 257))
    ),
    RandomModel(
        "smolvlm-smollm3-6over2-float16",
        "smolvlm",
        wrapped("smollm3", IDEFICS, sizes(96, 4, (6, 2), 113, 241, pad_token_id=0)),
        dtype="float16",
    ),
    RandomModel(
        "glm4v-5over1-half",
        "glm4v",
        glm("glm4v_text", 80, sizes(80, 3, (5, 1), 127, 251, **axes([2, 1, 1]))),
    ),
    RandomModel(
        "glm4v-6over3-whole-tied-bfloat16",
        "glm4v",
        glm("glm4v_text", 96, sizes(96, 3, (6, 3), 131, 257, **axes([4, 2, 2], 1.0)), **TIED),
        dtype="bfloat16",
        names=NEW_NAMES,
    ),
    RandomModel(
        "glm4v-7over7-yarn-tied-by-text-sharded",
        "glm4v",
        glm("glm4v_text", 84, sizes(84, 3, (7, 7), 113, 241, tie_word_embeddings=True,
                                    rope_parameters=YARN_ROPE | {"mrope_section": [2, 2, 2]})),
        shard="100KB",
    ),
    RandomModel(
        "glm4v_moe-5over1-2of6-first-dense",
        "glm4v_moe",
        glm("glm4v_moe_text", 80, sizes(
            80, 3, (5, 1), 127, 251, n_routed_experts=6, num_experts_per_tok=2, routed_scaling_factor=1.7,
            moe_intermediate_size=44, first_k_dense_replace=1, **axes([2, 1, 1]),
        )),
    ),
    RandomModel(
        "glm4v_moe-6over3-head20-3of12-2of3groups-unbiased-bfloat16",
        "glm4v_moe",
        glm("glm4v_moe_text", 96, sizes(
            96, 4, (6, 3), 131, 257, head_dim=20, n_routed_experts=12, num_experts_per_tok=3,
            moe_intermediate_size=35, first_k_dense_replace=2, n_group=3, topk_group=2,
            attention_bias=False, n_shared_experts=2, **axes([3, 2, 1], 0.6),
        )),
        dtype="bfloat16",
        seed=1,
    ),
    RandomModel(
        "glm4v_moe-4over2-3of8-1of2groups-tied-stacked",
        "glm4v_moe",
        glm("glm4v_moe_text", 88, sizes(
            88, 3, (4, 2), 113, 241, head_dim=24, n_routed_experts=8, num_experts_per_tok=3,
            moe_intermediate_size=28, first_k_dense_replace=0, n_group=2, topk_group=1,
            norm_topk_prob=False, **axes([2, 2, 2]),
        ), **TIED),
        is_stacked=True,
    ),
    RandomModel(
        "kimi_k25-5-3of8-1of2groups-first-dense-yarn-untied",
        "kimi_k25",
        wrapped("deepseek_v3", MOONVIT, latent(
            80, 3, 5, (12, 8, 10), q_lora_rank=33, kv_lora_rank=28, n_routed_experts=8,
            num_experts_per_tok=3, moe_intermediate_size=36, n_group=2, topk_group=1,
            first_k_dense_replace=1, rope_parameters=YARN_ROPE | MAGNITUDES,
        ), **UNTIED),
        names=KIMI_NAMES,
    ),
    RandomModel(
        "kimi_k25-6-4of12-2of3groups-biases-untied-bfloat16",
        "kimi_k25",
        wrapped("deepseek_v3", MOONVIT, latent(
            96, 3, 6, (9, 6, 15), q_lora_rank=37, kv_lora_rank=23, n_routed_experts=12,
            num_experts_per_tok=4, moe_intermediate_size=28, n_group=3, topk_group=2,
            first_k_dense_replace=0, attention_bias=True, n_shared_experts=2,
        ), **UNTIED),
        dtype="bfloat16",
        seed=3,
        names=KIMI_NAMES,
    ),
    RandomModel(
        "kimi_k25-3-2of6-tied-stacked",
        "kimi_k25",
        wrapped("deepseek_v3", MOONVIT, latent(
            84, 3, 3, (7, 10, 24), q_lora_rank=31, kv_lora_rank=40, n_routed_experts=6,
            num_experts_per_tok=2, moe_intermediate_size=35, n_group=1, topk_group=1,
            first_k_dense_replace=2,
        )),
        is_stacked=True,
    ),
    RandomModel(
        "mllama-5over1-1and3of5",
        "mllama",
        crossed([1, 3], sizes(80, 5, (5, 1), 127, 251, rope_parameters=LLAMA3_ROPE)),
    ),
    RandomModel(
        "mllama-6over3-0and3of6-bfloat16",
        "mllama",
        crossed([0, 3], sizes(96, 6, (6, 3), 131, 257)),
        dtype="bfloat16",
        names={**NEW_NAMES, "vision_model.": "model.vision_model."},
    ),
    RandomModel(
        "mllama-7over7-last-of4-sharded",
        "mllama",
        crossed([3], sizes(84, 4, (7, 7), 113, 241)),
        shard="100KB",
    ),
)  # fmt: skip
