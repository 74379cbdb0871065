"""The configurations. Of each model type the first has images of 9 × 9 patches, for bfloat16."""

from __future__ import annotations

from typing import Any

from .model import VisionModel, dino_sizes, sizes
from .newer import NEWER

TEXT = {
    "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 37,
    "vocab_size": 53, "max_position_embeddings": 17, "projection_dim": 19,
    "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
DECODER = {
    "decoder_hidden_size": 28, "decoder_num_attention_heads": 7, "decoder_num_hidden_layers": 2,
    "decoder_intermediate_size": 31,
}  # fmt: skip


def clip(vision: dict[str, Any]) -> dict[str, Any]:
    return {"vision_config": vision, "text_config": TEXT, "projection_dim": 19}


CLIP = (
    VisionModel(
        "clip_vision_model-5heads", "clip_vision_model", "CLIPVisionModel",
        sizes(65, 3, 5, 131, 4, image_size=36), (36, 36),
    ),
    VisionModel(
        "clip_vision_model-7heads-projection-gelu-5x9of7x7-published",
        "clip_vision_model", "CLIPVisionModelWithProjection",
        sizes(77, 3, 7, 149, 5, image_size=35, hidden_act="gelu", projection_dim=23), (25, 45),
        is_published=True, has_small_class=True,
    ),
    VisionModel(
        "clip_vision_model-3heads-tanh-8x8of5x5-cut-sharded-bfloat16",
        "clip_vision_model", "CLIPVisionModel",
        sizes(
            75, 4, 3, 127, 6, image_size=33, hidden_act="gelu_pytorch_tanh", layer_norm_eps=1e-2,
        ),
        (48, 48), dtype="bfloat16", shard="100KB",
    ),
    VisionModel(
        "clip-5heads", "clip", "CLIPModel",
        clip(sizes(55, 3, 5, 113, 4, image_size=36)), (36, 36),
    ),
    VisionModel(
        "clip-7heads-7x5of6x6-published", "clip", "CLIPModel",
        clip(sizes(77, 2, 7, 127, 32, image_size=192)), (224, 160),
        is_published=True, has_small_class=True,
    ),
    VisionModel(
        "clip-9heads-classifier-gelu-bfloat16", "clip", "CLIPForImageClassification",
        clip(sizes(63, 3, 9, 131, 8, image_size=56, hidden_act="gelu", layer_norm_eps=1e-2)),
        (56, 56), dtype="bfloat16",
    ),
)  # fmt: skip

VIT = (
    VisionModel(
        "vit-5heads-pooler", "vit", "ViTModel",
        sizes(65, 3, 5, 131, 4, image_size=36, pooler_output_size=23), (36, 36),
    ),
    VisionModel(
        "vit-7heads-unbiased-tanh-6x10-oblong", "vit", "ViTModel without pooler",
        sizes(
            77, 3, 7, 149, 4, image_size=[24, 40], qkv_bias=False, layer_norm_eps=1e-2,
            hidden_act="gelu_pytorch_tanh",
        ),
        (24, 40),
    ),
    VisionModel(
        "vit-3heads-classifier-quick-4x9of5x5-bfloat16", "vit", "ViTForImageClassification",
        sizes(75, 4, 3, 127, 8, image_size=40, hidden_act="quick_gelu"), (32, 72),
        dtype="bfloat16",
    ),
    VisionModel(
        "vit-9heads-masked-5x3of8x8-published", "vit", "ViTForMaskedImageModeling",
        sizes(63, 2, 9, 113, 6, image_size=48, encoder_stride=6), (30, 18),
        is_published=True, has_small_class=True,
    ),
)  # fmt: skip

VIT_MAE = (  # transformers makes its positions of four parts: widths are multiples of 4
    VisionModel(
        "vit_mae-5heads", "vit_mae", "ViTMAEModel",
        sizes(60, 3, 5, 131, 4, image_size=36), (36, 36),
    ),
    VisionModel(
        "vit_mae-7heads-decoder-unbiased-4x11of6x6", "vit_mae", "ViTMAEForPreTraining",
        sizes(84, 3, 7, 149, 5, image_size=30, qkv_bias=False, layer_norm_eps=1e-2, **DECODER),
        (20, 55), shard="100KB",
    ),
    VisionModel(
        "vit_mae-3heads-decoder-published", "vit_mae", "ViTMAEForPreTraining",
        sizes(36, 4, 3, 127, 8, image_size=48, **DECODER), (48, 48),
        is_published=True, has_small_class=True,
    ),
    VisionModel(
        "vit_mae-11heads-tanh-6x10-oblong-bfloat16", "vit_mae", "ViTMAEModel",
        sizes(
            132, 2, 11, 113, 4, image_size=[24, 40], hidden_act="gelu_pytorch_tanh",
        ),
        (24, 40), dtype="bfloat16",
    ),
)  # fmt: skip

DINOV2 = (
    VisionModel(
        "dinov2-5heads", "dinov2", "Dinov2Model",
        dino_sizes(65, 3, 5, 2, 4, image_size=36), (36, 36),
    ),
    VisionModel(
        "dinov2-7heads-swiglu-unbiased-4x10of7x7", "dinov2", "Dinov2Model",
        dino_sizes(
            77, 3, 7, 3, 5, image_size=35, use_swiglu_ffn=True, qkv_bias=False,
            use_mask_token=False, layerscale_value=0.3,
        ),
        (20, 50),
    ),
    VisionModel(
        "dinov2-3heads-classifier-tanh-9x9of4x4-bfloat16",
        "dinov2", "Dinov2ForImageClassification",
        dino_sizes(
            75, 4, 3, 3, 8, image_size=32, hidden_act="gelu_pytorch_tanh", layer_norm_eps=1e-2,
            layerscale_value=2.0,
        ),
        (72, 72), dtype="bfloat16",
    ),
    VisionModel(
        "dinov2-11heads-swiglu-6x6-published-sharded", "dinov2", "Dinov2Model",
        dino_sizes(143, 2, 11, 1, 14, image_size=84, use_swiglu_ffn=True), (84, 84),
        shard="300KB", is_published=True, has_small_class=True,
    ),
    VisionModel(
        "dinov2_with_registers-5heads-4registers", "dinov2_with_registers",
        "Dinov2WithRegistersModel", dino_sizes(65, 3, 5, 2, 4, image_size=36), (36, 36),
        registers=4,
    ),
    VisionModel(
        "dinov2_with_registers-7heads-1register-swiglu-unbiased-9x7of4x4",
        "dinov2_with_registers", "Dinov2WithRegistersModel",
        dino_sizes(
            77, 3, 7, 3, 5, image_size=20, use_swiglu_ffn=True, qkv_bias=False,
            num_register_tokens=1, layerscale_value=0.3,
        ),
        (45, 35), registers=1,
    ),
    VisionModel(
        "dinov2_with_registers-3heads-5registers-classifier-quick-5x3of8x8-bfloat16",
        "dinov2_with_registers", "Dinov2WithRegistersForImageClassification",
        dino_sizes(
            75, 4, 3, 3, 6, image_size=48, hidden_act="quick_gelu", layer_norm_eps=1e-2,
            num_register_tokens=5, layerscale_value=2.0,
        ),
        (30, 18), registers=5, dtype="bfloat16",
    ),
    VisionModel(  # as many patches as the table has positions, and yet others
        "dinov2_with_registers-9heads-3registers-4x9of6x6-published",
        "dinov2_with_registers", "Dinov2WithRegistersModel",
        dino_sizes(63, 2, 9, 4, 8, image_size=48, num_register_tokens=3), (32, 72),
        registers=3, is_published=True, has_small_class=True,
    ),
)  # fmt: skip

SIGLIP = (
    VisionModel(
        "siglip_vision_model-5heads-head", "siglip_vision_model", "SiglipVisionModel",
        sizes(65, 3, 5, 131, 4, image_size=36), (36, 36), class_tokens=0,
    ),
    VisionModel(
        "siglip_vision_model-7heads-gelu-4x11of6x6", "siglip_vision_model", "SiglipVisionModel",
        sizes(
            77, 3, 7, 149, 5, image_size=30, vision_use_head=False, hidden_act="gelu",
            layer_norm_eps=1e-2,
        ),
        (20, 55), class_tokens=0, shard="100KB",
    ),
    VisionModel(
        "siglip_vision_model-3heads-quick-9x9of5x5-bfloat16",
        "siglip_vision_model", "SiglipVisionModel",
        sizes(75, 4, 3, 127, 6, image_size=30, hidden_act="quick_gelu"), (54, 54), class_tokens=0,
        dtype="bfloat16",
    ),
    VisionModel(
        "siglip_vision_model-9heads-head-published", "siglip_vision_model", "SiglipVisionModel",
        sizes(63, 2, 9, 113, 8, image_size=48), (48, 48), class_tokens=0, is_published=True,
    ),
)  # fmt: skip

# Sides that patches do not divide, as SigLIP so400m's 384 = 27 × 14 + 6: the model's own, others.
CUT = (
    VisionModel(
        "siglip_vision_model-7heads-cut-9x9of4x4+3-published", "siglip_vision_model",
        "SiglipVisionModel", sizes(77, 2, 7, 113, 4, image_size=39), (39, 39), class_tokens=0,
        is_published=True,
    ),
    VisionModel(
        "siglip_vision_model-5heads-cut-6x8of5x5+3x2", "siglip_vision_model", "SiglipVisionModel",
        sizes(65, 3, 5, 131, 4, image_size=23), (27, 34), class_tokens=0,
    ),
    VisionModel(
        "clip_vision_model-3heads-cut-4x4of5x5+1", "clip_vision_model", "CLIPVisionModel",
        sizes(75, 2, 3, 127, 6, image_size=31), (28, 29),
    ),
    VisionModel(
        "vit-5heads-cut-4x6+1x3-oblong", "vit", "ViTModel without pooler",
        sizes(65, 2, 5, 131, 6, image_size=[25, 39]), (25, 39),
    ),
    VisionModel(
        "vit_mae-5heads-cut-9x9+2", "vit_mae", "ViTMAEModel",
        sizes(60, 2, 5, 131, 4, image_size=38), (38, 38),
    ),
    VisionModel(  # as many patches as the table has positions, of another shape
        "dinov2-3heads-cut-9x4of6x6+4x1", "dinov2", "Dinov2Model",
        dino_sizes(75, 2, 3, 3, 5, image_size=34), (49, 21),
    ),
    VisionModel(
        "dinov2_with_registers-5heads-2registers-cut-5x5of6x6+3", "dinov2_with_registers",
        "Dinov2WithRegistersModel",
        dino_sizes(65, 2, 5, 2, 6, image_size=39, num_register_tokens=2), (33, 35), registers=2,
    ),
)  # fmt: skip

MODELS = (*CLIP, *VIT, *VIT_MAE, *DINOV2, *SIGLIP, *CUT, *NEWER)
