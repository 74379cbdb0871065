"""Sweeps as jobs of a real Slurm: whatever stops them, they go on by themselves to the same file.

Where a stop has to come in the middle, the ranks are frozen (SIGSTOP) once they have committed a
segment: then Slurm has all the time that it takes.
"""

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import NODE_CPUS, Cluster, wait_until
from running import PROGRAM, STOPPED, make_corpus, write_job
from slow_job import SCRIPTS, UNITS, make_slow_job
from slurm_jobs import (
    JOB_ENVIRONMENT,
    assert_complete,
    committed,
    log_of,
    ranks_of,
    submit,
    wait_for_segment,
    wrapped,
)

def freeze(number: str) -> list[int]:
    """Stops the clock of a running job; its two ranks."""
    pids = ranks_of(number)
    assert len(pids) == 2
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    return pids


def is_frozen(pid: int, which: signal.Signals) -> bool:
    """Whether a process is stopped and has not been sent the signal."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return False  # has ended
    facts = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    pending = int(facts["ShdPnd"], 16) >> (which - 1) & 1
    return facts["State"].startswith("T") and not pending


def thaw_with(pids: list[int], which: signal.Signals) -> None:
    """Waits until the frozen ranks have been sent the signal, and lets them run.

    Slurm itself lets a job run on (SIGCONT) before a signal of its own.
    """
    for pid in pids:
        wait_until(
            lambda pid=pid: not is_frozen(pid, which),
            lambda pid=pid: f"{pid} got no {which.name}",
        )
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def seconds_left(job: Path) -> int:
    """How long the program took itself to have when it was asked to stop."""
    found = re.findall(r"a stop was asked for: (\d+) s left", log_of(job))
    assert len(found) == 1, log_of(job)
    return int(found[0])


def assert_went_on(cluster: Cluster, job: Path, number: str, expected: Path) -> None:
    """The job stopped once with segments committed, requeued itself and made the file."""
    cluster.wait_for_state(number, "COMPLETED")
    log = log_of(job)
    assert cluster.facts(number)["Restarts"] == "1", log
    assert "a stop was asked for" in log
    said = [line for line in log.splitlines() if "requeueing" in line]
    assert len(said) == 1 and said[0].endswith(f"requeueing job {number}"), log
    count = int(said[0].split(" with ")[1].split()[0])
    assert 0 < count < UNITS
    assert f"{UNITS} of {UNITS} units of work are pending" in log
    assert f"{UNITS - count} of {UNITS} units of work are pending" in log
    assert_complete(job, expected)


def test_submitted_and_finished(cluster: Cluster, job: Path, expected: Path) -> None:
    number = submit(cluster, job)
    cluster.wait_for_state(number, "COMPLETED", "FAILED")
    facts = cluster.facts(number)
    assert (facts["ExitCode"], facts["Restarts"]) == ("0:0", "0"), log_of(job)
    assert_complete(job, expected)


def test_signalled_ahead_of_the_time_limit(cluster: Cluster, job: Path, expected: Path) -> None:
    number = submit(cluster, job)
    wait_for_segment(job)
    pids = freeze(number)
    cluster.run("scontrol", "update", f"jobid={number}", "EndTime=now+100seconds")
    thaw_with(pids, signal.SIGUSR1)  # by the script's own --signal
    cluster.wait_for_state(number, "PENDING")
    cluster.run("scontrol", "update", f"jobid={number}", "TimeLimit=20")
    # The deadline is the limit of the job's start, 20 minutes, and not the 20 s of a SIGTERM.
    assert 60 < seconds_left(job) < 20 * 60
    assert_went_on(cluster, job, number, expected)


def test_preempted(cluster: Cluster, job: Path, expected: Path) -> None:
    number = submit(cluster, job)
    wait_for_segment(job)
    pids = freeze(number)
    everything = ["--partition=high", f"--ntasks={NODE_CPUS}", "--output=/dev/null"]
    other = cluster.run("sbatch", "--parsable", *everything, "--wrap=true")
    thaw_with(pids, signal.SIGTERM)
    cluster.wait_for_state(other, "COMPLETED")
    assert seconds_left(job) == 20
    assert_went_on(cluster, job, number, expected)


def test_sigterm_to_the_script_alone(cluster: Cluster, job: Path, expected: Path) -> None:
    number = submit(cluster, job)
    wait_for_segment(job)
    pids = freeze(number)
    cluster.run("scancel", "--batch", "--signal=TERM", number)
    thaw_with(pids, signal.SIGTERM)
    assert_went_on(cluster, job, number, expected)


def test_sigterm_to_the_script_and_srun_too(cluster: Cluster, job: Path, expected: Path) -> None:
    """srun kills the ranks at once; what they have committed stays."""
    number = submit(cluster, job)
    wait_for_segment(job)
    cluster.run("scancel", "--full", "--signal=TERM", number)
    cluster.wait_for_state(number, "COMPLETED", "FAILED")
    log = log_of(job)
    assert cluster.facts(number)["Restarts"] == "1", log
    assert log.count("requeueing job") == 1 and "0 segments committed" not in log, log
    assert_complete(job, expected)


# The program, whose rank 1 lives on for seconds after it was stopped.
LINGERING = """\
#!/bin/bash
trap : TERM USR1  # as the program takes them
"{program}" "$@"
code=$?
[ "$code,$SLURM_PROCID" != {stopped},1 ] || {{ sleep 3 && touch "{mark}"; }}
exit "$code"
"""


def test_first_rank_to_stop_has_no_other_killed(
    cluster: Cluster, job: Path, expected: Path
) -> None:
    """Under KillOnBadExit, which sites may have set."""
    mark, program = job.parent / "log-lingered", job.parent / "log-program"
    program.write_text(LINGERING.format(program=PROGRAM, stopped=STOPPED, mark=mark))
    program.chmod(0o755)
    number = submit(cluster, job, f"--export=ALL,ACTSWEEP={program}")
    wait_for_segment(job)
    pids = freeze(number)
    cluster.run("scancel", "--signal=TERM", number)
    thaw_with(pids, signal.SIGTERM)
    assert_went_on(cluster, job, number, expected)
    assert mark.exists(), log_of(job)


def test_cancelled_is_not_requeued(cluster: Cluster, job: Path) -> None:
    number = submit(cluster, job)
    wait_for_segment(job)
    cluster.run("scancel", number)
    wait_until(lambda: not cluster.run("squeue", "-h", "-j", number), lambda: log_of(job))
    facts = cluster.facts(number)
    assert (facts["JobState"], facts["Restarts"]) == ("CANCELLED", "0")
    assert "stopped early; not requeued, since the job is COMPLETING None" in log_of(job)
    assert committed(job)


def test_a_rank_that_dies_ends_the_job(cluster: Cluster, job: Path) -> None:
    number = submit(cluster, job)
    wait_for_segment(job)
    os.kill(ranks_of(number)[0], signal.SIGKILL)
    cluster.wait_for_state(number, "FAILED")
    facts = cluster.facts(number)
    assert (facts["ExitCode"], facts["Restarts"]) == (f"{128 + signal.SIGKILL}:0", "0")
    assert committed(job)


@pytest.fixture
def endless(model: Path, tmp_path: Path) -> Path:
    """A job of one segment of minutes."""
    corpus = make_corpus(tmp_path / "corpus.h5", 1_000_000)
    job = make_slow_job(model, corpus, tmp_path / "sweep.h5")
    job["output"].update(segment_tokens=1_000_000, per_token="none")
    return write_job(tmp_path / "job.toml", job)


def test_two_restarts_without_a_segment_are_the_last(cluster: Cluster, endless: Path) -> None:
    number = submit(cluster, endless)
    for start in range(3):
        wait_until(
            lambda start=start: log_of(endless).count("weights are ready") > start,
            lambda: log_of(endless),
            endless.parent,
        )
        cluster.run("scancel", "--signal=TERM", number)
    cluster.wait_for_state(number, "FAILED")
    facts = cluster.facts(number)
    log = log_of(endless)
    assert (facts["ExitCode"], facts["Restarts"]) == (f"{STOPPED}:0", "2"), log
    assert log.count("requeueing") == 2
    assert "two restarts in a row committed no segment beyond the 0 in" in log.splitlines()[-1]
    assert not committed(endless) and not list(endless.parent.glob("*.starts*"))


@pytest.fixture
def array(cluster: Cluster, job: Path) -> Iterator[tuple[str, str]]:
    """An array of three and its dependent job, submitted."""
    options = ["--ntasks=2", "--time=20", f"--output={job.parent / 'log'}-%x-%A-%a"]
    words = cluster.run(SCRIPTS / "submit_array.sh", job, 3, *options, **JOB_ENVIRONMENT).split()
    assert len(words) == 2
    yield words[0], words[1]


def test_array_and_its_dependent_run(
    cluster: Cluster, job: Path, array: tuple[str, str], expected: Path
) -> None:
    shards, last = array
    wait_until(
        lambda: any(number % 3 == 2 for number in committed(job)),
        lambda: f"{committed(job)}",
        job.parent,
    )
    # The last element has the number of the array: it alone has to be requeued.
    element = cluster.facts(f"{shards}_2")["JobId"]
    pids = freeze(element)
    cluster.run("scancel", "--signal=TERM", f"{shards}_2")
    thaw_with(pids, signal.SIGTERM)
    cluster.wait_for_state(last, "COMPLETED", "FAILED")
    restarts = [cluster.facts(f"{shards}_{index}")["Restarts"] for index in range(3)]
    assert restarts == ["0", "0", "1"]
    assert [cluster.facts(f"{shards}_{index}")["ExitCode"] for index in range(3)] == ["0:0"] * 3
    logs = [path.read_text() for path in job.parent.glob(f"log-*-{last}-*")]
    assert len(logs) == 1 and f"0 of {UNITS} units of work are pending" in logs[0]
    assert_complete(job, expected)


# Each task ends by itself, also the one that starts last: srun would end it with 143 when the first has ended.
WITHOUT_MPI = "srun --mpi=none --kill-on-bad-exit=0"


@pytest.mark.parametrize(
    ("launch", "found"),
    [
        (WITHOUT_MPI, "srun has started 2 task(s)"),
        (f"{WITHOUT_MPI} --ntasks=1", "srun has started 1 task(s)"),
        ("", "SLURM_NTASKS = 2"),
    ],
    ids=["srun of another MPI", "srun of one task", "no srun"],
)
def test_tasks_that_mpi_does_not_join_are_refused(
    launch: str, found: str, cluster: Cluster, job: Path
) -> None:
    code, log = wrapped(cluster, job, f"{launch} {PROGRAM} run {job}")
    assert code == "5:0", log
    assert log.count("] error: ") == 1 and found in log and "srun --mpi=pmix" in log
    assert not (job.parent / "sweep.h5.segments").exists()


@pytest.mark.parametrize(
    "launch", ["srun --mpi=pmix --ntasks=1", "mpirun -n 1"]
)
def test_one_task_of_a_larger_job_is_one_rank(launch: str, cluster: Cluster, job: Path) -> None:
    sets = "--set parallel.tensor=1 --set corpus.max_sequences=8 --set output.segment_tokens=512"
    code, log = wrapped(cluster, job, f"{launch} {PROGRAM} run {job} {sets}")
    assert code == "0:0", log


def test_two_jobs_of_one_output(cluster: Cluster, job: Path, expected: Path) -> None:
    """The second leaves with 6, names the first, and is not requeued."""
    first = submit(cluster, job)
    wait_for_segment(job)
    pids = freeze(first)
    log = job.parent / "log-second"
    words = ["sbatch", "--parsable", "--ntasks=2", "--time=20", f"--output={log}"]
    second = cluster.run(*words, SCRIPTS / "sweep.sbatch", job, **JOB_ENVIRONMENT)
    cluster.wait_for_state(second, "FAILED")
    assert cluster.facts(second)["ExitCode"] == "6:0", log.read_text()
    assert f"(Slurm job {first})" in log.read_text()
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    cluster.wait_for_state(first, "COMPLETED", "FAILED")
    assert_complete(job, expected)
