"""A sweep that is killed at any moment goes on to the same file.

A rank kills itself with SIGKILL at a step named by ACTSWEEP_DIE_AT. 4 ranks: 2 replicas of 2 model
ranks, of which 0 and 2 commit. 10 segments and a captured prompt, number 10, dealt to the replicas in
turn.
"""

import signal
from pathlib import Path

import h5py
import pytest
from running import (
    Run,
    assert_same_files,
    dying_at,
    make_job,
    refuse,
    run_alone,
    run_well,
    segments_of,
    write_job,
)

OUTPUT_ERROR = 6
RANKS = 4
UNITS = 11
STORE = {"sites": ["residual", "mlp_hidden"], "tokens": "random:0.5", "dtype": "bfloat16"}


@pytest.fixture(scope="module")
def expected(model: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("expected")
    job = write_job(folder / "job.toml", make_job(model, corpus, folder / "sweep.h5", store=STORE))
    run_well(job, RANKS)
    with h5py.File(folder / "sweep.h5") as file:
        assert 0 < len(file["massive/value"]) and file.attrs["complete"] == 1
        assert 0 < len(file["store/token"]) < len(file["tokens/id"])
    return folder / "sweep.h5"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "sweep.h5"


@pytest.fixture
def job(model: Path, corpus: Path, output: Path) -> Path:
    return write_job(output.parent / "job.toml", make_job(model, corpus, output, store=STORE))


def kill_at(job: Path, rank: int, step: str) -> Run:
    """A run in which a rank dies at the step, which its log proves. Any model group may come to a
    segment: of a step of a segment it is the group's member that `rank` is in its own."""
    ranks = [rank % 2, rank % 2 + 2] if step.startswith("segment") else [rank]
    run = Run(job, RANKS, rank=ranks, under=dying_at(step))
    assert run.finish() == 128 + signal.SIGKILL, run.log()
    warning = f'warning: ACTSWEEP_DIE_AT asks for signal 9 at "{step}"'
    said = [line for line in run.lines if warning in line]
    assert len(said) == 1 and any(f"[{each}/4]" in said[0] for each in ranks), run.log()
    return run


def end(job: Path, output: Path, expected: Path) -> None:
    """A run that has only to consolidate ends with the same file and leaves nothing beside it."""
    assert len(segments_of(output)) == UNITS
    log = run_well(job, RANKS)
    assert f"0 of {UNITS} units of work are pending" in log
    assert_same_files(output, expected)
    assert sorted(path.name for path in output.parent.iterdir()) == ["job.toml", "sweep.h5"]


def resume(job: Path, output: Path, expected: Path) -> None:
    """A run that is killed before it consolidates shows that it measured what was missing and that
    neither it nor its kill touched what was committed; the next one ends the sweep."""
    before = segments_of(output)
    run = kill_at(job, 0, "consolidation: created")
    assert f"{UNITS - len(before)} of {UNITS} units of work are pending" in run.log()
    after = segments_of(output)
    assert {name: after[name] for name in before} == before
    end(job, output, expected)


def name_of(segment: int) -> str:
    return f"segment-{segment:06}.h5"


@pytest.mark.parametrize(
    ("rank", "step"),
    [
        pytest.param(0, "weights: stage 0 loaded", marks=pytest.mark.slow),
        (3, "weights: stage 2 loaded"),  # of 5: 4 layers and the head
    ],
)
def test_killed_while_loading(
    rank: int, step: str, job: Path, output: Path, expected: Path
) -> None:
    kill_at(job, rank, step)
    assert name_of(rank // 2) not in segments_of(output)  # the first of its group
    resume(job, output, expected)


@pytest.mark.parametrize(
    ("rank", "step"),
    [
        pytest.param(0, "segment 0: layer 0", marks=pytest.mark.slow),
        pytest.param(1, "segment 4: layer 2", marks=pytest.mark.slow),
        (3, "segment 7: layer 4"),
        pytest.param(2, "segment 9: layer 1", marks=pytest.mark.slow),
    ],
)
def test_killed_in_compute(rank: int, step: str, job: Path, output: Path, expected: Path) -> None:
    kill_at(job, rank, step)
    assert name_of(int(step[8])) not in segments_of(output)
    resume(job, output, expected)


@pytest.mark.parametrize(
    ("rank", "step", "is_there"),
    [
        (0, "segment 2: written", False),  # closed, before its fsync
        pytest.param(2, "segment 5: written", False, marks=pytest.mark.slow),
        (0, "segment 6: fsynced", False),
        pytest.param(2, "segment 3: fsynced", False, marks=pytest.mark.slow),
        (0, "segment 0: renamed", True),  # before the folder's fsync
        pytest.param(2, "segment 9: renamed", True, marks=pytest.mark.slow),
        (0, "segment 10: written", False),  # the captured prompt
        (0, "segment 8: committed", True),
    ],
)
def test_killed_in_a_commit(
    rank: int, step: str, is_there: bool, job: Path, output: Path, expected: Path
) -> None:
    kill_at(job, rank, step)
    number = int(step.split()[1].rstrip(":"))
    assert (name_of(number) in segments_of(output)) == is_there
    folder = output.with_name("sweep.h5.segments")
    assert len(list(folder.glob(name_of(number) + ".partial-*"))) == (not is_there)
    resume(job, output, expected)


@pytest.mark.parametrize(
    ("rank", "step", "is_there"),
    [
        (1, "segment 2 part 1: written", False),
        pytest.param(3, "segment 5 part 1: fsynced", False, marks=pytest.mark.slow),
        (1, "segment 0 part 1: renamed", True),
        pytest.param(3, "segment 9 part 1: renamed", True, marks=pytest.mark.slow),
        pytest.param(1, "segment 8 part 1: committed", True, marks=pytest.mark.slow),
    ],
)
def test_killed_in_the_commit_of_a_part(
    rank: int, step: str, is_there: bool, job: Path, output: Path, expected: Path
) -> None:
    """A part alone is no segment: the next run measures it anew."""
    kill_at(job, rank, step)
    number = int(step.split()[1])
    folder = output.with_name("sweep.h5.segments")
    assert name_of(number) not in segments_of(output)
    part = name_of(number) + ".part-1"
    assert (folder / part).exists() == is_there
    assert len(list(folder.glob(part + ".partial-*"))) == (not is_there)
    resume(job, output, expected)


def test_killed_between_the_parts_and_their_segment(
    job: Path, output: Path, expected: Path
) -> None:
    kill_at(job, 0, "segment 8: fsynced")
    folder = output.with_name("sweep.h5.segments")
    (folder / (name_of(8) + ".part-1")).touch()  # of a killed run, whatever it holds
    (folder / (name_of(4) + ".part-1.partial-node7-12")).write_bytes(b"half")
    assert name_of(8) not in segments_of(output)
    resume(job, output, expected)


@pytest.mark.parametrize(
    ("rank", "step"),
    [
        (0, "created"),
        pytest.param(3, "created", marks=pytest.mark.slow),
        pytest.param(0, "rows written", marks=pytest.mark.slow),
        (3, "rows written"),
    ],
)
def test_killed_in_consolidation(
    rank: int, step: str, job: Path, output: Path, expected: Path
) -> None:
    kill_at(job, rank, f"consolidation: {step}")
    assert not output.exists() and list(output.parent.glob("sweep.h5.partial-*"))
    end(job, output, expected)


@pytest.mark.parametrize("is_resumed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_killed_before_the_final_rename(
    is_resumed: bool, job: Path, output: Path, expected: Path
) -> None:
    if is_resumed:
        kill_at(job, 2, "segment 5: renamed")
    kill_at(job, 0, "consolidation: fsynced")
    assert not output.exists() and list(output.parent.glob("sweep.h5.partial-*"))
    end(job, output, expected)


@pytest.mark.parametrize(
    ("rank", "step"),
    [(0, "renamed"), pytest.param(3, "renamed", marks=pytest.mark.slow), (0, "done")],
)
def test_killed_after_the_final_rename(
    rank: int, step: str, job: Path, output: Path, expected: Path
) -> None:
    kill_at(job, rank, f"consolidation: {step}")
    assert len(segments_of(output)) == UNITS
    assert_same_files(output, expected)
    log = run_well(job, RANKS)
    assert "is complete, nothing to do" in log
    assert_same_files(output, expected)
    assert sorted(path.name for path in output.parent.iterdir()) == ["job.toml", "sweep.h5"]


def expect_linked(output: Path, expected: Path) -> None:
    """Small, and with the values of the packed file, as h5py reads them."""
    assert len(segments_of(output)) == UNITS
    with h5py.File(output) as mine, h5py.File(expected) as theirs:
        paths: list[str] = []
        theirs.visit(paths.append)
        linked = 0
        for path in filter(lambda path: isinstance(theirs[path], h5py.Dataset), paths):
            assert mine[path][()].tobytes() == theirs[path][()].tobytes(), path
            linked += mine[path].is_virtual
        assert linked > 20 and "linked_files" in mine.attrs and "linked_files" not in theirs.attrs


def test_linked_rows_stay_until_they_are_packed(
    model: Path, corpus: Path, output: Path, expected: Path
) -> None:
    keys = {"store": STORE, "output": {"layout": "linked"}}
    job = write_job(output.parent / "job.toml", make_job(model, corpus, output, **keys))
    kill_at(job, 3, "segment 7: layer 4")
    kill_at(job, 0, "consolidation: created")
    log = run_well(job, RANKS)
    assert f"0 of {UNITS} units of work are pending" in log and "its rows stay in" in log
    expect_linked(output, expected)
    before = segments_of(output)
    assert "is complete, nothing to do" in run_well(job, RANKS)
    assert segments_of(output) == before

    lost = output.with_name("sweep.h5.segments") / name_of(3)
    size = lost.stat().st_size
    lost.unlink()
    words = (str(output), str(lost), f"expected {size} bytes, found No such file or directory")
    refuse(job, OUTPUT_ERROR, *words, ranks=RANKS)
    for command in ("show", "pack"):
        result = run_alone(command, output)
        assert result.returncode == OUTPUT_ERROR and all(word in result.stderr for word in words)
    output.unlink()
    assert f"1 of {UNITS} units of work are pending" in run_well(job, RANKS)
    expect_linked(output, expected)

    result = run_alone("pack", output)
    assert result.returncode == 0, result.stderr
    assert_same_files(output, expected)
    assert sorted(path.name for path in output.parent.iterdir()) == ["job.toml", "sweep.h5"]
