"""An image file -> the normalised pixels that a Vision Transformer sees, by the settings of its
checkpoint (image_settings).

In: image files. Out: float32 [3, height, width], the numbers of transformers' PIL image processors.
Refuses what image_decoding refuses, and an image that would grow beyond LARGEST_PIXELS.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from preparation.errors import CORPUS, PreparationError
from preparation.image_decoding import LARGEST_PIXELS, decode
from preparation.image_settings import RESCALES_FIRST, Settings


@dataclass(frozen=True)
class ProcessedImage:
    pixels: np.ndarray  # [3, height, width] float32
    height: int  # of the file's image, upright
    width: int
    sha256: bytes  # of the file
    oddities: tuple[str, ...]  # of image_decoding


def process(path: Path, settings: Settings) -> ProcessedImage:
    """Reads an image file and makes its pixels."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PreparationError(CORPUS, f"{path}: {error.strerror}") from None
    decoded = decode(path, content)
    return ProcessedImage(
        pixels=_pixels_of(path, decoded.image, settings),
        height=decoded.image.height,
        width=decoded.image.width,
        sha256=hashlib.sha256(content).digest(),
        oddities=decoded.oddities,
    )


def _pixels_of(path: Path, image: Image.Image, settings: Settings) -> np.ndarray:
    rescales_first = settings.get(RESCALES_FIRST, False)
    pixels = np.asarray(image)  # [height, width, 3] uint8
    if rescales_first:
        pixels = _rescaled(pixels, settings)
    if settings["do_resize"]:
        height, width = _resized_size(image, settings["size"])
        if height * width > LARGEST_PIXELS:
            raise PreparationError(
                CORPUS, f"{path}: {image.width} × {image.height} would grow to {width} × {height}"
            )
        pixels = _resized(pixels, (width, height), settings["resample"])
    if settings["do_center_crop"]:
        pixels = _center_crop(pixels, **settings["crop_size"])
    if not rescales_first:
        pixels = _rescaled(pixels, settings)
    if settings["do_normalize"]:
        mean = np.array(settings["image_mean"], dtype=np.float32)
        std = np.array(settings["image_std"], dtype=np.float32)
        pixels = (pixels - mean) / std
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _rescaled(pixels: np.ndarray, settings: Settings) -> np.ndarray:
    """As float32."""
    if settings["do_rescale"]:
        pixels = pixels.astype(np.float64) * settings["rescale_factor"]
    return pixels.astype(np.float32, copy=False)


def _resized(pixels: np.ndarray, size: tuple[int, int], resample: int) -> np.ndarray:
    """[height, width, 3]; of floating-point pixels each channel is an image of its own."""
    if pixels.dtype == np.uint8:
        return np.asarray(Image.fromarray(pixels).resize(size, resample=resample))
    channels = [Image.fromarray(pixels[:, :, channel]) for channel in range(3)]
    return np.stack([np.asarray(each.resize(size, resample=resample)) for each in channels], axis=2)


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
