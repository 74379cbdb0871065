"""A sweep that is asked to stop commits whole segments, says so by its exit code, goes on later.

SIGUSR1: the deadline is SLURM_JOB_END_TIME. SIGTERM: 20 s. mpirun forwards SIGUSR1 at once and
passes on the ranks' exit code; after a SIGTERM it waits 1 s by default, sends SIGTERM to the ranks,
waits 1 s, kills them, and returns 1, whatever they return. 2 ranks: one model group.
"""

import os
import signal
import time
from pathlib import Path

import h5py
import pytest
from running import (
    STOPPED,
    Run,
    assert_same_files,
    held_at,
    make_corpus,
    make_job,
    run_well,
    segments_of,
    status_of,
    stopping_at,
    write_job,
)

RANKS = 2
SEGMENT_TOKENS = 1024
UNITS = 20  # 19 segments and a captured prompt
IN_SEGMENT_1 = "segment 1: layer 2"
FIRST_TWO = ["segment-000000.h5", "segment-000001.h5"]


def write_job_of(folder: Path, model: Path, corpus: Path) -> Path:
    keys = {"segment_tokens": SEGMENT_TOKENS}
    return write_job(
        folder / "job.toml", make_job(model, corpus, folder / "sweep.h5", output=keys)
    )


@pytest.fixture(scope="module")
def segments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of UNITS - 1 segments."""
    path = tmp_path_factory.mktemp("corpora") / "segments.h5"
    return make_corpus(path, (UNITS - 1) * SEGMENT_TOKENS)


@pytest.fixture(scope="module")
def expected(model: Path, segments: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("expected")
    run_well(write_job_of(folder, model, segments), RANKS)
    return folder / "sweep.h5"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "sweep.h5"


@pytest.fixture
def job(model: Path, segments: Path, tmp_path: Path) -> Path:
    return write_job_of(tmp_path, model, segments)


def assert_stopped(run: Run, output: Path) -> int:
    """Whole segments of two members alone are left, not all; their number."""
    assert "a stop was asked for" in run.log() and "stopped early" in run.log()
    folder = output.with_name("sweep.h5.segments")
    segments = segments_of(output)
    parts = [f"{name}.part-1" for name in segments]
    assert sorted(path.name for path in folder.iterdir()) == sorted([*segments, *parts])
    for name in segments:
        with h5py.File(folder / name) as file:
            assert file.attrs["segment"] == int(name[8:14]) and "identity" in file.attrs
    assert not output.exists() and 0 < len(segments) < UNITS
    return len(segments)


def resume(job: Path, output: Path, expected: Path, done: int) -> None:
    log = run_well(job, RANKS)
    assert f"{UNITS - done} of {UNITS} units of work are pending" in log
    assert_same_files(output, expected)
    assert sorted(path.name for path in output.parent.iterdir()) == ["job.toml", "sweep.h5"]


def signal_in_segment_1(run: Run, target: str, number: signal.Signals) -> None:
    """Of a run that holds there. mpirun hands on what it gets to every rank."""
    pids = run.wait_for_hold()
    told = pids if target == "mpirun" else [pids[int(target[-1])]]
    os.kill(run.process.pid if target == "mpirun" else told[0], number)
    run.release_with(number, told)


@pytest.mark.parametrize(
    ("target", "number"),
    [
        ("mpirun", signal.SIGUSR1),
        ("rank 0", signal.SIGUSR1),
        ("rank 0", signal.SIGTERM),
        ("rank 1", signal.SIGTERM),
    ],
)
def test_signal_stops_the_sweep(
    target: str, number: signal.Signals, job: Path, output: Path, expected: Path
) -> None:
    run = Run(job, RANKS, **held_at(IN_SEGMENT_1))
    signal_in_segment_1(run, target, number)
    assert run.finish() == STOPPED, run.log()
    resume(job, output, expected, assert_stopped(run, output))


def test_terminated_mpirun_leaves_time_to_commit(job: Path, output: Path, expected: Path) -> None:
    """The ranks get 3 s here, of which they need less than one."""
    run = Run(job, RANKS, **held_at(IN_SEGMENT_1), OMPI_MCA_odls_base_sigkill_timeout="3")
    signal_in_segment_1(run, "mpirun", signal.SIGTERM)
    assert run.finish() == 1, run.log()
    resume(job, output, expected, assert_stopped(run, output))


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    ("seconds_left", "committed"), [(100_000, FIRST_TWO), (2, FIRST_TWO[:1])], ids=["far", "near"]
)
def test_segment_is_finished_if_there_is_time(
    seconds_left: int, committed: list[str], rank: int, job: Path, output: Path, expected: Path
) -> None:
    """Rank `rank` learns of the stop in the midst of segment 1."""
    end_s = str(int(time.time()) + seconds_left)
    step = IN_SEGMENT_1
    run = Run(job, RANKS, rank=rank, under=stopping_at(step), SLURM_JOB_END_TIME=end_s)
    assert run.finish() == STOPPED, run.log()
    assert f'ACTSWEEP_STOP_AT asks for signal 10 at "{step}"' in run.log()
    assert_stopped(run, output)
    assert list(segments_of(output)) == committed
    resume(job, output, expected, len(committed))


def test_every_replica_stops(model: Path, segments: Path, output: Path) -> None:
    """2 replicas of 1 rank, signalled through mpirun: each ends its own segment."""
    keys = {"parallel": {"tensor": 1}, "output": {"segment_tokens": 256}}
    job = write_job(output.parent / "job.toml", make_job(model, segments, output, **keys))
    # Each replica in its own first segment.
    in_its_first = ["env", f"ACTSWEEP_HOLD_AT={IN_SEGMENT_1}"]
    run = Run(job, RANKS, rank=1, under=in_its_first, **held_at("segment 0: layer 2"))
    pids = run.wait_for_hold()
    run.process.send_signal(signal.SIGUSR1)
    run.release_with(signal.SIGUSR1, pids)
    assert run.finish() == STOPPED, run.log()
    num_each = (UNITS - 1) * SEGMENT_TOKENS // 256 // 2
    numbers = [int(name[8:14]) for name in segments_of(output)]
    for replica in (0, 1):
        assert 0 < sum(number % 2 == replica for number in numbers) < num_each, run.log()


OF_REPLICA = 256  # tokens of a segment
UNITS_OF_REPLICAS = (UNITS - 1) * SEGMENT_TOKENS // OF_REPLICA + 1


def write_replicas(model: Path, segments: Path, output: Path) -> Path:
    """A job of 2 replicas of 1 rank."""
    keys = {"parallel": {"tensor": 1}, "output": {"segment_tokens": OF_REPLICA}}
    return write_job(output.parent / "job.toml", make_job(model, segments, output, **keys))


@pytest.mark.parametrize("replica", [0, 1])
def test_stop_of_one_replica_stops_the_other(
    replica: int, model: Path, segments: Path, output: Path
) -> None:
    """Which has got no signal."""
    job = write_replicas(model, segments, output)
    run = Run(job, RANKS, rank=replica, under=stopping_at(f"segment {replica}: layer 2"))
    assert run.finish() == STOPPED, run.log()
    where = "" if replica == 0 else " in another model group"  # as rank 0 says
    assert f"a stop was asked for{where}: 20 s left" in run.log(), run.log()
    done = len(segments_of(output))
    assert 2 <= done < UNITS_OF_REPLICAS // 2, run.log()
    log = run_well(job, RANKS)
    assert f"{UNITS_OF_REPLICAS - done} of {UNITS_OF_REPLICAS} units of work are pending" in log


def pauses(pid: int) -> int:
    """How often a process has slept of its own will."""
    return int(status_of(pid)["voluntary_ctxt_switches"])


def test_stop_of_a_replica_that_waits_stops_the_other(
    model: Path, segments: Path, output: Path
) -> None:
    """It has no work left. Of the other's segment nothing is left: the job's end has passed."""
    job = write_replicas(model, segments, output)
    end_s = str(int(time.time()) - 100)
    held = ["env", "ACTSWEEP_HOLD_AT=segment 1: layer 1"]
    run = Run(job, RANKS, rank=1, under=held, SLURM_JOB_END_TIME=end_s)
    run.wait_until(lambda: len(segments_of(output)) == UNITS_OF_REPLICAS - 1)
    pids = run.pids()
    os.kill(pids[0], signal.SIGUSR1)
    before = pauses(pids[0])
    run.wait_until(lambda: pauses(pids[0]) > before + 5)  # it has looked, and told
    os.kill(pids[1], signal.SIGCONT)
    assert run.finish() == STOPPED, run.log()
    assert "a stop was asked for while this model group waits for others" in run.log(), run.log()
    assert len(segments_of(output)) == UNITS_OF_REPLICAS - 1
    assert "segment-000001.h5" not in segments_of(output)
