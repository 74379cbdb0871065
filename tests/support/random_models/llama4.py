"""Llama 4: chunks, layers without positions, experts that read weighted rows; its language model alone
and within a model of several parts."""

from __future__ import annotations

from .model import LLAMA3_ROPE, YARN_ROPE, RandomModel, sizes
from .wrapped import wrapped

VISION = {
    "model_type": "llama4_vision_model", "hidden_size": 16, "intermediate_size": 64,
    "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 28, "patch_size": 14,
    "vision_output_dim": 16, "projector_input_dim": 16, "projector_output_dim": 16,
}  # fmt: skip

LLAMA4 = (
    RandomModel(
        "llama4_text-5over1-head16-1of6-chunks16",
        "llama4_text",
        sizes(
            80, 4, (5, 1), 44, 251, head_dim=16, intermediate_size_mlp=127, num_local_experts=6,
            attention_chunk_size=16, floor_scale=20, attn_scale=0.4,
        ),
    ),
    RandomModel(
        "llama4_text-6over3-head20-2of6-every-second-chunks13-llama3-biases-tied",
        "llama4_text",
        sizes(
            96, 4, (6, 3), 37, 257, head_dim=20, intermediate_size_mlp=131, num_local_experts=6,
            num_experts_per_tok=2, interleave_moe_layer_step=2, attention_chunk_size=13,
            no_rope_layers=[1, 0, 0, 1], attention_bias=True, tie_word_embeddings=True,
            floor_scale=7, rope_parameters=LLAMA3_ROPE,
        ),
        seed=1,
    ),
    RandomModel(
        "llama4_text-7over7-head12-3of5-without-norms-chunks17-yarn-bfloat16",
        "llama4_text",
        sizes(
            84, 4, (7, 7), 40, 241, head_dim=12, intermediate_size_mlp=113, num_local_experts=5,
            num_experts_per_tok=3, moe_layers=[0, 3], use_qk_norm=False, attention_chunk_size=17,
            layer_types=["chunked_attention", "full_attention", "chunked_attention", "full_attention"],
            no_rope_layer_interval=3, attn_temperature_tuning=False, rope_parameters=YARN_ROPE,
        ),
        dtype="bfloat16",
    ),
    RandomModel(
        "llama4_text-4over2-dense-chunks16",
        "llama4_text",
        sizes(
            80, 4, (4, 2), 44, 251, head_dim=16, intermediate_size_mlp=127, moe_layers=[],
            attention_chunk_size=16, floor_scale=20, attn_scale=0.4,
        ),
    ),
    RandomModel(
        "llama4-4over2-1of6-chunks16",
        "llama4",
        wrapped(
            "llama4_text", VISION,
            sizes(80, 4, (4, 2), 44, 251, head_dim=16, intermediate_size_mlp=127, num_local_experts=6,
                  attention_chunk_size=16, floor_scale=20, attn_scale=0.4),
        ),
    ),
    RandomModel(
        "llama4-6over2-2of8-every-second-chunks13-sharded",
        "llama4",
        wrapped(
            "llama4_text", VISION,
            sizes(96, 4, (6, 2), 37, 257, head_dim=20, intermediate_size_mlp=131, num_local_experts=8,
                  num_experts_per_tok=2, interleave_moe_layer_step=2, attention_chunk_size=13,
                  floor_scale=9),
        ),
        shard="120KB",
    ),
    RandomModel(
        "llama4-5over5-1of4-dense-first-bfloat16",
        "llama4",
        wrapped(
            "llama4_text", VISION,
            sizes(80, 4, (5, 5), 40, 241, head_dim=16, intermediate_size_mlp=113, num_local_experts=4,
                  moe_layers=[1, 2, 3], attention_chunk_size=17),
        ),
        dtype="bfloat16",
    ),
)  # fmt: skip
