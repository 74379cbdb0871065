"""What becomes of a Slurm job on two hosts when one of its ranks or hosts fails: the job ends in time, and
the next one makes the same file, bit for bit.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Sweeps
from faults import Fault
from hosts import HERE, SUBNET, Hosts

sys.path.append(str(HERE.parent / "slurm"))

from cluster import Cluster, Node, missing_programs, wait_until
from running import assert_same_files
from slurm_jobs import committed, log_of, ranks_of, submit, wait_for_segment

pytestmark = pytest.mark.slow

PATIENCE_S = 5
UNITS = 21
NODE_TIMEOUT_S = 15  # after which Slurm calls a silent node down
LATE_S = 60  # that a busy machine may take beyond what is documented
ON_BOTH = ("--nodes=2", "--ntasks=4", "--ntasks-per-node=2")


def nodes_of(hosts: Hosts, names: Path) -> list[Node]:
    """Of the hosts, each of which knows the names of all."""
    places = [(hosts.name(number), f"{SUBNET}.{number}") for number in hosts.numbers]
    lines = [f"{address} {name}" for name, address in [("localhost", "127.0.0.1"), *places]]
    names.write_text("\n".join([*lines, f"{SUBNET}.254 {os.uname().nodename}", ""]))
    inside = 'hostname "$0" && mount --bind "$1" /etc/hosts && shift && exec "$@"'
    return [
        Node(name, address, name,
             ("ip", "netns", "exec", name, "unshare", "--uts", "sh", "-c", inside, name, str(names)))
        for name, address in places
    ]  # fmt: skip


@pytest.fixture(scope="module")
def nodes(both: Hosts, tmp_path_factory: pytest.TempPathFactory) -> list[Node]:
    if missing := missing_programs():
        pytest.skip(f"not installed: {', '.join(missing)}")
    return nodes_of(both, tmp_path_factory.mktemp("names") / "hosts")


@pytest.fixture(scope="module")
def cluster(both: Hosts, nodes: list[Node]) -> Iterator[Cluster]:
    cluster = Cluster(nodes, f"{SUBNET}.254", node_timeout=NODE_TIMEOUT_S)
    yield cluster
    cluster.stop()


@pytest.fixture
def job(sweeps: Sweeps, tmp_path: Path) -> Path:
    return sweeps.job(tmp_path, 4, PATIENCE_S)


def launch(cluster: Cluster, job: Path) -> str:
    """A job of two ranks on each host that has committed a segment; its number."""
    number = submit(cluster, job, *ON_BOTH)
    wait_for_segment(job)
    return number


def rank(number: str, wanted: int) -> int:
    """The process of a rank."""
    mark = f"SLURM_PROCID={wanted}".encode()
    (pid,) = [
        pid for pid in ranks_of(number) if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    ]
    return pid


def end_of(cluster: Cluster, number: str, within_s: float) -> None:
    """Waits until no rank is left."""
    start = time.monotonic()
    while ranks_of(number):
        assert time.monotonic() - start < within_s + LATE_S, cluster.facts(number)
        time.sleep(0.1)


def go_on(cluster: Cluster, job: Path, expected: Path) -> None:
    number = submit(cluster, job, *ON_BOTH)
    cluster.wait_for_state(number, "COMPLETED", "FAILED")
    assert cluster.facts(number)["ExitCode"] == "0:0", log_of(job)
    assert_same_files(job.parent / "sweep.h5", expected)


def test_killed_rank_ends_the_job(
    cluster: Cluster, job: Path, sweeps: Sweeps, fault: Fault
) -> None:
    expected = sweeps.expected(4)
    number = launch(cluster, job)
    os.kill(rank(number, 3), signal.SIGKILL)
    end_of(cluster, number, 0)
    cluster.wait_for_state(number, "FAILED")
    assert cluster.facts(number)["ExitCode"] == "137:0", log_of(job)
    assert committed(job)
    go_on(cluster, job, expected)
    fault("a rank is killed (SIGKILL), under Slurm", "every rank ends; exit code 137", "at once",
          "the segment under way")  # fmt: skip


def test_stopped_rank_ends_the_job(
    cluster: Cluster, job: Path, sweeps: Sweeps, fault: Fault
) -> None:
    expected = sweeps.expected(4)
    number = launch(cluster, job)
    start = time.monotonic()
    os.kill(rank(number, 2), signal.SIGSTOP)
    end_of(cluster, number, PATIENCE_S)
    assert time.monotonic() - start > PATIENCE_S - 1.5
    cluster.wait_for_state(number, "FAILED")
    assert cluster.facts(number)["ExitCode"] in {"5:0", "137:0"}, log_of(job)
    assert "expected a step within 5 s" in log_of(job)
    assert committed(job)
    go_on(cluster, job, expected)
    fault("a rank is stopped (SIGSTOP), under Slurm", "every rank ends", "after `patience_s`",
          "the segment under way")  # fmt: skip


def test_job_of_a_lost_host_goes_on(
    both: Hosts, nodes: list[Node], cluster: Cluster, job: Path, sweeps: Sweeps, fault: Fault
) -> None:
    """Slurm requeues the job when it calls the host down; it goes on once the host is back."""
    expected = sweeps.expected(4)
    number = launch(cluster, job)
    both.kill(2)
    end_of(cluster, number, PATIENCE_S)
    assert "expected a step within 5 s" in log_of(job)
    before = committed(job)
    assert before
    cluster.wait_for_state(number, "PENDING")
    cluster.start_node(nodes[1])
    cluster.wait_for_state(number, "COMPLETED", "FAILED")
    assert cluster.facts(number)["Restarts"] == "1", log_of(job)
    assert f"{UNITS - len(before)} of {UNITS} units of work are pending" in log_of(job)
    assert_same_files(job.parent / "sweep.h5", expected)
    fault("a host loses power, under Slurm", "every rank ends; Slurm requeues the job", "after `patience_s`",
          "the segment under way")  # fmt: skip
