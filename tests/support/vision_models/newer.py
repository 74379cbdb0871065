"""More configurations: SigLIPs as released, what has ViT's layers, DINOv3, AIMv2."""

from __future__ import annotations

from typing import Any

from .model import VisionModel, sizes

TEXT = {
    "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 37,
    "vocab_size": 53, "max_position_embeddings": 17, "bos_token_id": 1, "eos_token_id": 2,
    "pad_token_id": 0,
}  # fmt: skip


def whole(vision: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A vision half with a text half beside it."""
    return {"vision_config": vision, "text_config": TEXT, **more}


SIGLIP = (
    VisionModel(
        "siglip-5heads", "siglip", "SiglipModel", whole(sizes(65, 3, 5, 131, 4, image_size=36)), (36, 36),
        class_tokens=0,
    ),
    VisionModel(  # SigLIP so400m's remainder
        "siglip-7heads-cut-6x6+3-published", "siglip", "SiglipModel",
        whole(sizes(77, 3, 7, 149, 5, image_size=33)), (33, 33), class_tokens=0,
        is_published=True,
    ),
    VisionModel(
        "siglip-3heads-classifier-gelu-9x7of5x5-bfloat16", "siglip", "SiglipForImageClassification",
        whole(sizes(75, 4, 3, 127, 6, image_size=30, hidden_act="gelu", layer_norm_eps=1e-2)), (54, 42),
        class_tokens=0, dtype="bfloat16",
    ),
    VisionModel(
        "siglip-9heads-headless-sharded", "siglip", "SiglipModel",
        whole(sizes(63, 2, 9, 113, 8, image_size=48, vision_use_head=False)), (48, 48), class_tokens=0,
        shard="100KB",
    ),
)  # fmt: skip

VIT_KIN = (
    VisionModel(
        "deit-5heads-pooler", "deit", "DeiTModel", sizes(65, 3, 5, 131, 4, image_size=36), (36, 36),
        class_tokens=2,
    ),
    VisionModel(
        "deit-7heads-teacher-unbiased-4x9of6x6-published", "deit",
        "DeiTForImageClassificationWithTeacher",
        sizes(77, 3, 7, 149, 5, image_size=30, qkv_bias=False, layer_norm_eps=1e-2), (20, 45),
        class_tokens=2, is_published=True, has_small_class=True,
    ),
    VisionModel(
        "deit-3heads-masked-tanh-6x10-oblong-bfloat16", "deit", "DeiTForMaskedImageModeling",
        sizes(75, 4, 3, 127, 4, image_size=[24, 40], encoder_stride=4, hidden_act="gelu_pytorch_tanh"),
        (24, 40), class_tokens=2, dtype="bfloat16",
    ),
    VisionModel(
        "ijepa-5heads", "ijepa", "IJepaModel", sizes(65, 3, 5, 131, 4, image_size=36), (36, 36),
        class_tokens=0,
    ),
    VisionModel(
        "ijepa-7heads-unbiased-4x11of6x6-sharded", "ijepa", "IJepaModel",
        sizes(77, 3, 7, 149, 5, image_size=30, qkv_bias=False, layer_norm_eps=1e-2), (20, 55),
        class_tokens=0, shard="100KB",
    ),
    VisionModel(
        "ijepa-3heads-classifier-quick-cut-8x5of5x5+1x2-bfloat16", "ijepa",
        "IJepaForImageClassification",
        sizes(75, 4, 3, 127, 6, image_size=31, hidden_act="quick_gelu"), (49, 32), class_tokens=0,
        dtype="bfloat16",
    ),
    VisionModel(
        "vit_msn-5heads", "vit_msn", "ViTMSNModel", sizes(65, 3, 5, 131, 4, image_size=36), (36, 36)
    ),
    VisionModel(
        "vit_msn-7heads-classifier-unbiased-9x7of6x6-published", "vit_msn",
        "ViTMSNForImageClassification",
        sizes(77, 3, 7, 149, 5, image_size=30, qkv_bias=False), (45, 35), is_published=True,
        has_small_class=True,
    ),
    VisionModel(
        "vit_msn-3heads-tanh-6x10-oblong-bfloat16", "vit_msn", "ViTMSNModel",
        sizes(
            75, 4, 3, 127, 4, image_size=[24, 40], hidden_act="gelu_pytorch_tanh", layer_norm_eps=1e-2,
        ),
        (24, 40), dtype="bfloat16",
    ),
)  # fmt: skip

DINOV3 = (
    VisionModel(
        "dinov3_vit-5heads-4registers", "dinov3_vit", "DINOv3ViTModel",
        sizes(60, 3, 5, 131, 4, image_size=36, num_register_tokens=4), (36, 36), registers=4,
    ),
    VisionModel(
        "dinov3_vit-7heads-gated-1register-8x10of7x7", "dinov3_vit", "DINOv3ViTModel",
        sizes(
            84, 3, 7, 149, 5, image_size=35, num_register_tokens=1, use_gated_mlp=True,
            hidden_act="silu", rope_theta=30.0, layerscale_value=0.3,
        ),
        (40, 50), registers=1,
    ),
    VisionModel(
        "dinov3_vit-3heads-backbone-unregistered-unbiased-cut-9x5+2x3-bfloat16",
        "dinov3_vit", "DINOv3ViTBackbone",
        sizes(
            60, 4, 3, 127, 6, image_size=[56, 33], query_bias=False, value_bias=False, proj_bias=False,
            mlp_bias=False, layer_norm_eps=1e-2, layerscale_value=2.0,
        ),
        (56, 33), dtype="bfloat16",
    ),
    VisionModel(
        "dinov3_vit-4heads-key-bias-5registers-sharded", "dinov3_vit", "DINOv3ViTModel",
        sizes(
            112, 2, 4, 113, 8, image_size=48, num_register_tokens=5, key_bias=True, value_bias=False,
            hidden_act="gelu_pytorch_tanh",
        ),
        (48, 48), registers=5, shard="200KB",
    ),
    VisionModel(
        "dinov3_vit-11heads-gated-2registers-7x3of8x8-published", "dinov3_vit", "DINOv3ViTModel",
        sizes(
            88, 2, 11, 113, 7, image_size=56, num_register_tokens=2, use_gated_mlp=True,
            hidden_act="silu", query_bias=False,
        ),
        (49, 21), registers=2, is_published=True,
    ),
)  # fmt: skip

AIMV2 = (
    VisionModel(
        "aimv2_vision_model-5heads", "aimv2_vision_model", "Aimv2VisionModel",
        sizes(65, 3, 5, 131, 3, image_size=27), (27, 27), class_tokens=0,
    ),
    VisionModel(
        "aimv2_vision_model-7heads-native-headless-7x11", "aimv2_vision_model", "Aimv2VisionModel",
        sizes(84, 3, 7, 149, 5, image_size=30, is_native=True, use_head=False, rms_norm_eps=1e-2),
        (35, 55), class_tokens=0,
    ),
    VisionModel(
        "aimv2_vision_model-3heads-biases-gelu-cut-9x9+2-bfloat16", "aimv2_vision_model",
        "Aimv2VisionModel",
        sizes(75, 4, 3, 127, 6, image_size=56, qkv_bias=True, mlp_bias=True, hidden_act="gelu"),
        (56, 56), class_tokens=0, dtype="bfloat16",
    ),
    VisionModel(
        "aimv2_vision_model-9heads-published-sharded", "aimv2_vision_model", "Aimv2VisionModel",
        sizes(63, 2, 9, 113, 8, image_size=48, mlp_bias=True), (48, 48), class_tokens=0,
        is_published=True, shard="100KB",
    ),
    VisionModel(
        "aimv2-5heads", "aimv2", "Aimv2Model",
        whole(sizes(65, 3, 5, 131, 3, image_size=27), projection_dim=19), (27, 27), class_tokens=0,
    ),
    VisionModel(
        "aimv2-7heads-native-9x5-published", "aimv2", "Aimv2Model",
        whole(sizes(84, 2, 7, 127, 5, image_size=30, is_native=True), projection_dim=19), (45, 25),
        class_tokens=0, is_published=True,
    ),
    VisionModel(
        "aimv2-3heads-biased-bfloat16", "aimv2", "Aimv2Model",
        whole(sizes(75, 4, 3, 127, 6, image_size=48, qkv_bias=True), projection_dim=23), (48, 48),
        class_tokens=0, dtype="bfloat16",
    ),
)  # fmt: skip

NEWER = (*SIGLIP, *VIT_KIN, *DINOV3, *AIMV2)
