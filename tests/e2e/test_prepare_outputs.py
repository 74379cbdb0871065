"""What the writers of data/ leave of each other's files, when the next run begins as one ends.

The lock of a run goes with its temporary file, which a renaming makes the output: from then on its
temporary names are free, and what lies there is the next run's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import h5py
import numpy as np
import preparing  # noqa: F401  # which finds the modules of data/
import pytest

from preparation.checkpoint_writer import CheckpointWriter
from preparation.errors import OUTPUT, PreparationError
from preparation.image_file import ImageFileWriter
from preparation.image_processor import ProcessedImage
from preparation.token_file import TokenFileWriter
from preparation.vocabulary import Vocabulary

VOCABULARY = Vocabulary([b"a", b"b"], frozenset(), (), 0, 1, "fingerprint")


class Run:
    """A run of a writer, which the test steps through."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer: AbstractContextManager = self.make(path)

    def make(self, path: Path) -> AbstractContextManager:
        raise NotImplementedError

    def begin(self) -> None:
        self.writer.__enter__()

    def finish(self) -> None:
        """Writes the output whole; nothing for a writer that does so as it ends."""

    def end(self, error: BaseException | None = None) -> None:
        self.writer.__exit__(type(error) if error else None, error, None)


class TokenRun(Run):
    def make(self, path: Path) -> TokenFileWriter:
        return TokenFileWriter(path)

    def finish(self) -> None:
        self.writer.append(np.arange(1000, dtype=np.uint32) % 2)
        self.writer.end_document()
        self.writer.finish(VOCABULARY, {}, {"special_tokens": "none"})


class ImageRun(Run):
    def make(self, path: Path) -> ImageFileWriter:
        return ImageFileWriter(path, 1)

    def finish(self) -> None:
        pixels = np.ones((3, 4, 4), dtype=np.float32)
        self.writer.append("a", Path("a.png"), ProcessedImage(pixels, 4, 4, bytes(32), ()))
        self.writer.finish({})


class CheckpointRun(Run):
    def make(self, path: Path) -> CheckpointWriter:
        return CheckpointWriter(path, "float32")

    def begin(self) -> None:
        super().begin()
        self.writer.write_json("config.json", {"hidden_size": 4})


def is_whole(path: Path) -> bool:
    if path.is_dir():
        return json.loads((path / "config.json").read_text()) == {"hidden_size": 4}
    with h5py.File(path) as file:
        return len(file["ids"]) == 1000 if "ids" in file else file["pixels"].shape == (1, 3, 4, 4)


RUNS = pytest.mark.parametrize("run", [TokenRun, ImageRun, CheckpointRun])
FILE_RUNS = pytest.mark.parametrize("run", [TokenRun, ImageRun])


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@FILE_RUNS
def test_end_after_the_renaming_leaves_the_next_run_its_files(
    run: Callable[[Path], Run], tmp_path: Path
) -> None:
    first, second = run(tmp_path / "out"), run(tmp_path / "out")
    first.begin()
    first.finish()
    second.begin()
    written = names_in(tmp_path)
    assert "out.partial" in written
    first.end()
    assert names_in(tmp_path) == written
    (tmp_path / "out").unlink()
    second.finish()
    second.end()
    assert names_in(tmp_path) == {"out"} and is_whole(tmp_path / "out")


@RUNS
def test_second_run_is_refused_until_the_first_has_ended(
    run: Callable[[Path], Run], tmp_path: Path
) -> None:
    first, second = run(tmp_path / "out"), run(tmp_path / "out")
    first.begin()
    with pytest.raises(PreparationError, match="is being written by another run") as refused:
        second.begin()
    assert refused.value.exit_code == OUTPUT
    first.finish()
    first.end()
    assert names_in(tmp_path) == {"out"} and is_whole(tmp_path / "out")


@RUNS
def test_failed_run_leaves_nothing_and_the_next_one_may_begin(
    run: Callable[[Path], Run], tmp_path: Path
) -> None:
    first = run(tmp_path / "out")
    first.begin()
    try:
        raise PreparationError(OUTPUT, "found as it was written")
    except PreparationError as error:
        first.end(error)
    assert not names_in(tmp_path)
    second = run(tmp_path / "out")
    second.begin()
    second.finish()
    second.end()
    assert is_whole(tmp_path / "out")


def test_folder_that_came_to_be_meanwhile_is_kept(tmp_path: Path) -> None:
    """Of two runs that begin one after the other's end, and did not see its folder, one is late."""
    late = CheckpointRun(tmp_path / "out")
    early = CheckpointRun(tmp_path / "out")
    early.begin()
    early.end()
    late.begin()
    with pytest.raises(PreparationError, match="cannot write the output .*out: Directory not empty"):
        late.end()
    assert names_in(tmp_path) == {"out"} and is_whole(tmp_path / "out")


def test_what_a_killed_run_left_in_the_folder_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "out.partial"
    (left / "old").mkdir(parents=True)
    (left / "old" / "half.safetensors").write_bytes(b"half a file")
    (left / "model.safetensors").write_bytes(b"half a file")
    run = CheckpointRun(tmp_path / "out")
    run.begin()
    run.end()
    assert names_in(tmp_path / "out") == {"config.json"}
