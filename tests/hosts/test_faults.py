"""What becomes of a sweep on two hosts when one of its ranks, hosts or cables fails: each fault ends the run
in time, or the run goes on, and the next run makes the same file, bit for bit.

What the tests see is the table of docs/faults.md (the fixture `fault`).
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
from conftest import Sweeps
from faults import Fault
from hosts import HERE, HostRun, Hosts
from running import assert_same_files, run_well, segments_of

from support.watching import kill_tree

UNITS = 21
PATIENCE_S = 5
LATE_S = 60  # that a busy machine may take beyond what is documented
DEVICE_ERROR, OUTPUT_ERROR = 5, 6

Breaking = Callable[[HostRun, Hosts], None]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "sweep.h5"


def wait_for_segments(run: HostRun, output: Path, count: int = 2) -> None:
    run.wait_until(lambda: len(segments_of(output)) >= count)


def end_of(run: HostRun) -> int | None:
    """Waits until no rank is left on any host. The exit code of mpirun; none where it has still not ended
    then, and is killed."""
    start = time.monotonic()
    while run.ranks_left():
        assert time.monotonic() - start < PATIENCE_S + LATE_S, run.log()
        time.sleep(0.05)
    try:
        return run.process.wait(5)
    except subprocess.TimeoutExpired:
        kill_tree(run.process.pid)
        run.process.wait()
        return None


def stuck_reports(run: HostRun) -> list[str]:
    return [line for line in run.lines if "expected a step within" in line]


def go_on(hosts: Hosts, job: Path, output: Path, expected: Path) -> int:
    """The next run, of which only what was not committed is measured; how many segments that were."""
    hosts.mend()
    before = segments_of(output)
    run = HostRun(hosts, job, "parallel.patience_s=120")
    assert run.finish() == 0, run.log()
    assert f"{UNITS - len(before)} of {UNITS} units of work are pending" in run.log()
    assert_same_files(output, expected)
    return UNITS - len(before)


def kill_rank(run: HostRun, hosts: Hosts) -> None:
    os.kill(run.rank(3), signal.SIGKILL)


def stop_rank(run: HostRun, hosts: Hosts) -> None:
    os.kill(run.rank(2), signal.SIGSTOP)


def kill_host(run: HostRun, hosts: Hosts) -> None:
    hosts.kill(2)


def pull_cable(run: HostRun, hosts: Hosts) -> None:
    hosts.pull_cable(2)


@pytest.mark.parametrize(
    ("name", "break_it", "codes", "within"),
    [
        ("a rank is killed (SIGKILL)", kill_rank, {137}, "at once"),
        ("a rank is stopped (SIGSTOP, a debugger, a disk that hangs)", stop_rank, {5}, "patience"),
        pytest.param(
            "a host loses power", kill_host, {205, 1}, "at once", marks=pytest.mark.slow
        ),
        pytest.param(
            "a cable is pulled for good", pull_cable, {5, None}, "patience", marks=pytest.mark.slow
        ),
    ],
)
def test_fault_ends_all_ranks(
    name: str,
    break_it: Breaking,
    codes: set[int | None],
    within: str,
    hosts: Hosts,
    sweeps: Sweeps,
    output: Path,
    fault: Fault,
) -> None:
    expected = sweeps.expected(4)
    job = sweeps.job(output.parent, 4, PATIENCE_S)
    run = HostRun(hosts, job)
    wait_for_segments(run, output)
    before = segments_of(output)
    start = time.monotonic()
    break_it(run, hosts)
    code = end_of(run)
    took_s = time.monotonic() - start
    assert code in codes, run.log()
    if within == "patience":
        assert took_s > PATIENCE_S - 1.5, run.log()
        assert all("on node acts" in line for line in stuck_reports(run))
        assert stuck_reports(run), run.log()
    assert before.keys() <= segments_of(output).keys()
    assert not output.exists()
    go_on(hosts, job, output, expected)
    how_soon = "at once" if within == "at once" else "after `patience_s`"
    ends = f"every rank ends; exit code {code}" if codes == {code} else "every rank ends"
    fault(name, ends, how_soon, "the segment under way")


@pytest.mark.slow
def test_cable_that_is_pulled_for_less_than_patience_goes_on(
    hosts: Hosts, sweeps: Sweeps, output: Path, fault: Fault
) -> None:
    expected = sweeps.expected(4)
    run = HostRun(hosts, sweeps.job(output.parent, 4, 60))
    wait_for_segments(run, output)
    hosts.pull_cable(2)
    time.sleep(5)
    assert run.process.poll() is None, run.log()
    hosts.plug_cable(2)
    assert run.finish() == 0, run.log()
    assert not stuck_reports(run)
    assert_same_files(output, expected)
    fault("a cable is pulled for 5 s", "the sweep goes on", "-", "nothing")


def test_full_disk_of_one_host_ends_all_ranks(
    hosts: Hosts, sweeps: Sweeps, output: Path, fault: Fault
) -> None:
    """Host 2 sees a disk of its own, of 96 KiB, where the other has the folder of the segments."""
    expected = sweeps.expected(2)
    job = sweeps.job(output.parent, 2, 60)
    folder = output.with_name("sweep.h5.segments")
    folder.mkdir()
    small = output.parent / "small_disk"
    small.write_text(f'#!/bin/sh\nmount -t tmpfs -o size=96k none {folder} || exit 1\nexec "$@"\n')
    small.chmod(0o755)
    run = HostRun(hosts, job, under={2: str(small)})
    assert run.finish() == OUTPUT_ERROR, run.log()
    errors = [line for line in run.lines if "] error: " in line]
    assert len(errors) == 1 and "No space left on device" in errors[0], run.log()
    go_on(hosts, job, output, expected)
    fault("a disk is full", f"every rank ends; exit code {OUTPUT_ERROR}", "at the next write",
          "the segments that were not committed")  # fmt: skip


@pytest.mark.slow
def test_slow_host_makes_the_same_file(
    hosts: Hosts, sweeps: Sweeps, output: Path, fault: Fault
) -> None:
    """All that goes to it passes at 200 Mbit/s."""
    expected = sweeps.expected(4)
    hosts.slow_cable(2, "200mbit")
    run = HostRun(hosts, sweeps.job(output.parent, 4, 30))
    assert run.finish() == 0, run.log()
    assert not stuck_reports(run)
    assert_same_files(output, expected)
    fault("a host's network is slow (200 Mbit/s)", "the sweep goes on", "-", "nothing")


@pytest.mark.slow
def test_host_with_another_clock_makes_the_same_file(
    hosts: Hosts, sweeps: Sweeps, output: Path, fault: Fault
) -> None:
    """Rank 0's host is an hour ahead; the next run, of which it is not, still sees who holds the output."""
    expected = sweeps.expected(2)
    clock = output.parent / "other_clock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", clock, HERE / "other_clock.c"], check=True)
    job = sweeps.job(output.parent, 2, 60)
    run = HostRun(hosts, job, under={1: f"env LD_PRELOAD={clock}"})
    run.wait_for("weights are ready")
    ahead = re.search(r"^\S+ (\d+):", run.lines[-1])
    assert ahead, run.log()
    assert (int(ahead[1]) - time.localtime().tm_hour) % 24 in (1, 2), run.log()
    second = HostRun(hosts, job)
    assert second.finish() == OUTPUT_ERROR, second.log()
    assert run.finish() == 0, run.log()
    assert_same_files(output, expected)
    fault("a host's clock is an hour off", "the sweep goes on", "-", "nothing")


def test_group_that_crosses_hosts_is_refused(
    hosts: Hosts, sweeps: Sweeps, output: Path
) -> None:
    job = sweeps.job(output.parent, 4, PATIENCE_S)
    run = HostRun(hosts, job, "parallel.across_nodes=false")
    assert run.finish() == DEVICE_ERROR, run.log()
    (line,) = [line for line in run.lines if "] error: " in line]
    assert "model group 0: expected its 4 ranks ([parallel] tensor) on one node" in line
    assert all(f"on node {hosts.name(number)} (ranks" in line for number in hosts.numbers), line


@pytest.mark.slow
def test_ranks_that_are_dealt_to_hosts_form_groups_within_them(
    hosts: Hosts, sweeps: Sweeps, output: Path
) -> None:
    run = HostRun(hosts, sweeps.job(output.parent, 2, 60), cyclic=True)
    assert run.finish() == 0, run.log()
    assert_same_files(output, sweeps.expected(2))


@pytest.mark.slow
def test_hosts_that_differ_in_instructions(hosts: Hosts, sweeps: Sweeps, output: Path) -> None:
    """Between groups a warning, within one a refusal that names the hosts."""
    lesser = {2: "env ATEN_CPU_CAPABILITY=default"}
    run = HostRun(hosts, sweeps.job(output.parent, 2, 60), under=lesser)
    assert run.finish() == 0, run.log()
    (line,) = [line for line in run.lines if "model groups differ in device" in line]
    assert hosts.name(1) in line and hosts.name(2) in line
    with h5py.File(output) as file:
        assert file.attrs["mixed_devices"] == 1
    output.unlink()
    run = HostRun(hosts, sweeps.job(output.parent, 4, 60), under=lesser)
    assert run.finish() == DEVICE_ERROR, run.log()
    assert f"DEFAULT on node {hosts.name(2)} (ranks 2, 3)" in run.log()
