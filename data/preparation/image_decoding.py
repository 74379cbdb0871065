"""The bytes of an image file -> an upright RGB image of 8 bits, and what was odd about it.

In: the content of a file that Pillow reads. Out: the first picture, turned as its EXIF says, laid on
white where it is transparent, of deeper channels the upper 8 bits; with what is said of it then.
Refuses what is no image or no whole one, others than of 1 to 16 bits, and more than LARGEST_PIXELS.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image, PngImagePlugin, UnidentifiedImageError

from preparation.errors import CORPUS, PreparationError
from preparation.file_kinds import HEAD_BYTES, IMAGE, RAW, kind_of
from preparation.image_depth import bits_of, grey_bits_of, upper_bits
from preparation.image_folders import refuse_kind

LARGEST_PIXELS = 1 << 27  # of an image, stored or resized
LARGEST_METADATA_BYTES = 1 << 29  # of a PNG: colour profiles, texts

Image.MAX_IMAGE_PIXELS = None  # LARGEST_PIXELS is held to here, before pixels are read
PngImagePlugin.MAX_TEXT_CHUNK = LARGEST_METADATA_BYTES
PngImagePlugin.MAX_TEXT_MEMORY = LARGEST_METADATA_BYTES

# Values of EXIF's orientation -> what sets the image upright. Pillow's own exif_transpose also writes
# the EXIF anew, which damage elsewhere in it prevents.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Formats of Pillow that run another program, or know no pixels.
NOT_READ = ("BUFR", "EPS", "FITS", "GRIB", "HDF5", "MPEG", "WMF")

DEEP = "channels of more than 8 bits, of which the upper 8 count"
SEVERAL = "several pictures, of which the first counts"
CLEAR = "transparent parts, laid on white as transformers' processors do"
LOST_EXIF = "EXIF that cannot be read, and are not turned"


@dataclass(frozen=True)
class Decoded:
    image: Image.Image  # RGB
    oddities: tuple[str, ...]


def decode(path: Path, content: bytes) -> Decoded:
    """The image of a file, whose name is for messages."""
    kind = kind_of(path, content[:HEAD_BYTES])
    if kind == RAW:
        raise refuse_kind(path, kind)
    try:
        with warnings.catch_warnings(), _silent_libraries():
            warnings.simplefilter("ignore")  # of damaged metadata
            return _decoded(path, content)
    except PreparationError:
        raise
    except UnidentifiedImageError:
        if kind != IMAGE:
            raise refuse_kind(path, kind) from None
        raise PreparationError(CORPUS, f"{path} is no image of a format known to Pillow") from None
    except Exception as error:  # damaged files raise almost anything out of PIL's readers
        reason = " ".join(str(error).split()) or type(error).__name__
        if "MAX_TEXT" in reason:
            reason = f"its texts or colour profile have more than {LARGEST_METADATA_BYTES:,} bytes"
        raise PreparationError(CORPUS, f"{path} is not a whole image: {reason}") from None


def _decoded(path: Path, content: bytes) -> Decoded:
    Image.init()
    formats = [name for name in Image.ID if name not in NOT_READ]
    image = Image.open(io.BytesIO(content), formats=formats)
    num_pixels = image.width * image.height
    if num_pixels > LARGEST_PIXELS:
        raise PreparationError(
            CORPUS, f"{path} has {num_pixels:,} pixels, expected at most {LARGEST_PIXELS:,}"
        )
    oddities = []
    bits = bits_of(content, image)
    grey_bits = grey_bits_of(bits, image)
    if bits > 8:
        oddities.append(DEEP)
    if _has_several(content, formats):
        oddities.append(SEVERAL)
    image.load()
    upright = image
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
        upright = image if turn is None else image.transpose(turn)
    except Exception:  # out of Pillow's readers of EXIF; the pixels are whole
        oddities.append(LOST_EXIF)
    if grey_bits:
        upright = upper_bits(upright, grey_bits)
    if upright.mode.startswith(("I", "F")):
        raise PreparationError(
            CORPUS, f"{path} has pixels of mode {image.mode}, expected 1 to 16 bits a channel"
        )
    if "A" in upright.getbands() or upright.info.get("transparency") is not None:
        upright = upright.convert("RGBA")
        if upright.getextrema()[3][0] < 255:
            oddities.append(CLEAR)
        white = Image.new("RGBA", upright.size, (255, 255, 255, 255))
        upright = Image.alpha_composite(white, upright)
    return Decoded(upright.convert("RGB"), tuple(oddities))


@contextlib.contextmanager
def _silent_libraries() -> Iterator[None]:
    """Without what libtiff writes to standard error by itself."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _has_several(content: bytes, formats: list[str]) -> bool:
    """Whether there are more pictures than one; a further one need not be whole."""
    try:
        return bool(getattr(Image.open(io.BytesIO(content), formats=formats), "is_animated", False))
    except Exception:  # of a second picture
        return True
