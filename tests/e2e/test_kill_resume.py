"""A sweep that is killed at any moment goes on to the same file.

A rank kills itself with SIGKILL at a step named by ACTSWEEP_DIE_AT, or is killed from outside while
it reads the weights. 4 ranks: 2 replicas of 2 model ranks; rank 0 and rank 2 write. 10 segments and
a captured prompt, number 10, dealt to the replicas in turn.
"""

import os
import signal
from pathlib import Path

import h5py
import pytest
from running import (
    Run,
    assert_same_files,
    make_corpus,
    make_job,
    make_model,
    run_well,
    segments_of,
    write_job,
)

RANKS = 4
UNITS = 11


@pytest.fixture(scope="module")
def expected(model: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("expected")
    job = write_job(folder / "job.toml", make_job(model, corpus, folder / "sweep.h5"))
    run_well(job, RANKS)
    with h5py.File(folder / "sweep.h5") as file:
        assert 0 < len(file["massive/value"]) and file.attrs["complete"] == 1
    return folder / "sweep.h5"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "sweep.h5"


@pytest.fixture
def job(model: Path, corpus: Path, output: Path) -> Path:
    return write_job(output.parent / "job.toml", make_job(model, corpus, output))


def kill_at(job: Path, rank: int, step: str) -> None:
    """A run that dies at the step, which its log proves."""
    run = Run(job, RANKS, die_at=(rank, step))
    assert run.finish() == 128 + signal.SIGKILL, run.log()
    dying = [line for line in run.lines if "dying" in line]
    assert len(dying) == 1 and f'[{rank}/4] warning: dying at "{step}"' in dying[0], run.log()


def resume(job: Path, output: Path, expected: Path) -> None:
    """A run that is killed before it consolidates shows that it measured what was missing and left
    what was committed alone; the next one ends with the same file."""
    before = segments_of(output)
    run = Run(job, RANKS, die_at=(0, "consolidation: created"))
    assert run.finish() == 128 + signal.SIGKILL, run.log()
    assert f"{UNITS - len(before)} of {UNITS} units of work are pending" in run.log()
    after = segments_of(output)
    assert len(after) == UNITS
    assert {name: after[name] for name in before} == before
    log = run_well(job, RANKS)
    assert f"0 of {UNITS} units of work are pending" in log
    assert_same_files(output, expected)
    assert sorted(path.name for path in output.parent.iterdir()) == ["job.toml", "sweep.h5"]


def name_of(segment: int) -> str:
    return f"segment-{segment:06}.h5"


@pytest.mark.parametrize(
    ("rank", "step"),
    [
        (0, "segment 0: layer 0"),
        (1, "segment 4: layer 2"),
        (3, "segment 7: layer 4"),
        (2, "segment 9: layer 1"),
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
        (2, "segment 5: written", False),
        (0, "segment 6: fsynced", False),
        (2, "segment 3: fsynced", False),
        (0, "segment 0: renamed", True),  # before the folder's fsync
        (2, "segment 9: renamed", True),
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
    partial = output.with_name("sweep.h5.segments") / (name_of(number) + ".partial")
    assert partial.exists() != is_there
    resume(job, output, expected)


@pytest.mark.parametrize("step", ["created", "rows written", "fsynced"])
@pytest.mark.parametrize("tensor", [1, 2])
def test_killed_in_consolidation(
    step: str, tensor: int, job: Path, output: Path, expected: Path, tmp_path: Path
) -> None:
    del tensor  # twice each: consolidation is the same for all
    kill_at(job, 0, f"consolidation: {step}")
    assert len(segments_of(output)) == UNITS and not output.exists()
    resume(job, output, expected)


@pytest.mark.parametrize("step", ["renamed", "done"])
@pytest.mark.parametrize("is_fresh", [True, False], ids=["fresh", "resumed"])
def test_killed_after_the_final_rename(
    step: str, is_fresh: bool, job: Path, output: Path, expected: Path
) -> None:
    if not is_fresh:
        kill_at(job, 2, "segment 5: renamed")
    kill_at(job, 0, f"consolidation: {step}")
    assert len(segments_of(output)) == UNITS
    assert_same_files(output, expected)
    log = run_well(job, RANKS)
    assert "is complete, nothing to do" in log
    assert_same_files(output, expected)
    assert sorted(path.name for path in output.parent.iterdir()) == ["job.toml", "sweep.h5"]


@pytest.fixture(scope="module")
def slow_to_load(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of 200 MB whose bfloat16 weights become float32 as they are loaded."""
    config = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 6}
    config |= {"num_attention_heads": 8, "initializer_range": 0.05}
    return make_model(tmp_path_factory.mktemp("models") / "slow", "bfloat16", **config)


@pytest.mark.parametrize("rank", [0, 3])
def test_killed_while_loading(rank: int, slow_to_load: Path, tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus.h5", 64)
    jobs = []
    for name in ("sweep", "expected"):
        output = tmp_path / f"{name}.h5"
        job = make_job(slow_to_load, corpus, output, output={"segment_tokens": 16})
        jobs.append(write_job(tmp_path / f"{name}.toml", job))
    run = Run(jobs[0], RANKS)
    run.wait_for("reading the weights")
    os.kill(run.pids()[rank], signal.SIGKILL)
    assert run.finish() == 128 + signal.SIGKILL, run.log()
    assert "weights are ready" not in run.log()
    assert not segments_of(tmp_path / "sweep.h5")
    run_well(jobs[0], RANKS)
    run_well(jobs[1], RANKS)
    assert_same_files(tmp_path / "sweep.h5", tmp_path / "expected.h5")
