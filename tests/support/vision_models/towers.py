"""The towers of models of several parts, swept by images: SigLIP, CLIP, DINOv2, InternViT.

Of each model type the first has images of 9 × 9 patches, for bfloat16. Tensors are stored under the
names that transformers 5.23 writes, or under those of publications and of versions between.
"""

from __future__ import annotations

from typing import Any

from ..random_models import model as text_model
from ..random_models.wrapped import GEMMA3_TEXT, wrapped
from .model import VisionModel, dino_sizes, sizes

TEXT = text_model.sizes(48, 2, (3, 1), 67, 131)
GEMMA3 = TEXT | GEMMA3_TEXT
OLD_NAMES = {"vision_tower.": "vision_tower.vision_model."}
NAMES_BETWEEN = {
    "vision_tower.": "model.vision_tower.vision_model.",
    "language_model.model.": "model.language_model.",
    "language_model.lm_head.": "lm_head.",
    "multi_modal_projector.": "model.multi_modal_projector.",
}
NEW_NAMES = NAMES_BETWEEN | {"vision_tower.": "model.vision_tower."}


def siglip(*given: Any, **more: Any) -> dict[str, Any]:
    return {"model_type": "siglip_vision_model", **sizes(*given, **more)}


def clip(*given: Any, **more: Any) -> dict[str, Any]:
    return {"model_type": "clip_vision_model", "projection_dim": 16, **sizes(*given, **more)}


def internvit(*given: Any, image: int, patch: int, **more: Any) -> dict[str, Any]:
    return {
        "model_type": "internvl_vision",
        **sizes(*given, [patch, patch], image_size=[image, image], **more),
    }


def tower(name: str, text: str, vision: dict[str, Any], **more: Any) -> VisionModel:
    """The model type is what `name` begins with; `text` is that of its language model."""
    family = name.partition("-")[0]
    module, keys = more.pop("module"), more.pop("keys", {})
    image = more.pop("image", vision["image_size"])
    is_siglip = vision["model_type"].startswith("siglip")
    config = wrapped(text, vision, GEMMA3 if "gemma3" in text else TEXT, **keys)
    sides = (image, image) if isinstance(image, int) else tuple(image)
    return VisionModel(
        name, family, f"{module}ForConditionalGeneration", config, sides,
        class_tokens=0 if is_siglip else 1, **more,
    )  # fmt: skip


TOWERS = (
    tower(
        "gemma3-siglip-5heads-published", "gemma3_text", siglip(65, 3, 5, 131, 4, image_size=36),
        module="Gemma3", keys={"mm_tokens_per_image": 9}, names=OLD_NAMES,
    ),
    tower(
        "gemma3-siglip-7heads-4x11of6x6-bfloat16", "gemma3_text",
        siglip(77, 3, 7, 149, 5, image_size=30, layer_norm_eps=1e-2), image=(20, 55),
        module="Gemma3", keys={"mm_tokens_per_image": 9}, dtype="bfloat16", names=NAMES_BETWEEN,
    ),
    tower(
        "paligemma-siglip-3heads", "gemma",
        siglip(75, 3, 3, 127, 4, image_size=36, vision_use_head=False),
        module="PaliGemma", keys={"projection_dim": 48},
    ),
    tower(
        "paligemma-siglip-9heads-quick-published-sharded", "gemma",
        siglip(63, 2, 9, 113, 8, image_size=48, hidden_act="quick_gelu"),
        module="PaliGemma", keys={"projection_dim": 48}, shard="100KB", names=OLD_NAMES,
    ),
    tower(
        "llava-clip-5heads-published", "llama", clip(65, 3, 5, 131, 4, image_size=36),
        module="Llava", names=OLD_NAMES,
    ),
    tower(
        "llava-clip-7heads-gelu-5x9of7x7", "mistral",
        clip(77, 3, 7, 149, 5, image_size=35, hidden_act="gelu"), image=(25, 45),
        module="Llava", names=NEW_NAMES,
    ),
    tower(
        "llava-dinov2-3heads-9x4of6x6", "qwen2",
        {"model_type": "dinov2", **dino_sizes(75, 2, 3, 3, 5, image_size=30)}, image=(45, 20),
        module="Llava",
    ),
    tower(
        "llava_next-clip-3heads-bfloat16", "mistral", clip(75, 4, 3, 127, 4, image_size=36),
        module="LlavaNext", dtype="bfloat16", names=NAMES_BETWEEN,
    ),
    tower(
        "llava_onevision-siglip-5heads-sharded", "qwen2", siglip(65, 2, 5, 131, 4, image_size=36),
        module="LlavaOnevision", shard="100KB",
    ),
    tower(
        "internvl-5heads", "qwen2", internvit(65, 3, 5, 131, image=36, patch=4), module="InternVL",
    ),
    tower(
        "internvl-7heads-root-normed-biases-4x10of7x7", "llama",
        internvit(77, 3, 7, 149, image=35, patch=5, norm_type="rms_norm", use_qk_norm=True,
                  attention_bias=True, layer_scale_init_value=0.5), image=(20, 50),
        module="InternVL", names=NEW_NAMES,
    ),
    tower(
        "internvl-3heads-final-norm-masked-bfloat16", "qwen2",
        internvit(75, 4, 3, 127, image=48, patch=8, use_mean_pooling=False, layer_norm_eps=1e-2,
                  use_mask_token=True, hidden_act="gelu_pytorch_tanh"),
        module="InternVL", dtype="bfloat16",
    ),
    tower(
        "internvl-9heads-without-positions-6x4", "qwen2",
        internvit(63, 2, 9, 113, image=32, patch=8, use_absolute_position_embeddings=False),
        image=(48, 32), module="InternVL", shard="100KB",
    ),
)  # fmt: skip
