"""What a file is, told by its first bytes: an image that can be read here, or which other thing.

In: a path. Out: a `Kind`. The name matters where the bytes say nothing (a text, an unknown kind) and
for the raw pictures of cameras, which look like TIFF and of which a thumbnail would be read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from preparation.errors import MODEL, PreparationError

HEAD_BYTES = 1024  # that tell what a file is
LFS_KIND = "Git LFS pointer"

# Endings that promise an image; what is called so and is none is refused, not left out.
ENDINGS = frozenset(
    ".avif .bmp .dib .gif .ico .j2k .jfif .jp2 .jpe .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff"
    " .webp".split()
)
CAMERA_RAW = frozenset(".arw .cr2 .cr3 .dng .nef .nrw .orf .pef .raf .rw2 .srw".split())

READABLE = re.compile(
    rb"\xff\xd8\xff"  # JPEG
    rb"|\x89PNG\r\n\x1a\n"
    rb"|GIF8[79]a"
    rb"|RIFF....WEBP"
    rb"|BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0"  # BMP, by the size of its second header
    rb"|II[*+]\0|MM\0[*+]"  # TIFF
    rb"|\0\0\0\x0cjP  |\xff\x4f\xff\x51"  # JPEG 2000
    rb"|....ftyp(avif|avis)"
    rb"|....ftyp(mif1|msf1|miaf).{,60}(avif|avis)"
    rb"|P[1-6]\s+[#\d]"  # PBM, PGM, PPM
    rb"|\0\0\1\0[^\0]\0"  # ICO
    rb"|qoif|8BPS",
    re.DOTALL,
)

# What else a file may be, and how it is called in a message.
OTHERS: tuple[tuple[str, str], ...] = (
    ("HEIC image", r"....ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)"),
    ("JPEG XL image", r"\xff\x0a|\0\0\0\x0cJXL "),
    (LFS_KIND, r"version https://git-lfs"),
    ("SVG drawing", r"(\xef\xbb\xbf)?\s*(<\?xml|<!--|<!DOCTYPE svg)?.{,900}<svg"),
    ("HTML page", r"(\xef\xbb\xbf)?\s*(<!--.{,500}-->\s*)?<(!doctype html|html|head|body)"),
    ("PDF", r"%PDF"),
    ("video", r"....ftyp|....(moov|mdat)|RIFF....AVI |\x1aE\xdf\xa3|\0\0\1[\xb3\xba]"),
    ("archive", r"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|\xfd7zXZ|BZh|\x28\xb5\x2f\xfd|.{257}ustar|Rar!"),
    ("HDF5 file", r"\x89HDF"),
    ("PostScript drawing", r"%!PS|\xc5\xd0\xd3\xc6"),
)
OTHER_PATTERNS = tuple(
    (name, re.compile(pattern.encode("latin-1"), re.DOTALL | re.IGNORECASE))
    for name, pattern in OTHERS
)


@dataclass(frozen=True)
class Kind:
    """What a file is."""

    name: str  # for people, in the singular: "HEIC image"
    is_readable: bool = False

    def __str__(self) -> str:
        return self.name


IMAGE = Kind("image", is_readable=True)
EMPTY = Kind("empty file")
TEXT = Kind("text")
RAW = Kind("camera's raw picture")


def kind_of(path: Path, head: bytes) -> Kind:
    """What the file is whose first HEAD_BYTES, or all if it is shorter, are `head`."""
    if not head:
        return EMPTY
    if path.suffix.lower() in CAMERA_RAW:
        return RAW
    if READABLE.match(head):
        return IMAGE
    for name, pattern in OTHER_PATTERNS:
        if pattern.match(head):
            return Kind(name)
    if is_text(head):
        return TEXT
    return Kind(f"file of an unknown kind ({path.suffix or 'no ending'})")


def is_text(head: bytes) -> bool:
    """Whether a file that begins so is a text in UTF-8."""
    try:
        head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # else the last letter goes on behind the head
            return False
    return b"\0" not in head


def kind_at(path: Path) -> Kind:
    """What the file at `path` is; raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return kind_of(path, file.read(HEAD_BYTES))


def refuse_pointer(path: Path, exit_code: int = MODEL) -> None:
    """Refuses a Git LFS pointer where a file should be, by default a model's; another reader says what else is
    wrong."""
    try:
        is_pointer = kind_at(path).name == LFS_KIND
    except OSError:
        return
    if is_pointer:
        raise PreparationError(
            exit_code, f"{path}: found a {LFS_KIND}, not the file: `git lfs pull` fetches it"
        )
