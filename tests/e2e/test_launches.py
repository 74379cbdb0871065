"""How a run is launched, with how many ranks, threads, cores and how much memory: what cannot be meant
is refused with the cure, what is a waste is said."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from memory import planned_gib, write_roomy_job
from running import (
    PROGRAM,
    environment,
    make_corpus,
    make_job,
    run_alone,
    run_well,
    said,
    write_job,
)

from support.compatibility import Compatibility
from support.watching import run

JOB_ERROR = 2
DEVICE_ERROR = 5
MIB = 1 << 20


@pytest.fixture
def job(model: Path, tmp_path: Path) -> Path:
    """One segment on one rank."""
    corpus = make_corpus(tmp_path / "corpus.h5", 400)
    keys = {"parallel": {"tensor": 1}}
    return write_job(tmp_path / "job.toml", make_job(model, corpus, tmp_path / "sweep.h5", **keys))


def alone(*arguments: object, under: tuple[str, ...] = (), **env: str) -> tuple[int, str]:
    """The program without a launcher: exit code and log."""
    kept = environment().items()
    inherited = {name: value for name, value in kept if not name.startswith(("SLURM_", "PMI"))}
    result = run([*under, PROGRAM, *arguments], env={**inherited, **env})
    return result.returncode, result.stdout + result.stderr


STEP = {"SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_ID": "0", "SLURM_PROCID": "0"}
LAUNCHES: list[tuple[str, dict[str, str], str, str]] = [
    (
        "`srun` that does not speak the program's MPI: each of 4 tasks is a world of its own",
        STEP,
        "srun has started 4 task(s) (SLURM_STEP_NUM_TASKS) that MPI cannot join",
        "srun --mpi=pmix",
    ),
    (
        "a Slurm job of 4 tasks, the program started without `srun`",
        {"SLURM_NTASKS": "4", "SLURM_PROCID": "0"},
        "SLURM_NTASKS = 4",
        "srun --mpi=pmix",
    ),
    (
        "`mpirun` of another MPI than the program's",
        {"PMI_SIZE": "2", "PMI_RANK": "0"},
        "PMI_SIZE = 2",
        "the launcher of the MPI that it was built with",
    ),
]


@pytest.mark.parametrize(("what", "env", "found", "cure"), LAUNCHES)
def test_tasks_that_mpi_does_not_join_are_refused(
    what: str, env: dict[str, str], found: str, cure: str, job: Path, compatibility: Compatibility
) -> None:
    code, log = alone("run", job, **env)
    assert code == DEVICE_ERROR, log
    assert found in log and cure in log
    assert not (job.parent / "sweep.h5.segments").exists()
    compatibility("Jobs and launches", what, "refused", said(log))


def test_only_the_first_of_such_tasks_speaks(job: Path) -> None:
    code, log = alone("run", job, **{**STEP, "SLURM_PROCID": "3"})
    assert code == DEVICE_ERROR and not log, log


@pytest.mark.parametrize(
    "env",
    [
        {"SLURM_NTASKS": "1"},
        {"SLURM_NTASKS": "many"},
    ],
    ids=["job of one task", "nonsense"],
)
def test_one_task_is_one_rank(env: dict[str, str], job: Path) -> None:
    code, log = alone("run", job, **env)
    assert code == 0, log


@pytest.mark.parametrize("ranks", [1, 2])
def test_mpirun_inside_a_job_of_slurm_is_taken_at_its_word(ranks: int, job: Path) -> None:
    run_well(job, ranks, SLURM_NTASKS="4", SLURM_PROCID="0")


def test_other_commands_do_not_ask(job: Path) -> None:
    assert alone("plan", job, "--ranks", 2, **STEP)[0] == 0
    run_well(job, 1)
    assert alone("show", job.parent / "sweep.h5", **STEP)[0] == 0


@pytest.mark.parametrize("key", ["threads", "tensor", "block_tokens", "microbatch_tokens"])
@pytest.mark.parametrize(
    "value", ["0", "-1", "1.5", "1_000_000_001", "9223372036854775807", "99999999999999999999"]
)
def test_numbers_out_of_range(
    key: str, value: str, job: Path, compatibility: Compatibility
) -> None:
    text = job.read_text()
    text = re.sub(rf"^{key} = .*\n", "", text, flags=re.M)
    job.write_text(text.replace("[parallel]\n", f"[parallel]\n{key} = {value}\n"))
    code, log = alone("run", job)
    assert code == JOB_ERROR, log
    line = said(log)
    assert f"[parallel] {key}: expected an integer from 1 to " in line, line
    assert value.replace("_", "") in line
    if value == "9223372036854775807" and key == "threads":
        compatibility("Jobs and launches", "a number of threads that no machine has", "refused", line)
    if value == "99999999999999999999" and key == "block_tokens":
        compatibility("Jobs and launches", "a number beyond 64 bits", "refused", line)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("corpus", "sequence_length", "16777217"),
        ("corpus", "shard", '"0/9223372036854775807"'),
        ("output", "segment_tokens", "9223372036854775807"),
        ("statistics", "top_k", "65"),
        ("statistics", "criterion_ratio", "inf"),
    ],
)
def test_other_numbers_out_of_range(section: str, key: str, value: str, job: Path) -> None:
    code, log = alone("run", job, f"--set={section}.{key}={value}")
    assert code == JOB_ERROR, log
    assert f"--set {section}.{key}={value}: expected " in log


@pytest.mark.parametrize(
    "sets",
    [
        ["parallel.threads=1024"],
        ["parallel.block_tokens=1000000000"],
        ["output.segment_tokens=1000000000"],
        ["statistics.max_events=9223372036854775807"],
        ["corpus.max_sequences=9223372036854775807"],
        ["corpus.sequence_length=16777216"],
        ["parallel.microbatch_tokens=1000000000"],
        ["parallel.tensor=65536"],
    ],
    ids=lambda sets: sets[0],
)
def test_largest_numbers_are_computed_with_or_refused_in_words(sets: list[str], job: Path) -> None:
    code, log = alone("run", job, *(f"--set={text}" for text in sets))
    if code != 0:
        assert code in (JOB_ERROR, 3), log
        assert "expected" in said(log)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--ranks", "0"), ("--ranks", "9223372036854775807"), ("--ranks", "x"), ("--memory", "1e300"),
     ("--memory", "0"), ("--memory", "nan")],
)
def test_options_of_plan_out_of_range(option: str, value: str, job: Path) -> None:
    options = {"--ranks": "2", option: value}
    code, log = alone("plan", job, *(word for pair in options.items() for word in pair))
    assert code == JOB_ERROR and option in log, log


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "SLURM_JOB_END_TIME",
                                  "SLURM_MEM_PER_NODE", "SLURM_CPUS_ON_NODE"])
def test_variables_that_are_no_numbers_change_nothing(name: str, job: Path) -> None:
    code, log = alone("run", job, **{name: "abc", "SLURM_JOB_ID": "7"})
    assert code == 0, log


@pytest.mark.parametrize("tokens", [128, 384])
def test_tokens_are_counted_once(tokens: int, model: Path, tmp_path: Path) -> None:
    """128 tokens are one segment, for one of two replicas; 384 are three."""
    corpus = make_corpus(tmp_path / "corpus.h5", tokens)
    keys: dict[str, Any] = {"parallel": {"tensor": 1}, "output": {"segment_tokens": 128}}
    job = make_job(model, corpus, tmp_path / "sweep.h5", capture={"prompts": []}, **keys)
    path = write_job(tmp_path / "job.toml", job)
    log = run_well(path, 2, "parallel.microbatch_tokens=128")
    assert f"measured {tokens} tokens in" in log, log
    assert re.search(rf"100\.0 % \| {tokens} of {tokens} tokens", log), log


def warnings_of(log: str) -> list[str]:
    return [line for line in log.splitlines() if "the launcher has bound" in line]


BOUND = {"OMPI_MCA_hwloc_base_binding_policy": "core"}  # as Open MPI does by itself
CORES = len(os.sched_getaffinity(0))


def without_threads(job: Path) -> Path:
    job.write_text(job.read_text().replace("threads = 1\n", ""))
    return job


def test_rank_bound_to_a_part_of_the_cores_is_said_once(
    job: Path, compatibility: Compatibility
) -> None:
    log = run_well(without_threads(job), 1, **BOUND)
    if CORES == 1:
        assert not warnings_of(log)
        return
    assert len(warnings_of(log)) == 1, log
    line = said(log, "warning")
    assert f"to 1 of its {CORES} cores ({100 / CORES:.0f} %)" in line
    assert "--bind-to none" in line and "--map-by slot:PE=N" in line and "--cpus-per-task=N" in line
    line = re.sub(r"1 of its \d+ cores \(\d+ %\)", "1 of its 64 cores (2 %)", line)
    compatibility(
        "Jobs and launches", "`mpirun` that binds a rank to one core of many", "warned", line
    )


def test_ranks_that_are_not_bound_are_not_warned_of(job: Path) -> None:
    free = {"OMPI_MCA_hwloc_base_binding_policy": "none"}
    assert not warnings_of(run_well(without_threads(job), 1, **free))


def test_ranks_that_have_all_cores_together_are_not_warned_of(job: Path) -> None:
    assert not warnings_of(run_well(without_threads(job), CORES, "parallel.tensor=1", **BOUND))


def test_threads_that_the_job_asks_for_and_has_are_not_warned_of(job: Path) -> None:
    """The job has threads = 1, for which one core is enough."""
    assert not warnings_of(run_well(job, 1, **BOUND))


def test_cores_that_the_user_keeps_the_run_to_are_not_warned_of(job: Path) -> None:
    without_threads(job)
    first = str(min(os.sched_getaffinity(0)))
    code, log = alone("run", job, under=("taskset", "-c", first))
    assert code == 0 and not warnings_of(log), log
    (job.parent / "sweep.h5").unlink()
    command = ["taskset", "-c", first, "mpirun", "-n", "1", str(PROGRAM), "run", str(job)]
    result = run(command, env=environment(**BOUND))
    assert result.returncode == 0 and not warnings_of(result.stderr), result.stderr


def remove_group(folder: Path) -> None:
    """A control group goes when the last process in it has been reaped, which mpirun does not wait for: its
    daemon's remains keep it for a while. One that stays holds nothing and is no fault of the program."""
    for _ in range(50):
        try:
            return folder.rmdir()
        except OSError:
            time.sleep(0.1)


@pytest.fixture
def small_group(tmp_path: Path) -> Iterator[Path]:
    """A control group of 600 MiB, of whichever version this machine has; a folder of fake files stands
    in where none can be made."""
    for mount in ("/sys/fs/cgroup/memory", "/sys/fs/cgroup"):
        outer = Path(mount) / f"actsweep-test-{os.getpid()}"
        group = outer / "inner"
        limit = group / ("memory.limit_in_bytes" if mount.endswith("memory") else "memory.max")
        try:
            group.mkdir(parents=True)
            limit.write_text(str(600 * MIB))
        except OSError:
            for folder in (group, outer):
                shutil.rmtree(folder, ignore_errors=True)
            continue
        yield group
        for folder in (group, outer):
            remove_group(folder)
        return
    pytest.skip("no control group can be made here; the unit tests read files of all kinds of them")


def test_sweep_plans_within_a_control_group(
    small_group: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    """A sweep whose blocks would take all memory that there is stays within 600 MiB, and lives."""
    path = write_roomy_job(tmp_path)
    inside = ("sh", "-c", f'echo $$ > {small_group}/cgroup.procs; exec "$0" "$@"')
    free, _ = planned_gib(alone("plan", path, "--ranks", 1)[1])
    assert free > 600 / 1024  # what it would take by itself
    code, plan = alone("plan", path, "--ranks", 1, under=inside)
    assert code == 0, plan
    taken, limit = planned_gib(plan)
    assert taken <= limit < 600 / 1024
    code, log = alone("run", path, under=inside)
    assert code == 0, log
    taken, limit = planned_gib(log)
    assert taken <= limit < 600 / 1024
    compatibility("Jobs and launches", "a memory limit of a control group", "read")


def test_sweep_plans_within_the_memory_of_a_slurm_job(job: Path) -> None:
    whole = planned_gib(alone("plan", job, "--ranks", 1)[1])[1]
    given = {"SLURM_JOB_ID": "7", "SLURM_MEM_PER_CPU": "512", "SLURM_CPUS_ON_NODE": "2"}
    part = planned_gib(alone("plan", job, "--ranks", 1, **given)[1])[1]
    assert 0 < part < min(1.0, whole)


def test_sweep_plans_within_the_limit_of_its_addresses(job: Path) -> None:
    whole = planned_gib(alone("plan", job, "--ranks", 1)[1])[1]
    limited = ("sh", "-c", 'ulimit -v 4194304; exec "$0" "$@"')
    code, log = alone("plan", job, "--ranks", 1, under=limited)
    assert code == 0, log
    assert 0 < planned_gib(log)[1] < min(4.0, whole)
    assert run_alone("plan", job, "--ranks", 1, "--memory", 2).returncode == 0
