"""One output, one run: of two runs the second leaves at once and names the first; what a run that was
killed has left stands in nobody's way."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import (
    STOPPED,
    Run,
    assert_same_files,
    dying_at,
    make_corpus,
    make_job,
    refuse,
    run_alone,
    run_well,
    said,
    stopping_at,
    write_job,
)

from support.compatibility import Compatibility

OUTPUT_ERROR = 6
SEGMENT_TOKENS = 1024
SEGMENTS = 20
UNITS = SEGMENTS + 1


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpora") / "text.h5", SEGMENTS * SEGMENT_TOKENS)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "sweep.h5"


@pytest.fixture
def job(model: Path, text: Path, output: Path) -> Path:
    keys = {"output": {"segment_tokens": SEGMENT_TOKENS}}
    return write_job(output.with_name("job.toml"), make_job(model, text, output, **keys))


@pytest.fixture(scope="module")
def expected(model: Path, text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("expected") / "sweep.h5"
    keys = {"output": {"segment_tokens": SEGMENT_TOKENS}}
    run_well(write_job(output.with_name("job.toml"), make_job(model, text, output, **keys)), 2)
    return output


def lock_of(output: Path) -> Path:
    return output.with_name(output.name + ".segments") / "lock"


def errors_of(run: Run) -> list[str]:
    return [line for line in run.lines if "] error: " in line]


@pytest.fixture
def frozen(job: Path, output: Path) -> Iterator[Run]:
    """A run whose ranks stand still after a segment: it lives, and does nothing."""
    run = Run(job, 2)
    while not list(lock_of(output).parent.glob("segment-*.h5")):
        assert run.process.poll() is None, run.log()
        time.sleep(0.01)
    pids = run.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    yield run
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    assert run.finish() == 0, run.log()


def test_second_run_leaves_at_once_and_names_the_first(
    frozen: Run, job: Path, output: Path, compatibility: Compatibility
) -> None:
    first = frozen.pids()[0]
    log = refuse(
        job,
        OUTPUT_ERROR,
        f"{output}: another run has this output: expected none, found process {first} on "
        f"{os.uname().nodename}, started 20",
        f"holds {lock_of(output)}",
    )
    assert "plan" not in log  # before anything is measured
    line = re.sub(r"process \d+ on \S+, started \S+;", "process 4711 on node1, started …;", said(log))
    compatibility("Outputs", "a second run with the output of one that lives", "refused", line)


def test_second_run_of_another_job_is_refused_alike(frozen: Run, job: Path) -> None:
    words = "another run has this output"
    refuse(job, OUTPUT_ERROR, words, sets=["statistics.top_k=2"])


def test_of_many_runs_one_makes_the_file(job: Path, output: Path, expected: Path) -> None:
    """Six runs of one job, begun a tenth of a second apart: one makes the file, each other is refused
    or finds it made."""
    runs = []
    for _ in range(6):
        runs.append(Run(job, 2))
        time.sleep(0.1)
    codes = [run.finish() for run in runs]
    assert codes.count(0) >= 1 and set(codes) <= {0, OUTPUT_ERROR}, codes
    made = [run for run in runs if f"{output}: complete" in run.log()]
    assert len(made) == 1, codes
    for run, code in zip(runs, codes, strict=True):
        if code == OUTPUT_ERROR:
            assert len(errors_of(run)) == 1 and "another run has this output" in run.log()
        elif run not in made:
            assert "is complete, nothing to do" in run.log()
    assert_same_files(output, expected)
    assert sorted(path.name for path in output.parent.iterdir()) == ["job.toml", "sweep.h5"]


@pytest.mark.parametrize(("rank", "step"), [(0, "segment 2: written"), (1, "segment 2: layer 1")])
def test_killed_run_holds_nothing(
    rank: int, step: str, job: Path, output: Path, expected: Path
) -> None:
    run = Run(job, 2, rank=rank, under=dying_at(step))
    assert run.finish() == 137, run.log()
    assert lock_of(output).exists()
    done = len(list(lock_of(output).parent.glob("segment-*.h5")))
    if rank == 0:
        assert done == 2 and list(lock_of(output).parent.glob("segment-000002.h5.partial-*"))
    log = run_well(job, 2)
    assert f"{UNITS - done} of {UNITS} units of work are pending" in log
    assert_same_files(output, expected)
    assert sorted(path.name for path in output.parent.iterdir()) == ["job.toml", "sweep.h5"]


def test_unfinished_files_of_killed_runs_are_removed(job: Path, output: Path) -> None:
    run = Run(job, 2, under=dying_at("consolidation: created"))
    assert run.finish() == 137, run.log()
    assert len(list(output.parent.glob("sweep.h5.partial-*"))) == 1
    (lock_of(output).parent / "segment-000003.h5.partial-node7-12").write_bytes(b"half")
    run_well(job, 2)
    assert sorted(path.name for path in output.parent.iterdir()) == ["job.toml", "sweep.h5"]


def test_stop_gives_the_output_up(job: Path, output: Path) -> None:
    run = Run(job, 2, under=stopping_at("segment 2: layer 1"))
    assert run.finish() == STOPPED, run.log()
    assert not lock_of(output).exists() and lock_of(output).parent.exists()


def test_refused_job_gives_the_output_up(job: Path, output: Path) -> None:
    refuse(job, 3, "no-such.h5", sets=["corpus.path=no-such.h5"])
    assert not lock_of(output).parent.exists()
    refuse(job, 2, "the job does not fit", sets=["parallel.microbatch_tokens=1000000000",
                                                 "output.segment_tokens=1000000000"])
    assert not lock_of(output).parent.exists()


@pytest.mark.parametrize("replica", [0, 1])
def test_error_of_one_replica_gives_the_output_up(
    replica: int, model: Path, text: Path, output: Path
) -> None:
    """The others are ended in the midst of their work, rank 0 too."""
    keys = {"output": {"segment_tokens": SEGMENT_TOKENS}, "store": {"sites": ["residual"]}}
    job = write_job(output.with_name("job.toml"), make_job(model, text, output, **keys))
    under = ["sh", "-c", 'ulimit -S -f 1024; exec "$0" "$@"']  # blocks of 512 bytes: a segment has more
    run = Run(job, 2, "parallel.tensor=1", rank=replica, under=under, OMPI_MCA_btl="self,tcp")
    assert run.finish() == OUTPUT_ERROR, run.log()
    assert "too large" in run.log()
    assert not lock_of(output).exists(), run.log()


ELSEWHERE = """\
host node7
place another-boot/pid:[1]
process 12
process_start 34
job 4711
cluster blue
restart 1
started 2026-01-02T03:04:05Z
"""


def leave_lock(output: Path, seconds_ago: float, text: str = ELSEWHERE) -> Path:
    lock = lock_of(output)
    lock.parent.mkdir()
    lock.write_text(text)
    then = time.time() - seconds_ago
    os.utime(lock, (then, then))
    return lock


def test_run_on_another_node_holds_until_it_is_silent(
    job: Path, output: Path, compatibility: Compatibility
) -> None:
    lock = leave_lock(output, 200)
    log = refuse(
        job,
        OUTPUT_ERROR,
        "found process 12 on node7 (Slurm job 4711), started 2026-01-02T03:04:05Z",
        "after 300 s it counts as ended; if it has ended, remove",
        str(lock),
    )
    assert lock.read_text() == ELSEWHERE
    compatibility(
        "Outputs", "the output of a run on another node that gave a sign of life within 5 minutes",
        "refused", re.sub(r"is \d+ s old", "is 200 s old", said(log)),
    )
    then = time.time() - 400
    os.utime(lock, (then, then))
    run_well(job, 2)
    compatibility("Outputs", "the output of a run on another node, silent for 5 minutes", "read")


def test_restart_of_the_same_job_takes_over_at_once(job: Path, output: Path) -> None:
    leave_lock(output, 1)
    environment = {"SLURM_JOB_ID": "4711", "SLURM_CLUSTER_NAME": "blue"}
    run = Run(job, 2, SLURM_RESTART_COUNT="1", **environment)
    assert run.finish() == OUTPUT_ERROR, run.log()
    run_well(job, 2, SLURM_RESTART_COUNT="2", **environment)


def test_shards_share_an_output_and_each_has_one_run(
    model: Path, text: Path, output: Path, expected: Path
) -> None:
    keys = {"output": {"segment_tokens": SEGMENT_TOKENS}}
    job = write_job(output.with_name("job.toml"), make_job(model, text, output, **keys))
    runs = [Run(job, 2, f'corpus.shard="{shard}"') for shard in ("0/2", "1/2", "1/2")]
    codes = [run.finish() for run in runs]
    assert codes[0] == 0, runs[0].log()
    assert sorted(codes[1:]) in ([0, 0], [0, OUTPUT_ERROR]), runs[1].log() + runs[2].log()
    if OUTPUT_ERROR in codes:
        assert "another run has this output" in runs[codes.index(OUTPUT_ERROR)].log()
    assert not list(lock_of(output).parent.glob("lock*"))
    run_well(job, 2)
    assert_same_files(output, expected)


def test_merge_into_an_output_that_a_run_has(frozen: Run, output: Path, expected: Path) -> None:
    result = run_alone("merge", expected, expected, "-o", output)
    assert result.returncode == OUTPUT_ERROR
    assert "another run has this output" in result.stderr
