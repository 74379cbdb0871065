"""What cannot be written is refused with exit code 6; what was committed stays."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import pytest
from running import (
    PROGRAM,
    STOPPED,
    Run,
    assert_same_files,
    dying_at,
    environment,
    make_job,
    refuse,
    run_alone,
    run_well,
    said,
    segments_of,
    stopping_at,
    write_job,
)

from support.compatibility import Compatibility
from support.watching import run

OUTPUT_ERROR = 6
UNITS = 11  # 10 segments and a captured prompt
STORE = {"sites": ["residual", "mlp_hidden", "gate", "up"]}  # more than 1 MiB of a segment


@pytest.fixture(scope="module")
def expected(model: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a run with nothing in its way."""
    folder = tmp_path_factory.mktemp("expected")
    job = make_job(model, corpus, folder / "sweep.h5", store=STORE)
    run_well(write_job(folder / "job.toml", job), 2)
    return folder / "sweep.h5"


@pytest.fixture
def job(model: Path, corpus: Path, tmp_path: Path) -> Path:
    job = make_job(model, corpus, tmp_path / "sweep.h5", store=STORE)
    return write_job(tmp_path / "job.toml", job)


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


def test_missing_part_of_a_segment(job: Path, tmp_path: Path) -> None:
    stop_after_a_segment(job)
    path = tmp_path / "sweep.h5.segments" / "segment-000000.h5.part-1"
    path.unlink()
    refuse(job, OUTPUT_ERROR, f"{path}: expected an HDF5 file, found none that can be read")


def test_damaged_part_of_a_segment(job: Path, tmp_path: Path) -> None:
    stop_after_a_segment(job)
    path = tmp_path / "sweep.h5.segments" / "segment-000000.h5.part-1"
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


def refuse_at_once(job: Path, path: object, *words: str) -> str:
    """A path of one rank's output that is refused before anything is measured; the one line."""
    log = refuse(job, OUTPUT_ERROR, *words, ranks=1, sets=[f'output.path="{path}"'])
    assert "weights" not in log and "plan" not in log, log
    return said(log).replace(f"{job.parent}/", "")


@pytest.fixture
def alone(model: Path, corpus: Path, tmp_path: Path) -> Path:
    """The job on one rank."""
    keys = {"parallel": {"tensor": 1}}
    return write_job(tmp_path / "job.toml", make_job(model, corpus, tmp_path / "sweep.h5", **keys))


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_path_of_a_folder(alone: Path, tmp_path: Path, compatibility: Compatibility) -> None:
    (tmp_path / "results").mkdir()
    before = names_in(tmp_path)
    line = refuse_at_once(alone, f"{tmp_path}/new.h5/", "new.h5/: ends with a slash")
    compatibility("Outputs", "a path that ends with a slash", "refused", line)
    refuse_at_once(alone, f"{tmp_path}/results/", "results/: ends with a slash")
    line = refuse_at_once(alone, tmp_path / "results", f"{tmp_path}/results: is a folder")
    compatibility("Outputs", "a path that is a folder", "refused", line)
    assert names_in(tmp_path) == before


@pytest.mark.parametrize("length", [300, 4090, 5000])
def test_path_that_is_too_long(
    length: int, alone: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    if length == 300:
        name = "x" * 297 + ".h5"
        line = refuse_at_once(alone, tmp_path / name, "the name is too long", "found 300")
        shown = re.sub(r"at most \d+ bytes", "at most 2xx bytes", line.replace("x" * 297, "x…x"))
        compatibility("Outputs", "a name of 300 bytes", "refused", shown)
        return
    path = str(tmp_path)
    while len(path) + 60 < length:
        path += "/" + "d" * 50
    path += "/" + "x" * (length - len(path) - 1)
    refuse_at_once(alone, path, "the path is too long: expected at most ", f"found {length}")


def test_longest_name_is_written(alone: Path, tmp_path: Path) -> None:
    error = refuse_at_once(alone, tmp_path / ("x" * 300), "expected at most ")
    longest = "x" * int(error.split("expected at most ")[1].split()[0])
    run_well(alone, 1, f"output.path={tmp_path}/{longest}")
    assert names_in(tmp_path) == ["job.toml", longest]
    refuse_at_once(alone, tmp_path / (longest + "x"), "the name is too long")


def test_folders_on_the_way_are_made(alone: Path, tmp_path: Path) -> None:
    run_well(alone, 1, f"output.path={tmp_path}/a/b/sweep.h5")
    assert names_in(tmp_path / "a" / "b") == ["sweep.h5"]


def test_file_on_the_way(alone: Path, tmp_path: Path, compatibility: Compatibility) -> None:
    line = refuse_at_once(alone, tmp_path / "job.toml" / "sweep.h5", "job.toml to be a folder")
    compatibility("Outputs", "a path that leads through a file", "refused", line)


def test_device_in_its_place(alone: Path, compatibility: Compatibility) -> None:
    line = refuse_at_once(alone, "/dev/null", "/dev/null: expected a file, found a device")
    compatibility("Outputs", "a path that is a device", "refused", line)


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder to which a user may not write, below one that everybody may enter."""
    folder = Path(tempfile.mkdtemp(prefix="actsweep-closed-", dir="/tmp"))
    folder.chmod(0o755)
    (folder / "results").mkdir(mode=0o555)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", ["sweep.h5", "new/sweep.h5"])
def test_folder_without_permission(
    name: str, model: Path, corpus: Path, closed: Path, compatibility: Compatibility
) -> None:
    """As a user who is not root: root may write everywhere."""
    for source in (model, corpus):
        target = closed / source.name
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    keys = {"parallel": {"tensor": 1}}
    output = closed / "results" / name
    job = make_job(closed / model.name, closed / corpus.name, output, **keys)
    path = write_job(closed / "job.toml", job)
    program = shutil.copy(PROGRAM, closed / "actsweep")
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] * (os.getuid() == 0)
    result = run(
        [*user, program, "run", path],
        env=environment(HOME=str(closed), TMPDIR="/tmp"),
        cwd=closed,
    )
    log = result.stdout + result.stderr
    assert result.returncode == OUTPUT_ERROR, log
    line = said(log)
    assert f"{output}: cannot be written" in line and "Permission denied" in line
    assert "weights" not in log
    if name == "sweep.h5":
        line = line.replace(f"{closed}/", "")
        compatibility("Outputs", "a folder without permission", "refused", line)


def test_link_is_followed(
    alone: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    """Also one that points to nothing yet: file, segments and lock lie beside the target."""
    (tmp_path / "scratch").mkdir()
    link = tmp_path / "sweep.h5"
    link.symlink_to("scratch/real.h5")
    run = Run(alone, 1, under=dying_at("consolidation: created"))
    assert run.finish() == 137, run.log()
    assert "real.h5.segments" in names_in(tmp_path / "scratch")
    log = run_well(alone, 1)
    assert "0 of 11 units of work are pending" in log
    assert link.is_symlink() and names_in(tmp_path / "scratch") == ["real.h5"]
    assert names_in(tmp_path) == ["job.toml", "scratch", "sweep.h5"]
    with h5py.File(link) as file:
        assert file.attrs["complete"] == 1
    assert "is complete, nothing to do" in run_well(alone, 1)
    compatibility("Outputs", "a path that is a link, also to a file that is yet to be made", "read")


def test_link_to_a_segment_folder_on_another_disk_stays(alone: Path, tmp_path: Path) -> None:
    (tmp_path / "fast").mkdir()
    (tmp_path / "sweep.h5.segments").symlink_to("fast")
    run_well(alone, 1)
    assert names_in(tmp_path / "fast") == []


def test_links_that_lead_nowhere(alone: Path, tmp_path: Path, compatibility: Compatibility) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    line = refuse_at_once(alone, tmp_path / "a", "a link that leads to itself")
    compatibility("Outputs", "a link that leads to itself", "refused", line)
    (tmp_path / "results").mkdir()
    (tmp_path / "c").symlink_to("results")
    refuse_at_once(alone, tmp_path / "c", f"{tmp_path}/c: is a folder")


@pytest.mark.parametrize("name", ["new.h5/", "x" * 300, "results"])
def test_plan_refuses_the_same_paths(name: str, alone: Path, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    result = run_alone("plan", alone, "--ranks", 1, "--set", f"output.path={tmp_path}/{name}")
    assert result.returncode == OUTPUT_ERROR and result.stderr.count("] error: ") == 1


@pytest.mark.parametrize("name", ["new.h5/", "x" * 300, "results"])
def test_merge_refuses_the_same_paths(name: str, expected: Path, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    result = run_alone("merge", expected, expected, "-o", f"{tmp_path}/{name}")
    assert result.returncode == OUTPUT_ERROR and result.stderr.count("] error: ") == 1


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
    keys = {"parallel": {"tensor": 1}, "store": STORE}
    job = write_job(tmp_path / "job.toml", make_job(model, corpus, output, **keys))
    run = Run(job, 1, under=stopping_at("segment 1: layer 1"))
    assert run.finish() == STOPPED, run.log()
    before = segments_of(output)
    run = Run(job, 1, under=limiting_files(kind), OMPI_MCA_btl="self")
    assert run.finish() == OUTPUT_ERROR, run.log()
    errors = [line for line in run.lines if "] error: " in line]
    assert len(errors) == 1 and "segment-000002.h5" in errors[0] and "too large" in errors[0]
    assert segments_of(output) == before and len(before) == 2
    assert not list(output.with_name("sweep.h5.segments").glob("*.partial*"))
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
    (partial,) = output.parent.glob("sweep.h5.partial-*")
    partial.unlink()
    ballast = small_disk / "ballast"
    state = os.statvfs(small_disk)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, state.f_bavail * state.f_frsize - 64 * 1024)
    refuse(job, OUTPUT_ERROR, f"{output}.partial", sets=sets)
    assert segments_of(output) == before and not output.exists()
    ballast.unlink()
    run_well(job, 2, *sets)
    assert_same_files(output, expected)
