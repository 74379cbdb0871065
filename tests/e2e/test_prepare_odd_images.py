"""data/prepare_images.py on images as people have them: what is read, as what, what is said of it, and
what is refused. Pixels are compared with transformers' own image processors and with numpy."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from transformers import AutoImageProcessor
from transformers.image_utils import load_image

from imaging import PHOTO, image_at, write_model
from preparing import assert_refused, run
from support.compatibility import Compatibility

SIGLIP = {"image_processor_type": "SiglipImageProcessor", "size": {"height": 30, "width": 30}}
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
HTML = b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n"
SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>\n'
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(range(200))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", SIGLIP)


def photo() -> Image.Image:
    return image_at(PHOTO).crop((100, 50, 190, 120))


def chunk(kind: bytes, content: bytes) -> bytes:
    """One part of a PNG."""
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def png(depth: int, colour: int, rows: bytes, size: tuple[int, int], *more: bytes) -> bytes:
    """A PNG of `rows`, each behind its filter byte 0; Pillow itself writes no deep colours."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + body


def deep_png(values: np.ndarray, colour: int, *more: bytes) -> bytes:
    """A PNG of 16 bits a channel: values [height, width, channels]."""
    height, width = values.shape[:2]
    rows = values.astype(">u2").reshape(height, -1)
    return png(16, colour, b"".join(b"\0" + row.tobytes() for row in rows), (width, height), *more)


def deep_values(channels: int) -> np.ndarray:
    """[40, 50, channels] of all 16 bits."""
    return np.random.default_rng(4).integers(0, 1 << 16, (40, 50, channels)).astype(np.uint16)


def prepare(model: Path, *sources: Path) -> tuple[np.ndarray, list[str]]:
    """The pixels of the images, and what was said on standard error."""
    output = model.parent / "images.h5"
    result = run("prepare_images.py", "--model", model, "--output", output, "--jobs", 1, *sources)
    assert result.returncode == 0, result.stderr
    with h5py.File(output) as file:
        return file["pixels"][:], result.stderr.splitlines()


def by_transformers(model: Path, image: Image.Image) -> np.ndarray:
    processor = AutoImageProcessor.from_pretrained(model, backend="pil")
    return processor(image, return_tensors="np")["pixel_values"][0]


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def with_exif(orientation: object) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def clear_palette() -> Image.Image:
    image = photo().quantize(16)
    image.info["transparency"] = 3
    return image


def lab_tiff() -> bytes:
    planes = [photo().convert("L"), photo().convert("L").rotate(180), Image.new("L", photo().size, 9)]
    return saved(Image.merge("LAB", planes), "TIFF")


# Name, what it is called on the page, content.
READ: list[tuple[str, str, Callable[[], bytes]]] = [
    ("grey.png", "grey PNG", lambda: saved(photo().convert("L"), "PNG")),
    ("one.png", "PNG of 1 bit", lambda: saved(photo().convert("1"), "PNG")),
    ("palette.gif", "GIF with a palette", lambda: saved(photo().quantize(16), "GIF")),
    ("palette.png", "PNG with a palette", lambda: saved(photo().quantize(16), "PNG")),
    ("cmyk.jpg", "JPEG in CMYK", lambda: saved(photo().convert("CMYK"), "JPEG")),
    ("a.tif", "TIFF", lambda: saved(photo(), "TIFF", compression="tiff_lzw")),
    ("cmyk.tif", "TIFF in CMYK", lambda: saved(photo().convert("CMYK"), "TIFF")),
    ("lab.tif", "TIFF in CIELAB", lab_tiff),
    ("a.jp2", "JPEG 2000", lambda: saved(photo(), "JPEG2000")),
    ("a.avif", "AVIF", lambda: saved(photo(), "AVIF")),
    ("a.webp", "WebP", lambda: saved(photo(), "WEBP")),
    ("a.bmp", "BMP", lambda: saved(photo(), "BMP")),
    ("a.ppm", "PPM", lambda: saved(photo(), "PPM")),
    ("turned.jpg", "JPEG turned by EXIF", lambda: saved(photo(), "JPEG", exif=with_exif(6))),
    ("png called.jpg", "PNG called `.jpg`", lambda: saved(photo(), "PNG")),
    ("without", "image without an ending", lambda: saved(photo(), "PNG")),
    ("upper.JFIF", "JPEG called `.JFIF`", lambda: saved(photo(), "JPEG")),
]


@pytest.mark.parametrize(("name", "what", "content"), READ, ids=[each[0] for each in READ])
def test_image_is_what_transformers_sees(
    name: str,
    what: str,
    content: Callable[[], bytes],
    model: Path,
    tmp_path: Path,
    compatibility: Compatibility,
) -> None:
    path = tmp_path / name
    path.write_bytes(content())
    pixels, said = prepare(model, path)
    expected = by_transformers(model, load_image(str(path)))
    np.testing.assert_allclose(pixels[0], expected, rtol=0, atol=1e-6)
    assert not said and np.ptp(expected) > 1
    compatibility("Images", what, "read")


CLEAR: list[tuple[str, Callable[[], Image.Image]]] = [
    ("rgba", lambda: with_alpha("RGBA")),
    ("la", lambda: with_alpha("LA")),
    ("palette", clear_palette),
]


def with_alpha(mode: str) -> Image.Image:
    image = photo().convert(mode)
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


@pytest.mark.parametrize(("name", "image"), CLEAR, ids=[each[0] for each in CLEAR])
def test_transparent_image_lies_on_white(
    name: str,
    image: Callable[[], Image.Image],
    model: Path,
    tmp_path: Path,
    compatibility: Compatibility,
) -> None:
    path = tmp_path / "clear.png"
    path.write_bytes(saved(image(), "PNG"))
    pixels, said = prepare(model, path)
    np.testing.assert_allclose(
        pixels[0], by_transformers(model, image_at(path)), rtol=0, atol=1e-6
    )
    (line,) = said
    assert "1 of 1 image(s) have transparent parts, laid on white" in line
    compatibility("Images", f"transparent PNG ({name.upper()})", "warned", line)


def test_image_with_an_opaque_alpha_needs_no_word(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "opaque.png"
    path.write_bytes(saved(photo().convert("RGBA"), "PNG"))
    pixels, said = prepare(model, path)
    np.testing.assert_allclose(pixels[0], by_transformers(model, photo()), rtol=0, atol=1e-6)
    assert not said


def text_png(kind: str, size: int) -> bytes:
    """A PNG whose metadata have `size` bytes when unpacked."""
    info = PngImagePlugin.PngInfo()
    if kind == "icc":
        return saved(photo(), "PNG", icc_profile=b"\0" * size)
    if kind == "ztxt":
        info.add_text("Comment", "x" * size, zip=True)
    elif kind == "itxt":
        info.add_itxt("Comment", "x" * size, zip=True)
    else:
        for number in range(80):
            info.add_text(f"Comment {number}", "x" * (size // 80))
    return saved(photo(), "PNG", pnginfo=info)


@pytest.mark.parametrize(
    ("kind", "what", "size"),
    [
        ("icc", "PNG with a colour profile of 3 MB", 3 << 20),
        ("ztxt", "PNG with a packed text of 3 MB", 3 << 20),
        ("itxt", "PNG with an international text of 3 MB", 3 << 20),
        ("text", "PNG with texts of 80 MB", 80 << 20),
    ],
)
def test_png_with_large_metadata_is_read(
    kind: str, what: str, size: int, model: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(text_png(kind, size))
    pixels, said = prepare(model, path)
    np.testing.assert_allclose(pixels[0], by_transformers(model, photo()), rtol=0, atol=1e-6)
    assert not said
    compatibility("Images", what, "read")


def tiff(values: np.ndarray) -> bytes:
    return saved(Image.fromarray(values[..., 0]), "TIFF")


def pgm(values: np.ndarray) -> bytes:
    head = f"P5\n# deep\n{values.shape[1]} {values.shape[0]}\n65535\n".encode()
    return head + values.astype(">u2").tobytes()


DEEP: list[tuple[str, str, int, Callable[[np.ndarray], bytes]]] = [
    ("grey.png", "grey PNG of 16 bits", 1, lambda values: deep_png(values, 0)),
    ("rgb.png", "colour PNG of 16 bits", 3, lambda values: deep_png(values, 2)),
    ("grey.tif", "grey TIFF of 16 bits", 1, tiff),
    ("grey.pgm", "PGM of 16 bits", 1, pgm),
]


@pytest.mark.parametrize(("name", "what", "channels", "write"), DEEP, ids=[each[0] for each in DEEP])
def test_of_16_bits_the_upper_8_count(
    name: str,
    what: str,
    channels: int,
    write: Callable[[np.ndarray], bytes],
    model: Path,
    tmp_path: Path,
    compatibility: Compatibility,
) -> None:
    values = deep_values(channels)
    path = tmp_path / name
    path.write_bytes(write(values))
    pixels, said = prepare(model, path)
    upper = np.broadcast_to(values >> 8, (*values.shape[:2], 3)).astype(np.uint8)
    expected = by_transformers(model, Image.fromarray(upper))
    np.testing.assert_allclose(pixels[0], expected, rtol=0, atol=1e-6)
    if channels == 3:  # which is what Pillow, and transformers behind it, make of colours
        theirs = by_transformers(model, load_image(str(path)))
        np.testing.assert_allclose(pixels[0], theirs, rtol=0, atol=1e-6)
    (line,) = said
    assert "1 of 1 image(s) have channels of more than 8 bits, of which the upper 8 count" in line
    compatibility("Images", what, "warned", line)


def test_clear_value_of_a_deep_grey_png_is_white(model: Path, tmp_path: Path) -> None:
    values = deep_values(1)
    values[:20] = 777
    path = tmp_path / "clear.png"
    path.write_bytes(deep_png(values, 0, chunk(b"tRNS", struct.pack(">H", 777))))
    pixels, _ = prepare(model, path)
    upper = np.where(values == 777, 255, values >> 8).astype(np.uint8)[..., 0]
    expected = by_transformers(model, Image.fromarray(upper).convert("RGB"))
    np.testing.assert_allclose(pixels[0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "what"), [("GIF", "animated GIF"), ("WEBP", "animated WebP"), ("TIFF", "TIFF of pages")]
)
def test_first_of_several_pictures_counts(
    kind: str, what: str, model: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    path = tmp_path / f"a.{kind.lower()}"
    options = {"lossless": True} if kind == "WEBP" else {}
    first = photo().quantize(16).convert("RGB")
    rest = [photo().rotate(180), photo().rotate(90)]
    path.write_bytes(saved(first, kind, save_all=True, append_images=rest, **options))
    pixels, said = prepare(model, path)
    expected = by_transformers(model, load_image(str(path)))
    np.testing.assert_allclose(pixels[0], expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(pixels[0], by_transformers(model, first), rtol=0, atol=0.1)
    (line,) = said
    assert "1 of 1 image(s) have several pictures, of which the first counts" in line
    compatibility("Images", what, "warned", line)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_image_is_turned_as_transformers_turns_it(
    kind: str, orientation: int, model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "turned"
    path.write_bytes(saved(photo(), kind, exif=with_exif(orientation)))
    pixels, _ = prepare(model, path)
    expected = by_transformers(model, load_image(str(path)))
    np.testing.assert_allclose(pixels[0], expected, rtol=0, atol=1e-6)


def test_damage_elsewhere_in_exif_does_not_matter(
    model: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    """Where transformers' load_image fails, for Pillow cannot write the date again."""
    orientation = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    date_of_numbers = struct.pack("<HHII", 0x0132, 5, 1, 40)
    exif = b"Exif\0\0II*\0\x08\0\0\0\2\0" + orientation + date_of_numbers + bytes(60)
    path = tmp_path / "a.png"
    path.write_bytes(saved(photo(), "PNG", exif=exif))
    pixels, said = prepare(model, path)
    turned = photo().transpose(Image.Transpose.ROTATE_270)
    np.testing.assert_allclose(pixels[0], by_transformers(model, turned), rtol=0, atol=1e-6)
    assert not said
    with pytest.raises(AttributeError):
        load_image(str(path))
    compatibility("Images", "EXIF that is damaged beside its orientation", "read")


def test_image_with_damaged_exif_is_read_as_it_lies(
    model: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    path, plain = tmp_path / "a.png", tmp_path / "plain.png"
    path.write_bytes(saved(photo(), "PNG", exif=b"Exif\0\0no TIFF at all"))
    plain.write_bytes(saved(photo(), "PNG"))
    pixels, said = prepare(model, path, plain)
    assert np.array_equal(pixels[0], pixels[1])
    (line,) = said
    assert "1 of 2 image(s) have EXIF that cannot be read" in line
    compatibility("Images", "EXIF that cannot be read", "warned", line)


def bomb() -> bytes:
    rows = zlib.compressobj()
    body = b"".join(rows.compress(bytes(6251)) for _ in range(50_000)) + rows.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def damaged_tiff() -> bytes:
    """Of which libtiff itself writes to standard error."""
    content = bytearray(saved(photo(), "TIFF", compression="tiff_lzw"))
    content[40:900] = b"\xff\x55" * 430
    return bytes(content)


def float_tiff() -> bytes:
    return saved(Image.fromarray(np.zeros((9, 9), np.float32)), "TIFF")


REFUSED: list[tuple[str, str, Callable[[], bytes], str]] = [
    ("cut.jpg", "JPEG whose end is missing", lambda: PHOTO.read_bytes()[:20_000], "not a whole"),
    ("cut.png", "PNG whose end is missing", lambda: saved(photo(), "PNG")[:900], "not a whole"),
    ("damaged.tif", "damaged TIFF", damaged_tiff, "not a whole image"),
    ("head.png", "first bytes of a PNG alone", lambda: saved(photo(), "PNG")[:20], "image"),
    ("empty.jpg", "empty file", lambda: b"", "found: empty file"),
    ("page.jpg", "HTML page called `.jpg`", lambda: HTML, "found: HTML page"),
    ("pointer.jpg", "Git LFS pointer", lambda: LFS, "found: Git LFS pointer: `git lfs pull`"),
    ("photo.heic", "HEIC", lambda: HEIC, "found: HEIC image"),
    ("drawing.svg", "SVG", lambda: SVG, "found: SVG drawing"),
    ("text.png", "text called `.png`", lambda: b"no image\n", "found: text"),
    ("paper.pdf", "PDF", lambda: b"%PDF-1.7\n%\xff", "found: PDF"),
    ("raw.dng", "a camera's raw picture", lambda: saved(photo(), "TIFF"), "camera's raw picture"),
    ("a.eps", "PostScript", lambda: saved(photo(), "EPS"), "found: PostScript drawing"),
    ("bomb.png", "2,500,000,000 pixels in 300 KB", bomb, "2,500,000,000 pixels"),
    ("float.tif", "TIFF of floating-point numbers", float_tiff, "mode F"),
    ("noise.jpg", "noise", lambda: bytes(range(128, 256)) * 9, "unknown kind"),
]


@pytest.mark.parametrize(
    ("name", "what", "content", "words"), REFUSED, ids=[each[0] for each in REFUSED]
)
def test_what_is_no_image_is_refused_by_what_it_is(
    name: str,
    what: str,
    content: Callable[[], bytes],
    words: str,
    model: Path,
    tmp_path: Path,
    compatibility: Compatibility,
) -> None:
    path = tmp_path / name
    path.write_bytes(content())
    output = tmp_path / "images.h5"
    result = run("prepare_images.py", "--model", model, "--output", output, path)
    assert_refused(result, 3, str(path), words)
    assert not list(tmp_path.glob("images.h5*"))
    compatibility("Images", what, "refused", result.stderr)


@pytest.mark.parametrize("seed", range(12))
def test_damaged_images_are_read_or_refused_in_one_line(
    seed: int, model: Path, tmp_path: Path
) -> None:
    """Whatever bytes are changed; where one is read, it is what Pillow reads."""
    generator = np.random.default_rng(seed)
    kinds = ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "JPEG2000", "AVIF", "PPM", "ICO", "TIFF", "PNG")
    content = bytearray(saved(photo(), kinds[seed]))
    for place in generator.integers(0, min(len(content), 300), 6):
        content[place] = generator.integers(256)
    path = tmp_path / "damaged"
    path.write_bytes(content)
    output = tmp_path / "images.h5"
    result = run("prepare_images.py", "--model", model, "--output", output, path)
    if result.returncode != 0:
        assert_refused(result, 3, str(path))
    assert output.exists() is (result.returncode == 0)
