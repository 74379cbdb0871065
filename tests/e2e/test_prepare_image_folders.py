"""data/prepare_images.py on folders as people have them: links, other files, and on full disks."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import h5py
import pytest
from PIL import Image

from imaging import PHOTO, image_at, write_model
from preparing import DATA, assert_refused, run
from support.compatibility import Compatibility

SIGLIP = {"image_processor_type": "SiglipImageProcessor", "size": {"height": 30, "width": 30}}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", SIGLIP)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one image."""
    made = tmp_path / "photos"
    made.mkdir()
    part().save(made / "m.png")
    return made


def part(turn: int = 0) -> Image.Image:
    return image_at(PHOTO).crop((100, 50, 160, 120)).rotate(turn)


def prepare(model: Path, *sources: Path) -> tuple[list[str], list[str]]:
    """The names of the images in order, and the lines on standard error."""
    output = model.parent / "images.h5"
    result = run("prepare_images.py", "--model", model, "--output", output, "--jobs", 1, *sources)
    assert result.returncode == 0, result.stderr
    with h5py.File(output) as file:
        spelled, ends = file["names/bytes"][:].tobytes(), file["names/offset"][:].tolist()
    names = [spelled[a:b].decode() for a, b in zip(ends[:-1], ends[1:], strict=True)]
    return names, result.stderr.splitlines()


def test_linked_folders_and_files_are_read(
    model: Path, folder: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    elsewhere = tmp_path / "elsewhere" / "deep"
    elsewhere.mkdir(parents=True)
    part(90).save(elsewhere / "b.png")
    (folder / "a").symlink_to(tmp_path / "elsewhere")
    (folder / "z.png").symlink_to(elsewhere / "b.png")
    names, said = prepare(model, folder)
    assert names == ["photos/a/deep/b.png", "photos/m.png", "photos/z.png"] and not said
    compatibility("Images", "link to a folder, link to an image", "read")


def test_links_in_circles_end(
    model: Path, folder: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    (folder / "a").mkdir()
    part(90).save(folder / "a" / "b.png")
    (folder / "a" / "back").symlink_to(folder)
    (folder / "itself").symlink_to(folder / "itself")
    (folder / "again").symlink_to(folder / "a")
    for name in "pqrstuvw":  # each of which is in each
        (folder / name).mkdir()
        for other in "pqrstuvw":
            (folder / name / f"to {other}").symlink_to(folder / other)
    names, said = prepare(model, folder)
    assert names == ["photos/a/b.png", "photos/m.png"]
    (line,) = said
    words = "left out of the folders: 66 × link to a folder that is read anyway, 1 × link to nothing"
    assert words in line
    compatibility("Images", "links in circles", "warned", line)


def test_what_is_left_out_is_counted_by_kind(
    model: Path, folder: Path, compatibility: Compatibility
) -> None:
    (folder / "notes.txt").write_text("no image")
    (folder / "list.csv").write_text("a,b\n")
    (folder / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    (folder / "drawing.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (folder / "film.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(200))
    (folder / "raw.NEF").write_bytes(b"II*\0" + bytes(200))
    (folder / "none").write_bytes(b"")
    (folder / "more.zip").write_bytes(b"PK\x03\x04" + bytes(200))
    (folder / "weights.bin").write_bytes(bytes(range(128, 256)) * 9)
    (folder / ".hidden.png").write_text("no image")
    (folder / ".git").mkdir()
    (folder / ".git" / "b.png").write_text("no image")
    (folder / "gone.png").symlink_to(folder / "nothing")
    os.mkfifo(folder / "pipe.png")
    names, said = prepare(model, folder)
    assert names == ["photos/m.png"]
    (line,) = said
    assert line.endswith(
        "left out of the folders: 1 × HEIC image, 1 × SVG drawing, 1 × archive, 1 × camera's raw"
        " picture, 1 × empty file, 1 × file of an unknown kind (.bin), 2 × hidden file or folder, 1 ×"
        " link to nothing, 2 × text, 1 × thing that is no file, 1 × video"
    )
    compatibility("Images", "a folder with other things beside its images", "warned", line)


def test_images_are_told_by_content_and_ordered_by_code_points(
    model: Path, folder: Path, compatibility: Compatibility
) -> None:
    (folder / "B").mkdir()
    for name, kind in (("B/x", "PNG"), ("Z.JFIF", "JPEG"), ("a.Jpg", "PNG"), ("é.dat", "WEBP")):
        part().save(folder / name, kind)
    part().save(folder / "B.png")
    names, said = prepare(model, folder)
    expected = ["B.png", "B/x", "Z.JFIF", "a.Jpg", "m.png", "é.dat"]
    assert names == [f"photos/{name}" for name in expected] and not said
    compatibility("Images", "images without an ending, or with another one, in a folder", "read")


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict"])
def test_names_that_no_terminal_shows_are_said_in_one_line(
    encoding: str, model: Path, tmp_path: Path
) -> None:
    """A byte that is no UTF-8, a line end: in names of folders, images and the output."""
    odd = tmp_path / os.fsdecode(b"odd\xff\n")
    odd.mkdir()
    part().save(odd / os.fsdecode(b"a\xff\n.png"))
    command = [sys.executable, DATA / "prepare_images.py", "--model", model, "--output", odd / "i.h5"]
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    result = subprocess.run([*command, odd], capture_output=True, check=False, env=environment)
    assert result.returncode == 0 and not result.stderr, result.stderr
    assert b"1 image(s)" in result.stdout
    with h5py.File(os.fsencode(odd / "i.h5")) as file:
        assert file["names/bytes"][:].tobytes() == b"odd\xff\n/a\xff\n.png"
    (odd / os.fsdecode(b"b\xff\n.png")).write_text("no image")
    result = subprocess.run([*command, odd], capture_output=True, check=False, env=environment)
    assert result.returncode == 3 and len(result.stderr.splitlines()) == 1, result.stderr
    assert b"\\n.png is no image" in result.stderr


@pytest.mark.parametrize(
    ("content", "what"), [(b"", "empty file"), (b"<html></html>\n", "HTML page"), (b"x\n", "text")]
)
def test_file_that_is_called_like_an_image_is_not_left_out(
    content: bytes, what: str, model: Path, folder: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    (folder / "b.JPG").write_bytes(content)
    result = run(
        "prepare_images.py", "--model", model, "--output", tmp_path / "images.h5", folder
    )
    assert_refused(result, 3, str(folder / "b.JPG"), f"found: {what}")
    compatibility("Images", f"{what} called `.JPG` in a folder", "refused", result.stderr)


def test_folder_without_images_is_refused_with_what_is_there(
    model: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("no image")
    result = run(
        "prepare_images.py", "--model", model, "--output", tmp_path / "i.h5", tmp_path / "texts"
    )
    assert_refused(result, 3, str(tmp_path / "texts"), "1 × text")
    compatibility("Images", "a folder without images", "refused", result.stderr)


@pytest.mark.parametrize("kib", [0, 1, 3, 8, 20, 60, 80])
@pytest.mark.parametrize("jobs", [1, 2])
def test_full_disk_leaves_no_file(
    jobs: int, kib: int, model: Path, folder: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    """A limit of the size of files stands for the disk; 8 images take 84 KiB."""
    for number in range(7):
        part(number).save(folder / f"{number}.png")
    (tmp_path / "out").mkdir()
    command = [sys.executable, DATA / "prepare_images.py", "--model", model, "--jobs", str(jobs)]
    result = subprocess.run(
        [*command, "--output", tmp_path / "out" / "images.h5", folder],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (kib << 10, kib << 10)),
    )
    assert_refused(result, 6, "cannot write the output", "images.h5", "oo large")
    assert not list((tmp_path / "out").iterdir())
    if (jobs, kib) == (1, 20):
        compatibility("Outputs", "prepare_images.py on a full disk", "refused", result.stderr)


def test_second_run_leaves_the_first_alone(
    model: Path, folder: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    """Two at once into one output: the first has its file whole."""
    output = tmp_path / "images.h5"
    command = [sys.executable, DATA / "prepare_images.py", "--model", model, "--output", output]
    many = [folder / "m.png"] * 3000
    with subprocess.Popen([*command, "--jobs", "1", *many]) as first:
        deadline = time.monotonic() + 60
        while not output.with_name("images.h5.partial").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)
        assert first.poll() is None
        result = run("prepare_images.py", "--model", model, "--output", output, folder)
        assert first.poll() is None, "the first should still be at work"
        assert_refused(result, 6, "images.h5.partial is being written by another run")
        assert first.wait(120) == 0
    with h5py.File(output) as file:
        assert file["pixels"].shape[0] == 3000
    assert not list(tmp_path.glob("*.partial"))
    compatibility("Outputs", "two runs of prepare_images.py into one file", "refused", result.stderr)


def test_what_a_killed_run_left_is_written_anew(model: Path, folder: Path) -> None:
    left = model.parent / "images.h5.partial"
    left.write_bytes(b"half a file" * 1000)
    names, said = prepare(model, folder)
    assert names == ["photos/m.png"] and not said and not left.exists()
