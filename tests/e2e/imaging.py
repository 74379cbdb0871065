"""What the tests of data/prepare_images.py share: processors as the hub has them, a photograph."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

from PIL import Image

MATPLOTLIB = importlib.util.find_spec("matplotlib")
assert MATPLOTLIB is not None and MATPLOTLIB.origin is not None
SAMPLES = Path(MATPLOTLIB.origin).parent / "mpl-data" / "sample_data"
PHOTO = SAMPLES / "grace_hopper.jpg"  # 512 × 600, in colour

OPENAI = {"image_mean": [0.48145466, 0.4578275, 0.40821073]}
OPENAI |= {"image_std": [0.26862954, 0.26130258, 0.27577711]}
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
BIT = {"image_processor_type": "BitImageProcessor", "do_convert_rgb": True, "resample": 3}
CROP = {"do_center_crop": True, "crop_size": {"height": 224, "width": 224}}

# preprocessor_config.json as the hub has it, old and new spellings.
MODELS: dict[str, dict[str, Any]] = {
    "clip_old": (
        {"feature_extractor_type": "CLIPFeatureExtractor", "size": 224, "crop_size": 224}
        | {"do_resize": True, "do_center_crop": True, "do_normalize": True, "resample": 3}
        | OPENAI
    ),
    "clip_336": (
        {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 336}}
        | {"do_center_crop": True, "crop_size": {"height": 336, "width": 336}, "resample": 3}
        | {"do_rescale": True, "rescale_factor": 0.00392156862745098}
        | OPENAI
    ),
    "vit_old": (
        {"feature_extractor_type": "ViTFeatureExtractor", "size": 224, "resample": 2}
        | {"do_resize": True, "do_normalize": True}
        | HALF
    ),
    "vit": (
        {"image_processor_type": "ViTImageProcessorFast", "resample": 2, "do_resize": True}
        | {
            "size": {"height": 384, "width": 384},
            "rescale_factor": 1 / 255,
            "default_to_square": True,
        }
        | HALF
    ),
    "vit_mae": (
        {"feature_extractor_type": "ViTFeatureExtractor", "size": 224, "resample": 3}
        | {"do_resize": True, "do_normalize": True}
        | IMAGENET
    ),
    "dinov2": BIT | CROP | IMAGENET | {"size": {"shortest_edge": 256}},
    "dinov2_small_image": (
        BIT
        | IMAGENET
        | {"size": {"shortest_edge": 100}, "do_center_crop": True}
        | {"crop_size": {"height": 121, "width": 160}}
    ),
    "dinov2_without_resize": BIT | CROP | IMAGENET | {"do_resize": False},
    "siglip": (
        {"image_processor_type": "SiglipImageProcessor", "resample": 3}
        | {"size": {"height": 224, "width": 224}, "processor_class": "SiglipProcessor"}
        | HALF
    ),
    "siglip_defaults": {"image_processor_type": "SiglipImageProcessor"},
    "siglip_so400m": (  # google/siglip-so400m-patch14-384
        {"do_convert_rgb": None, "do_normalize": True, "do_rescale": True, "do_resize": True}
        | {"image_processor_type": "SiglipImageProcessor", "processor_class": "SiglipProcessor"}
        | {"resample": 3, "rescale_factor": 0.00392156862745098, "size": {"height": 384, "width": 384}}
        | HALF
    ),
    "siglip2": (  # google/siglip2-base-patch16-224
        {"do_convert_rgb": None, "do_normalize": True, "do_rescale": True, "do_resize": True}
        | {"image_processor_type": "SiglipImageProcessor", "processor_class": "SiglipProcessor"}
        | {"resample": 2, "rescale_factor": 0.00392156862745098, "size": {"height": 224, "width": 224}}
        | HALF
    ),
    "deit": (  # facebook/deit-base-distilled-patch16-224
        {"feature_extractor_type": "DeiTFeatureExtractor", "size": 256, "crop_size": 224}
        | {"do_resize": True, "do_center_crop": True, "do_normalize": True, "resample": 3}
        | IMAGENET
    ),
    "deit_defaults": {"image_processor_type": "DeiTImageProcessor"},
    "gemma3": (  # google/gemma-3-4b-it, smaller
        {"do_convert_rgb": None, "do_normalize": True, "do_pan_and_scan": None, "do_rescale": True}
        | {"image_processor_type": "Gemma3ImageProcessor", "image_seq_length": 256}
        | {"pan_and_scan_max_num_crops": None, "pan_and_scan_min_crop_size": 256}
        | {"pan_and_scan_min_ratio_to_activate": None, "processor_class": "Gemma3Processor"}
        | {"resample": 2, "rescale_factor": 0.00392156862745098, "size": {"height": 196, "width": 196}}
        | {"do_resize": True}
        | HALF
    ),
    "llava": (
        {"image_processor_type": "LlavaImageProcessor", "size": {"shortest_edge": 336}}
        | {"do_center_crop": True, "crop_size": {"height": 336, "width": 336}, "do_pad": False}
        | OPENAI
    ),
    "clip_square_by_number": (
        {"image_processor_type": "CLIPImageProcessor", "size": 240, "default_to_square": True}
        | {"crop_size": [200, 180]}
    ),
    "vit_by_two_numbers": {"image_processor_type": "ViTImageProcessor", "size": [40, 56]},
    "null_is_false": (  # crop_size is not used then
        {"image_processor_type": "CLIPImageProcessor", "do_normalize": None, "crop_size": None}
        | {"do_center_crop": None, "do_rescale": None, "size": {"height": 60, "width": 50}}
    ),
    "without_normalize": {"image_processor_type": "ViTImageProcessor", "do_normalize": False},
}


# facebook/dinov3-vits16-pretrain-lvd1689m
DINOV3: dict[str, Any] = (
    {"crop_size": None, "data_format": "channels_first", "default_to_square": True, "device": None}
    | {"disable_grouping": None, "do_center_crop": None, "do_convert_rgb": None, "do_normalize": True}
    | {"do_rescale": True, "do_resize": True, "image_processor_type": "DINOv3ViTImageProcessorFast"}
    | {"input_data_format": None, "resample": 2, "rescale_factor": 0.00392156862745098}
    | {"return_tensors": None, "size": {"height": 224, "width": 224}}
    | IMAGENET
)


def image_at(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.copy()


def write_model(directory: Path, config: dict[str, Any]) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "preprocessor_config.json").write_text(json.dumps(config))
    return directory


def make_photos(folder: Path) -> Path:
    """A folder of parts of a real photograph: upright, wide, tall, small, odd."""
    (folder / "below").mkdir(parents=True)
    photo = image_at(PHOTO)
    shutil.copy(PHOTO, folder / "b whole.JPG")
    photo.crop((0, 100, 512, 301)).save(folder / "a wide.png")
    photo.crop((100, 0, 233, 600)).save(folder / "below" / "tall.webp", lossless=True)
    photo.crop((200, 100, 299, 157)).save(folder / "below" / "small.bmp")
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_text("no image")
    return folder


IN_ORDER = ["a wide.png", "b whole.JPG", "below/small.bmp", "below/tall.webp"]
