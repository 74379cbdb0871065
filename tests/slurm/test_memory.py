"""A sweep plans within the memory that Slurm gives its job: by what Slurm says of it, and by the control
group in which it holds the job.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster, missing_programs
from memory import planned_gib, write_roomy_job
from running import PROGRAM, run_alone
from slurm_jobs import wrapped

GIVEN_MIB = 600
OPTIONS = ("--ntasks=1", f"--mem={GIVEN_MIB}")
SAYS_NOTHING = "env -u SLURM_MEM_PER_NODE"
GROUP = Path("/sys/fs/cgroup/memory")  # of version 1, the only one that Slurm 22.05 needs no systemd for


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """Of a sweep that would take more by itself."""
    path = write_roomy_job(tmp_path)
    result = run_alone("plan", path, "--ranks", 1)
    assert planned_gib(result.stdout)[0] > GIVEN_MIB / 1024, result.stderr
    return path


def launch(cluster: Cluster, job: Path, command: str) -> None:
    """One task; what it plans is within what was given."""
    code, log = wrapped(cluster, job, f"srun --mpi=pmix {command}", *OPTIONS)
    assert code == "0:0", log
    taken, limit = planned_gib(log)
    assert 0 < taken <= limit < 0.8 * GIVEN_MIB / 1024, log


def test_plan_is_within_what_slurm_says(cluster: Cluster, job: Path) -> None:
    launch(cluster, job, f"{PROGRAM} plan {job} --ranks 1")


@pytest.fixture
def constraining() -> Iterator[Cluster]:
    """With ConstrainRAMSpace."""
    if missing := missing_programs():
        pytest.skip(f"not installed: {', '.join(missing)}")
    if not (GROUP / "memory.limit_in_bytes").exists():
        pytest.skip("no control groups of version 1; tests/e2e/test_launches.py has one of either version")
    cluster = Cluster(constrains_memory=True)
    yield cluster
    cluster.stop()


def test_sweep_stays_within_the_group_that_slurm_makes(constraining: Cluster, job: Path) -> None:
    """Slurm's words are taken away: the group alone is left."""
    code, log = wrapped(constraining, job, "srun cat /proc/self/cgroup", *OPTIONS)
    assert code == "0:0" and re.search(r":memory:\S*/job_\d+/step_0", log), log
    launch(constraining, job, f"{SAYS_NOTHING} {PROGRAM} run {job}")
