"""A disk that fills while a corpus is written: one line, exit code 6, and nothing left behind.

The system's limit of a file's size stands for the full disk: a write beyond it fails like one.
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

import small_tokenizers as small
from preparing import DATA, ENGLISH, assert_refused, run, write
from support.compatibility import Compatibility

PROGRAM = [sys.executable, str(DATA / "prepare_corpus.py")]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.save(small.byte_level(), tmp_path_factory.mktemp("small") / "model")


def run_limited(bytes_at_most: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_at_most, bytes_at_most))

    return subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        preexec_fn=limit,
        check=False,
    )


@pytest.fixture(scope="module")
def whole(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, int]:
    """A text, the bytes of its ids, and those of its token file."""
    folder = tmp_path_factory.mktemp("whole")
    source = write(folder / "text.txt", ENGLISH[:100_000])
    output = folder / "whole.h5"
    options = ("--tokenizer", model, "--jobs", 1, "--output", output, source)
    assert run_limited(1 << 30, *options).returncode == 0
    with h5py.File(output) as file:
        return source, 4 * len(file["ids"]), output.stat().st_size


# Where the disk is full: in the first buffer, in the last, in the token file, in its last bytes.
LIMITS: dict[str, Callable[[int, int], int]] = {
    "at once": lambda ids, file: 0,
    "among the ids": lambda ids, file: ids // 2,
    "at the last buffer": lambda ids, file: ids - 100,
    "in the token file": lambda ids, file: ids + 100,
    "at its end": lambda ids, file: file - 1,
}


@pytest.mark.parametrize("when", LIMITS)
def test_full_disk_leaves_nothing(
    when: str,
    model: Path,
    whole: tuple[Path, int, int],
    tmp_path: Path,
    compatibility: Compatibility,
) -> None:
    source, ids_bytes, file_bytes = whole
    limit = LIMITS[when](ids_bytes, file_bytes)
    output = tmp_path / "out.h5"
    result = run_limited(limit, "--tokenizer", model, "--jobs", 1, "--output", output, source)
    assert_refused(result, 6, str(output), "cannot write the output", "ile too large")
    assert list(tmp_path.iterdir()) == []
    said = result.stderr.replace("file too", "File too")  # as the system or as HDF5 calls it
    compatibility("Outputs", "a disk that fills while a corpus is prepared", "refused", said)


def test_disk_that_suffices_is_enough(
    model: Path, whole: tuple[Path, int, int], tmp_path: Path
) -> None:
    """The limit by itself refuses nothing."""
    source, _, file_bytes = whole
    output = tmp_path / "out.h5"
    options = ("--tokenizer", model, "--jobs", 1, "--output", output, source)
    assert run_limited(file_bytes, *options).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out.h5"]


def test_outputs_that_cannot_be_are_refused(
    model: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    source = write(tmp_path / "a.txt", "text")
    before = source.read_bytes()
    (tmp_path / "linked.txt").symlink_to(source)
    rows = {
        "a corpus written over its own text": (source, "it is one of the files to be read"),
        "a corpus written over its own text, by a link": (
            tmp_path / "linked.txt",
            "it is one of the files to be read",
        ),
        "a corpus in a folder that is a file": (
            source / "sub" / "out.h5",
            "a.txt is a file, expected a folder",
        ),
        "a corpus with a name of 300 bytes": (tmp_path / ("n" * 300), "File name too long"),
        "a corpus in a folder without permission": (Path("/proc/out.h5"), "cannot write the output"),
        "a corpus called as a folder is": (tmp_path, "is a directory"),
        "a corpus whose name ends with a slash": (f"{tmp_path}/new/", "is a directory"),
        "a corpus written to a device": (Path("/dev/null"), "is a pipe or a device"),
    }
    for what, (output, words) in rows.items():
        result = run("prepare_corpus.py", "--tokenizer", model, "--output", output, source)
        assert_refused(result, 6, words)
        shortened = result.stderr.replace("n" * 300, "nnn…").replace(str(tmp_path), "/tmp/folder")
        compatibility("Outputs", what, "refused", shortened)
    assert source.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "linked.txt"]


def test_output_that_is_a_link_is_followed(
    model: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    source = write(tmp_path / "a.txt", "text")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    link = tmp_path / "out.h5"
    link.symlink_to(scratch / "real.h5")
    for _ in range(2):  # where there is no file yet, and where there is
        assert run("prepare_corpus.py", "--tokenizer", model, "--output", link, source).returncode == 0
        assert link.is_symlink() and h5py.File(link).attrs["num_documents"] == 1
        assert [path.name for path in scratch.iterdir()] == ["real.h5"]
    compatibility("Outputs", "a corpus written to a link: the link stays", "read")


def test_second_run_of_one_output_is_refused(
    model: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    """What a killed run left is nobody's."""
    source = write(tmp_path / "a.txt", "text")
    output = tmp_path / "out.h5"
    options = ("--tokenizer", model, "--output", output, source)
    partial = write(tmp_path / "out.h5.partial", "of a run that was killed")
    with partial.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        result = run("prepare_corpus.py", *options)
    assert_refused(result, 6, "out.h5.partial is being written by another run")
    compatibility("Outputs", "a corpus that another run is writing", "refused", result.stderr)
    assert partial.read_text() == "of a run that was killed"
    assert run("prepare_corpus.py", *options).returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "out.h5"]


def test_text_called_as_a_partial_file_is_kept(model: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "out.h5.ids.partial", "text")
    result = run("prepare_corpus.py", "--tokenizer", model, "--output", tmp_path / "out.h5", source)
    assert_refused(result, 6, "out.h5.ids.partial: it is one of the files to be read")
    assert source.read_text() == "text"


def test_reader_that_has_gone_is_one_line(model: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "a.txt", "text")
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [*PROGRAM, "--tokenizer", model, "--output", tmp_path / "out.h5", source]
    result = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write_end)
    assert_refused(result, 6, "the standard output was closed")
    assert (tmp_path / "out.h5").exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_interrupt_is_one_line_and_leaves_nothing(jobs: int, model: Path, tmp_path: Path) -> None:
    """Ctrl-C reaches the program and its workers alike, at any time."""
    source = tmp_path / "text.txt"
    source.write_text(ENGLISH * 40)
    folder = tmp_path / "outputs"
    command = [*PROGRAM, "--tokenizer", model, "--jobs", str(jobs), "--output", folder / "out.h5", source]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        while not folder.exists() or not any(folder.iterdir()):
            assert running.poll() is None
            time.sleep(0.01)
        time.sleep(0.3)
        os.killpg(running.pid, signal.SIGINT)
        _, errors = running.communicate(timeout=120)
    assert running.returncode == 128 + signal.SIGINT, errors
    assert errors == "prepare_corpus.py: interrupted, nothing was written\n"
    assert list(folder.iterdir()) == []
