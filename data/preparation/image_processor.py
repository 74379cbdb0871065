"""An image file -> the normalised pixels that a Vision Transformer sees, by the settings of its
checkpoint.

In: preprocessor_config.json of a model directory, whose processor is one of PROCESSORS (with the
defaults that transformers gives it), and image files. Out: float32 [3, height, width], the numbers
of transformers' PIL image processors. Refuses a setting that is not known here, a file that is no
whole image, and one of more than 8 bits a channel.
"""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from preparation.errors import CORPUS, MODEL, PreparationError

Settings = dict[str, Any]

CONFIG_NAME = "preprocessor_config.json"
OPENAI_CLIP = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
HALVES = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
SQUARE = {"height": 224, "width": 224}
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
    "SiglipImageProcessor": (
        COMMON | HALVES | {"size": SQUARE, "resample": Image.Resampling.BICUBIC.value}
    ),
    "ViTImageProcessor": (
        COMMON | HALVES | {"size": SQUARE, "resample": Image.Resampling.BILINEAR.value}
    ),
}
SQUARE_BY_NUMBER = ("ViTImageProcessor",)  # where "size": 224 means 224 × 224

# Keys of preprocessor_config.json that say nothing about pixels; images are always made RGB.
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
    "input_data_format",
    "processor_class",
    "return_tensors",
    "use_fast",
)
LARGEST_PIXELS = 1 << 27  # of an image, stored or resized


@dataclass(frozen=True)
class ProcessedImage:
    pixels: np.ndarray  # [3, height, width] float32
    height: int  # of the file's image, upright
    width: int
    sha256: bytes  # of the file
    num_bytes: int


def load_settings(directory: Path) -> Settings:
    """The effective settings of a checkpoint's processor, with "type" for its name."""
    path = directory / CONFIG_NAME
    stored = _read_json(path)
    name = _type_of(path, stored)
    settings = dict(PROCESSORS[name])
    for key, value in stored.items():
        if key in settings:
            settings[key] = settings[key] if value is None else value
        elif key not in WITHOUT_EFFECT and value not in (None, False):
            raise PreparationError(MODEL, f"{path}: the setting {key} ({value}) is not known here")
    if settings["do_resize"]:
        is_square = name in SQUARE_BY_NUMBER
        settings["size"] = _size_of(path, "size", settings["size"], is_square)
    if settings["do_center_crop"]:
        settings["crop_size"] = _size_of(path, "crop_size", settings["crop_size"], True)
        if "shortest_edge" in settings["crop_size"]:
            raise PreparationError(
                MODEL, f"{path}: crop_size is {settings['crop_size']}, expected height and width"
            )
    _check_numbers(path, settings)
    return {"type": name} | settings


def fingerprint_of(settings: Settings) -> str:
    """SHA-256 of the settings as JSON with sorted keys and no spaces."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def process(path: Path, settings: Settings) -> ProcessedImage:
    """Reads an image file and makes its pixels."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PreparationError(CORPUS, f"{path}: {error.strerror}") from None
    image = _upright_rgb(path, content)
    return ProcessedImage(
        pixels=_pixels_of(path, image, settings),
        height=image.height,
        width=image.width,
        sha256=hashlib.sha256(content).digest(),
        num_bytes=len(content),
    )


def _read_json(path: Path) -> Settings:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PreparationError(MODEL, f"{path.parent}: there is no {CONFIG_NAME}") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise PreparationError(MODEL, f"{path} is not readable as JSON: {error}") from None
    if not isinstance(content, dict):
        found = type(content).__name__
        raise PreparationError(MODEL, f"{path}: expected a JSON object, found {found}")
    return content


def _type_of(path: Path, stored: Settings) -> str:
    found = stored.get("image_processor_type") or stored.get("feature_extractor_type")
    name = str(found).removesuffix("Fast").removesuffix("Pil")
    name = name.replace("FeatureExtractor", "ImageProcessor")
    if name not in PROCESSORS:
        known = ", ".join(sorted(PROCESSORS))
        raise PreparationError(
            MODEL, f"{path}: image_processor_type {found} is not known here (known: {known})"
        )
    return name


def _size_of(path: Path, key: str, value: Any, is_square: bool) -> dict[str, int]:
    """{"height", "width"} or {"shortest_edge"}, also of the single number that older files have."""
    size = value
    if isinstance(value, int):
        size = {"height": value, "width": value} if is_square else {"shortest_edge": value}
    elif isinstance(value, dict):
        size = {name: number for name, number in value.items() if number is not None}
    if isinstance(size, dict) and size.keys() in ({"height", "width"}, {"shortest_edge"}):
        if all(isinstance(number, int) and number > 0 for number in size.values()):
            return size
    raise PreparationError(
        MODEL, f"{path}: {key} is {value}, expected height and width, or shortest_edge"
    )


def _check_numbers(path: Path, settings: Settings) -> None:
    if settings["resample"] not in [each.value for each in Image.Resampling]:
        raise PreparationError(
            MODEL, f"{path}: resample {settings['resample']} is no filter of PIL"
        )
    for key in ("image_mean", "image_std"):
        if isinstance(settings[key], int | float):
            settings[key] = [settings[key]] * 3
        if len(settings[key]) != 3:
            raise PreparationError(
                MODEL, f"{path}: {key} has {len(settings[key])} numbers, expected 3 (RGB)"
            )


def _upright_rgb(path: Path, content: bytes) -> Image.Image:
    """The image as a viewer shows it: turned as its EXIF says, on white where it is transparent."""
    image = _decoded(path, content)
    if image.mode.startswith(("I", "F")):
        raise PreparationError(
            CORPUS, f"{path} has pixels of mode {image.mode}, expected 8 bits a channel"
        )
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _decoded(path: Path, content: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged metadata, and of size: see below
            image = Image.open(io.BytesIO(content))
            num_pixels = image.width * image.height
            if num_pixels <= LARGEST_PIXELS:
                return ImageOps.exif_transpose(image)
    except UnidentifiedImageError:
        raise PreparationError(CORPUS, f"{path} is no image of a format known to Pillow") from None
    except Exception as error:  # damaged files raise almost anything out of PIL's readers
        raise PreparationError(CORPUS, f"{path} is not a whole image: {error}") from None
    raise PreparationError(
        CORPUS, f"{path} has {num_pixels:,} pixels, expected at most {LARGEST_PIXELS:,}"
    )


def _pixels_of(path: Path, image: Image.Image, settings: Settings) -> np.ndarray:
    if settings["do_resize"]:
        height, width = _resized_size(image, settings["size"])
        if height * width > LARGEST_PIXELS:
            raise PreparationError(
                CORPUS, f"{path}: {image.width} × {image.height} would grow to {width} × {height}"
            )
        image = image.resize((width, height), resample=settings["resample"])
    pixels = np.asarray(image)  # [height, width, 3] uint8
    if settings["do_center_crop"]:
        pixels = _center_crop(pixels, **settings["crop_size"])
    if settings["do_rescale"]:
        pixels = (pixels.astype(np.float64) * settings["rescale_factor"]).astype(np.float32)
    pixels = pixels.astype(np.float32, copy=False)
    if settings["do_normalize"]:
        mean = np.array(settings["image_mean"], dtype=np.float32)
        std = np.array(settings["image_std"], dtype=np.float32)
        pixels = (pixels - mean) / std
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _resized_size(image: Image.Image, size: dict[str, int]) -> tuple[int, int]:
    """Height and width; the longer edge of a proportional size is rounded down."""
    if "height" in size:
        return size["height"], size["width"]
    edge = size["shortest_edge"]
    longest = int(edge * max(image.size) / min(image.size))
    return (longest, edge) if image.width <= image.height else (edge, longest)


def _center_crop(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """The middle; an image that is smaller gets a black margin, the larger half of an odd one
    above and to the left."""
    missing = [max(0, height - pixels.shape[0]), max(0, width - pixels.shape[1])]
    margins = [((each + 1) // 2, each // 2) for each in missing]
    pixels = np.pad(pixels, [*margins, (0, 0)])
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return pixels[top : top + height, left : left + width]
