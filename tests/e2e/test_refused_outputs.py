"""What cannot be written is refused with exit code 6; what was committed stays."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import h5py
import pytest
from running import (
    STOPPED,
    Run,
    assert_same_files,
    dying_at,
    make_job,
    refuse,
    run_well,
    segments_of,
    stopping_at,
    write_job,
)

OUTPUT_ERROR = 6
UNITS = 11  # 10 segments of more than 1 MiB, mostly histograms, and a captured prompt


@pytest.fixture(scope="module")
def expected(model: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a run with nothing in its way."""
    folder = tmp_path_factory.mktemp("expected")
    job = write_job(folder / "job.toml", make_job(model, corpus, folder / "sweep.h5"))
    run_well(job, 2)
    return folder / "sweep.h5"


@pytest.fixture
def job(model: Path, corpus: Path, tmp_path: Path) -> Path:
    return write_job(tmp_path / "job.toml", make_job(model, corpus, tmp_path / "sweep.h5"))


def test_complete_file_is_left_alone(job: Path, tmp_path: Path) -> None:
    run_well(job, 2)
    before = (tmp_path / "sweep.h5").stat()
    assert f"{tmp_path}/sweep.h5: is complete, nothing to do" in run_well(job, 2)
    refuse(
        job,
        OUTPUT_ERROR,
        str(tmp_path / "sweep.h5"),
        "made by a different job",
        "statistics.top_k: 2 here, 3",
        "corpus.sequence_length: 8 here, 16",
        sets=["statistics.top_k=2", "corpus.sequence_length=8"],
    )
    after = (tmp_path / "sweep.h5").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def stop_after_a_segment(job: Path) -> None:
    run = Run(job, 2, under=stopping_at("segment 0: layer 1"))
    assert run.finish() == STOPPED, run.log()


def test_segments_of_another_job(job: Path, tmp_path: Path, expected: Path) -> None:
    stop_after_a_segment(job)
    before = segments_of(tmp_path / "sweep.h5")
    assert before
    refuse(
        job,
        OUTPUT_ERROR,
        str(tmp_path / "sweep.h5.segments" / "segment-000000.h5"),
        "parallel.microbatch_tokens: 32 here, 64",
        "statistics.loss: false here, true",
        sets=["parallel.microbatch_tokens=32", "statistics.loss=false"],
    )
    assert segments_of(tmp_path / "sweep.h5") == before
    # What changes no number is no other job.
    run_well(job, 2, "parallel.weights=streamed", "parallel.block_tokens=64")
    assert_same_files(tmp_path / "sweep.h5", expected)


def test_damaged_segment(job: Path, tmp_path: Path) -> None:
    stop_after_a_segment(job)
    path = tmp_path / "sweep.h5.segments" / "segment-000000.h5"
    os.truncate(path, 1000)
    refuse(job, OUTPUT_ERROR, str(path))


@pytest.mark.parametrize("content", [b"not HDF5", b""])
def test_other_file_in_its_place(content: bytes, job: Path, tmp_path: Path) -> None:
    (tmp_path / "sweep.h5").write_bytes(content)
    refuse(job, OUTPUT_ERROR, str(tmp_path / "sweep.h5"))
    assert (tmp_path / "sweep.h5").read_bytes() == content


def test_other_hdf5_file_in_its_place(job: Path, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "sweep.h5", "w") as file:
        file["x"] = 1
    refuse(job, OUTPUT_ERROR, str(tmp_path / "sweep.h5"), "found another file; move it away")


@pytest.mark.parametrize("name", ["job.toml/sweep.h5", "/proc/sweep.h5", "/dev/null/sweep.h5"])
def test_place_that_takes_no_file(name: str, job: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    refuse(job, OUTPUT_ERROR, str(path), sets=[f"output.path={path}"])


def limiting_files(kind: str) -> list[str]:
    """The command under which a file takes 1 MiB (2048 blocks of 512 bytes); `kind`: "-S" or both
    limits."""
    return ["sh", "-c", f'ulimit {kind} -f 2048; exec "$0" "$@"']


@pytest.mark.parametrize("kind", ["-S", ""], ids=["soft", "hard"])
def test_limit_on_the_size_of_files(
    kind: str, model: Path, corpus: Path, tmp_path: Path
) -> None:
    """On one rank, which needs no shared memory: that would be a file too."""
    output = tmp_path / "sweep.h5"
    keys = {"parallel": {"tensor": 1}}
    job = write_job(tmp_path / "job.toml", make_job(model, corpus, output, **keys))
    run = Run(job, 1, under=stopping_at("segment 1: layer 1"))
    assert run.finish() == STOPPED, run.log()
    before = segments_of(output)
    run = Run(job, 1, under=limiting_files(kind), OMPI_MCA_btl="self")
    assert run.finish() == OUTPUT_ERROR, run.log()
    errors = [line for line in run.lines if "] error: " in line]
    assert len(errors) == 1 and "segment-000002.h5" in errors[0] and "too large" in errors[0]
    assert segments_of(output) == before and len(before) == 2
    assert not list(output.with_name("sweep.h5.segments").glob("*.partial"))
    run_well(job, 1)
    assert output.exists()


def mount(path: Path, options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MiB: four segments."""
    path = tmp_path / "disk"
    path.mkdir()
    if not mount(path, "size=6m"):
        pytest.skip("mounting is not permitted; the limit on the size of files stands in for it")
    yield path
    subprocess.run(["umount", str(path)], check=True)


@pytest.mark.parametrize("replicas", [1, 2])
def test_full_disk(replicas: int, small_disk: Path, job: Path, expected: Path) -> None:
    output = small_disk / "sweep.h5"
    sets = [f"output.path={output}"]
    run = Run(job, 2 * replicas, *sets)
    assert run.finish() == OUTPUT_ERROR, run.log()
    errors = [line for line in run.lines if "] error: " in line]
    assert 1 <= len(errors) <= replicas, run.log()  # each writes a segment of its own
    for error in errors:
        assert f"{output}.segments/segment-00000" in error and "No space left" in error
    before = segments_of(output)
    assert 2 <= len(before) < UNITS - 1 and not output.exists()
    assert mount(small_disk, "remount,size=64m")
    log = run_well(job, 2 * replicas, *sets)
    assert f"{UNITS - len(before)} of {UNITS} units of work are pending" in log
    assert_same_files(output, expected)


def test_disk_that_fills_before_consolidation(
    small_disk: Path, job: Path, expected: Path
) -> None:
    assert mount(small_disk, "remount,size=64m")
    output = small_disk / "sweep.h5"
    sets = [f"output.path={output}"]
    run = Run(job, 2, *sets, under=dying_at("consolidation: created"))
    assert run.finish() == 137, run.log()
    before = segments_of(output)
    assert len(before) == UNITS
    output.with_name("sweep.h5.partial").unlink()
    ballast = small_disk / "ballast"
    state = os.statvfs(small_disk)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, state.f_bavail * state.f_frsize - 64 * 1024)
    refuse(job, OUTPUT_ERROR, f"{output}.partial", sets=sets)
    assert segments_of(output) == before and not output.exists()
    ballast.unlink()
    run_well(job, 2, *sets)
    assert_same_files(output, expected)
