"""Bits of a channel in an image file, where its first bytes say them, and 16 of them made 8.

In: the content of a file and the image that Pillow opened. Pillow itself keeps the upper 8 bits
of deep colours, but takes every deep grey above 255 for white; here the upper 8 count in both.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, TiffImagePlugin

BITS_PER_SAMPLE = 258  # tags of TIFF
SAMPLE_FORMAT = 339
UNSIGNED = 1
CODESTREAM = b"\xff\x4f\xff\x51"  # where a JPEG 2000 image begins
CODESTREAM_BITS = 42  # bytes behind it, of the first channel, less 1
AV1_CONFIGURATION = b"av1C"
PNG_BITS = 24
DEEP_GREY = ("I;16", "I;16B", "I;16L", "I;16N")


def bits_of(content: bytes, image: Image.Image) -> int:
    """Bits of a channel as the file has them; 8 where its format has no others."""
    if image.format == "PNG":
        return content[PNG_BITS]
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return max(image.tag_v2.get(BITS_PER_SAMPLE, (1,)))
    if image.format == "PPM":
        return 16 if image.mode == "I" or _maximum_of(content) > 255 else 8
    if image.format == "JPEG2000":
        begin = content.find(CODESTREAM)
        return (content[begin + CODESTREAM_BITS] & 0x7F) + 1
    if image.format == "AVIF":
        begin = content.find(AV1_CONFIGURATION) + len(AV1_CONFIGURATION)
        return 8 + 2 * (content[begin + 2] >> 6 & 1) + 2 * (content[begin + 2] >> 5 & 1)
    return 8


def _maximum_of(content: bytes) -> int:
    """The largest value of a PGM or PPM: its fourth word, without comments."""
    words: list[bytes] = []
    for line in content[:4096].splitlines():
        words += line.partition(b"#")[0].split()
        if len(words) >= 4:
            break
    return int(words[3]) if len(words) >= 4 and words[3].isdigit() else 0


def grey_bits_of(bits: int, image: Image.Image) -> int:
    """Bits of the numbers in an image of deep grey without a sign; 0 where it is something else."""
    if not 8 < bits <= 16:
        return 0
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        is_unsigned = image.tag_v2.get(SAMPLE_FORMAT, (UNSIGNED,))[0] == UNSIGNED
        return bits if image.mode in DEEP_GREY and is_unsigned else 0
    is_pgm = image.format == "PPM" and image.mode == "I"
    return 16 if image.mode in DEEP_GREY or is_pgm else 0  # to which Pillow stretches others


def upper_bits(image: Image.Image, bits: int) -> Image.Image:
    """A deep grey image as 8 bits, white where it is transparent."""
    values = np.asarray(image).astype(np.int64)
    grey = (values >> (bits - 8)).clip(0, 255).astype(np.uint8)
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey[values == clear] = 255
    return Image.fromarray(grey)
