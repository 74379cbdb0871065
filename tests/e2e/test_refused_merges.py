"""`actsweep merge` refuses what would give a file of mixed meaning, and writes nothing then."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import pytest
from running import make_corpus, make_job, run_alone, run_well, write_job

OUTPUT_ERROR = 6


def sweep(
    folder: Path, name: str, model: Path, seed: int, first_id: int | None = None, **keys: int
) -> Path:
    """`first_id` is another one of the captured prompt."""
    corpus = make_corpus(folder / f"{name}-corpus.h5", 200, seed=seed)
    if first_id is not None:
        with h5py.File(corpus, "r+") as file:
            file["prompts/short"][0] = first_id
    job = make_job(model, corpus, folder / f"{name}.h5", parallel={"tensor": 1}, statistics=keys)
    run_well(write_job(folder / f"{name}.toml", job), 1)
    return folder / f"{name}.h5"


@pytest.fixture(scope="module")
def files(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Finished files: two that fit, the first once more, others of another prompt and job."""
    folder = tmp_path_factory.mktemp("files")
    found = {
        "first": sweep(folder, "first", model, 1),
        "second": sweep(folder, "second", model, 2),
        "first again": sweep(folder, "first-again", model, 1),
        "other prompt": sweep(folder, "other-prompt", model, 4, first_id=0),
        "other job": sweep(folder, "other-job", model, 3, top_k=2),
    }
    found["no sweep"] = folder / "first-corpus.h5"
    found["missing"] = folder / "missing.h5"
    found["unfinished"] = folder / "unfinished.h5"
    found["unfinished"].write_bytes(found["second"].read_bytes())
    with h5py.File(found["unfinished"], "r+") as file:
        del file.attrs["complete"]
    return found


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["first"], ["two files or more, found 1"]),
        (["first", "first again"], ["would count twice"]),
        (["first", "second", "first"], ["would count twice"]),
        (["first", "other job"], ["other-job.h5", "the jobs differ", "statistics.top_k"]),
        (["first", "other prompt"], ["other-prompt.h5", "capture.prompts.short: "]),
        (["first", "no sweep"], ["first-corpus.h5"]),
        (["first", "missing"], ["missing.h5"]),
        (["first", "unfinished"], ["unfinished.h5"]),
    ],
    ids=lambda value: ", ".join(value),
)
def test_parts_that_do_not_fit(
    names: list[str], words: list[str], files: dict[str, Path], tmp_path: Path
) -> None:
    output = tmp_path / "merged.h5"
    result = run_alone("merge", *(files[name] for name in names), "-o", output)
    assert result.returncode == OUTPUT_ERROR, result.stderr
    assert result.stderr.count("] error: ") == 1
    for word in words:
        assert word in result.stderr
    assert not list(tmp_path.iterdir())


def test_target_that_exists(files: dict[str, Path], tmp_path: Path) -> None:
    output = tmp_path / "merged.h5"
    output.write_bytes(b"precious")
    result = run_alone("merge", files["first"], files["second"], "-o", output)
    assert result.returncode == OUTPUT_ERROR and "a merge replaces no file" in result.stderr
    assert output.read_bytes() == b"precious"


def test_target_that_is_no_place(files: dict[str, Path]) -> None:
    result = run_alone("merge", files["first"], files["second"], "-o", f"{os.devnull}/merged.h5")
    assert result.returncode == OUTPUT_ERROR and os.devnull in result.stderr


def test_files_that_fit_merge(files: dict[str, Path], tmp_path: Path) -> None:
    """What is refused above is refused for its fault alone; a merged file can be merged again."""
    output = tmp_path / "merged.h5"
    result = run_alone("merge", files["first"], files["second"], "-o", output)
    assert result.returncode == 0, result.stderr
    result = run_alone("merge", output, files["first again"], "-o", tmp_path / "again.h5")
    assert result.returncode == OUTPUT_ERROR and "would count twice" in result.stderr
