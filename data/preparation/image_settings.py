"""The settings of a checkpoint's image processor.

In: a model directory, whose processor_config.json or preprocessor_config.json describes one of
PROCESSORS (with the defaults that transformers gives it); where it names none, config.json's
model_type does. Out: the effective settings, as transformers takes them. Refuses a processor or a
setting that is not known here, and a value that transformers could not compute with.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from PIL import Image

from preparation.errors import MODEL, PreparationError
from preparation.json_files import read_object

Settings = dict[str, Any]

CONFIG_NAME = "preprocessor_config.json"
WHOLE_NAME = "processor_config.json"  # of transformers 5, beside other processors' settings
WHOLE_KEY = "image_processor"
OPENAI_CLIP = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
HALVES = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
SQUARE = {"height": 224, "width": 224}
RESCALES_FIRST = "rescales_before_resizing"  # of floating-point pixels; no file has this key
SMOOTH = (Image.Resampling.BILINEAR.value, Image.Resampling.BICUBIC.value)  # filters of such pixels
COMMON: Settings = {
    "do_resize": True,
    "do_center_crop": False,
    "crop_size": None,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
}
CROPPED: Settings = COMMON | OPENAI_CLIP
CROPPED |= {"size": {"shortest_edge": 224}, "resample": Image.Resampling.BICUBIC.value}
CROPPED |= {"do_center_crop": True, "crop_size": SQUARE}

# What transformers takes for settings that a checkpoint leaves out.
PROCESSORS: dict[str, Settings] = {
    "BitImageProcessor": CROPPED,
    "CLIPImageProcessor": CROPPED,
    "DeiTImageProcessor": (
        CROPPED | HALVES | {"size": {"height": 256, "width": 256}, "crop_size": SQUARE}
    ),
    "DINOv3ViTImageProcessor": (
        COMMON | IMAGENET | {"size": SQUARE, "resample": Image.Resampling.BILINEAR.value}
    ) | {RESCALES_FIRST: True},
    "Gemma3ImageProcessor": (
        COMMON | HALVES | {"size": SQUARE, "resample": Image.Resampling.BILINEAR.value}
    ),
    "LlavaImageProcessor": CROPPED,
    "SiglipImageProcessor": (
        COMMON | HALVES | {"size": SQUARE, "resample": Image.Resampling.BICUBIC.value}
    ),
    "ViTImageProcessor": (
        COMMON | HALVES | {"size": SQUARE, "resample": Image.Resampling.BILINEAR.value}
    ),
}
# Where "size": 224 means 224 × 224, unless it is said.
SQUARE_BY_NUMBER = (
    "DeiTImageProcessor", "DINOv3ViTImageProcessor", "Gemma3ImageProcessor", "ViTImageProcessor",
)  # fmt: skip
# What transformers takes where no file names a processor, by config.json's model_type.
BY_MODEL_TYPE = {
    "aimv2": "CLIPImageProcessor",
    "aimv2_vision_model": "CLIPImageProcessor",
    "clip": "CLIPImageProcessor",
    "deit": "DeiTImageProcessor",
    "dinov2": "BitImageProcessor",
    "dinov3_vit": "DINOv3ViTImageProcessor",
    "gemma3": "Gemma3ImageProcessor",
    "ijepa": "ViTImageProcessor",
    "llava": "LlavaImageProcessor",
    "paligemma": "SiglipImageProcessor",
    "siglip": "SiglipImageProcessor",
    "vit": "ViTImageProcessor",
    "vit_mae": "ViTImageProcessor",
    "vit_msn": "ViTImageProcessor",
}

# Keys of preprocessor_config.json that say nothing about pixels, or nothing without another one that
# is not known here (do_pan_and_scan); images are always made RGB.
WITHOUT_EFFECT = (
    "_processor_class",
    "_valid_processor_keys",
    "data_format",
    "default_to_square",
    "device",
    "disable_grouping",
    "do_convert_rgb",
    "feature_extractor_type",
    "image_processor_type",
    "image_seq_length",
    "input_data_format",
    "pan_and_scan_max_num_crops",
    "pan_and_scan_min_crop_size",
    "pan_and_scan_min_ratio_to_activate",
    "processor_class",
    "return_tensors",
    "use_fast",
)
LARGEST_SIDE = 1 << 14  # of what images are resized or cropped to


def load_settings(directory: Path) -> Settings:
    """The effective settings of a checkpoint's processor, with "type" for its name."""
    path, stored = _stored_settings(directory)
    name = _type_of(path, stored)
    settings = dict(PROCESSORS[name])
    for key, value in stored.items():
        if key in settings and key != RESCALES_FIRST:
            settings[key] = value
        elif key not in WITHOUT_EFFECT and value not in (None, False):
            raise _refuse(path, f"the setting {key} ({shortened(value)}) is not known here")
    for key in settings:
        if key.startswith("do_"):
            settings[key] = _flag(path, key, settings[key])
    if settings["do_resize"]:
        is_square = stored.get("default_to_square", name in SQUARE_BY_NUMBER)
        settings["size"] = _size_of(path, "size", settings["size"], bool(is_square))
    if settings["do_center_crop"]:
        settings["crop_size"] = _size_of(path, "crop_size", settings["crop_size"], True)
        if "shortest_edge" in settings["crop_size"]:
            found = settings["crop_size"]
            raise _refuse(path, f"crop_size is {found}, expected height and width")
    _check_numbers(path, settings)
    return {"type": name} | settings


def fingerprint_of(settings: Settings) -> str:
    """SHA-256 of the settings as JSON with sorted keys and no spaces."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def shortened(value: Any) -> str:
    """A value of a JSON file, for a message."""
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _refuse(path: Path, found: str) -> PreparationError:
    return PreparationError(MODEL, f"{path}: {found}")


def _stored_settings(directory: Path) -> tuple[Path, Settings]:
    """The settings as they are stored, and in which file."""
    whole = directory / WHOLE_NAME
    if whole.exists():
        content = _read_json(whole)
        if WHOLE_KEY in content:
            if not isinstance(content[WHOLE_KEY], dict):
                found = shortened(content[WHOLE_KEY])
                raise _refuse(whole, f"{WHOLE_KEY}: expected a JSON object, found {found}")
            return whole, content[WHOLE_KEY]
    path = directory / CONFIG_NAME
    return path, _read_json(path)


def _read_json(path: Path) -> Settings:
    if not path.exists():
        raise PreparationError(MODEL, f"{path.parent}: there is no {path.name}")
    return read_object(path)


def _type_of(path: Path, stored: Settings) -> str:
    found = stored.get("image_processor_type") or stored.get("feature_extractor_type")
    if found is None:
        found = _type_of_model(path)
    name = str(found).removesuffix("Fast").removesuffix("Pil")
    name = name.replace("FeatureExtractor", "ImageProcessor")
    if name not in PROCESSORS:
        known = ", ".join(sorted(PROCESSORS))
        found = None if found is None else shortened(found)
        raise _refuse(path, f"image_processor_type {found} is not known here (known: {known})")
    return name


def _type_of_model(path: Path) -> Any:
    """The processor of the checkpoint beside the settings, where they name none."""
    config = path.parent / "config.json"
    if not config.exists():
        return None
    content = _read_json(config)
    named = content.get("image_processor_type")
    return named or BY_MODEL_TYPE.get(str(content.get("model_type")))


def _flag(path: Path, key: str, value: Any) -> bool:
    if value is not None and not isinstance(value, bool):
        raise _refuse(path, f"{key} is {shortened(value)}, expected true, false or null")
    return bool(value)


def _size_of(path: Path, key: str, value: Any, is_square: bool) -> dict[str, int]:
    """{"height", "width"} or {"shortest_edge"}, also of the number or the two that files have."""
    size = value
    if isinstance(value, int):
        size = {"height": value, "width": value} if is_square else {"shortest_edge": value}
    elif isinstance(value, list) and len(value) == 2:
        size = {"height": value[0], "width": value[1]}
    elif isinstance(value, dict):
        size = {name: number for name, number in value.items() if number is not None}
    if isinstance(size, dict) and size.keys() in ({"height", "width"}, {"shortest_edge"}):
        if all(type(number) is int and 0 < number <= LARGEST_SIDE for number in size.values()):
            return size
    raise _refuse(
        path,
        f"{key} is {shortened(value)}, expected height and width, or shortest_edge, from 1 to"
        f" {LARGEST_SIDE:,}",
    )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _check_numbers(path: Path, settings: Settings) -> None:
    """Refuses numbers that are used and are none; makes three of one mean or deviation."""
    filters = [each.value for each in Image.Resampling]
    resample = settings["resample"]
    if settings["do_resize"] and (type(resample) is not int or resample not in filters):
        raise _refuse(path, f"resample {shortened(resample)} is not a filter of PIL")
    if settings["do_resize"] and RESCALES_FIRST in settings and resample not in SMOOTH:
        raise _refuse(path, f"resample is {resample}, expected 2 (bilinear) or 3 (bicubic)")
    factor = settings["rescale_factor"]
    if settings["do_rescale"] and not _is_number(factor):
        raise _refuse(path, f"rescale_factor is {shortened(factor)}, expected a number")
    for key in ("image_mean", "image_std") if settings["do_normalize"] else ():
        value = settings[key]
        numbers = value if isinstance(value, list) else [value] * 3
        if len(numbers) != 3 or not all(map(_is_number, numbers)):
            raise _refuse(path, f"{key} is {shortened(value)}, expected 3 numbers (RGB)")
        if key == "image_std" and 0 in numbers:
            raise _refuse(path, f"{key} is {shortened(value)}, by which pixels cannot be divided")
        settings[key] = numbers
