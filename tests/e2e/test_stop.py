"""A sweep that is asked to stop commits whole segments, says so by its exit code, and goes on later.

SIGUSR1: the deadline is SLURM_JOB_END_TIME. SIGTERM: 20 s. mpirun forwards SIGUSR1 and passes on the
ranks' exit code; after a SIGTERM it returns 1, whatever they return. 2 ranks: one model group.
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
    make_corpus,
    make_job,
    run_well,
    segments_of,
    write_job,
)

RANKS = 2
TOKENS = 40_000
SEGMENT_TOKENS = 1024
UNITS = 41  # 40 segments and a captured prompt
FIRST_TWO = ["segment-000000.h5", "segment-000001.h5"]


@pytest.fixture(scope="module")
def long_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpora") / "long.h5", TOKENS)


def write_long_job(folder: Path, model: Path, corpus: Path) -> Path:
    keys = {"segment_tokens": SEGMENT_TOKENS}
    return write_job(
        folder / "job.toml", make_job(model, corpus, folder / "sweep.h5", output=keys)
    )


@pytest.fixture(scope="module")
def expected(model: Path, long_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("expected")
    run_well(write_long_job(folder, model, long_corpus), RANKS)
    return folder / "sweep.h5"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "sweep.h5"


@pytest.fixture
def job(model: Path, long_corpus: Path, tmp_path: Path) -> Path:
    return write_long_job(tmp_path, model, long_corpus)


def assert_stopped(run: Run, output: Path) -> int:
    """Whole segments alone are left, not all; their number."""
    assert "a stop was asked for" in run.log() and "stopped early" in run.log()
    folder = output.with_name("sweep.h5.segments")
    segments = segments_of(output)
    assert sorted(path.name for path in folder.iterdir()) == list(segments)
    for name in segments:
        with h5py.File(folder / name) as file:
            assert file.attrs["segment"] == int(name[8:14]) and "identity" in file.attrs
    assert not output.exists() and 0 < len(segments) < UNITS
    return len(segments)


def resume(job: Path, output: Path, expected: Path, done: int) -> None:
    before = segments_of(output)
    assert len(before) == done
    log = run_well(job, RANKS)
    assert f"{UNITS - done} of {UNITS} units of work are pending" in log
    assert_same_files(output, expected)
    assert sorted(path.name for path in output.parent.iterdir()) == ["job.toml", "sweep.h5"]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
@pytest.mark.parametrize("target", ["mpirun", "rank 0", "rank 1"])
def test_signal_stops_the_sweep(
    target: str, number: signal.Signals, job: Path, output: Path, expected: Path
) -> None:
    # mpirun gives its ranks 1 s between SIGTERM and SIGKILL, where nothing else is said.
    run = Run(job, RANKS, OMPI_MCA_odls_base_sigkill_timeout="30")
    while not segments_of(output):
        assert run.process.poll() is None, run.log()
        time.sleep(0.01)
    os.kill(run.process.pid if target == "mpirun" else run.pids()[int(target[-1])], number)
    by_mpirun = target == "mpirun" and number == signal.SIGTERM
    assert run.finish() == (1 if by_mpirun else STOPPED), run.log()
    resume(job, output, expected, assert_stopped(run, output))


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    ("seconds_left", "committed"), [(1000, FIRST_TWO), (2, FIRST_TWO[:1])], ids=["far", "near"]
)
def test_segment_is_finished_if_there_is_time(
    seconds_left: int, committed: list[str], rank: int, job: Path, output: Path, expected: Path
) -> None:
    """Rank `rank` learns of the stop in the midst of segment 1."""
    end_s = str(int(time.time()) + seconds_left)
    step = "segment 1: layer 2"
    run = Run(job, RANKS, rank=rank, at=f"ACTSWEEP_STOP_AT={step}", SLURM_JOB_END_TIME=end_s)
    assert run.finish() == STOPPED, run.log()
    assert f'ACTSWEEP_STOP_AT asks for signal 10 at "{step}"' in run.log()
    assert_stopped(run, output)
    assert list(segments_of(output)) == committed
    resume(job, output, expected, len(committed))


def test_every_replica_stops(model: Path, corpus: Path, tmp_path: Path) -> None:
    """2 replicas of 1 rank, signalled through mpirun: each ends its own segment."""
    output = tmp_path / "sweep.h5"
    job = make_job(
        model, corpus, output, parallel={"tensor": 1}, output={"segment_tokens": 64}
    )
    path = write_job(tmp_path / "job.toml", job)
    run = Run(path, RANKS)
    run.wait_for("weights are ready")
    run.process.send_signal(signal.SIGUSR1)
    assert run.finish() == STOPPED, run.log()
    assert {int(name[8:14]) % 2 for name in segments_of(output)} <= {0, 1}
    run_well(path, RANKS)
    assert output.exists()
