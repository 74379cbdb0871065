"""A rank that stops, a peer that never comes, ranks that differ: each ends all ranks in time, with words.

2 or 4 ranks of this machine; what needs several hosts stands in tests/hosts/.
"""

import os
import re
import signal
import time
from pathlib import Path

import h5py
import pytest
from running import (
    PATIENCE_S,
    Run,
    assert_same_files,
    is_held,
    run_well,
    segments_of,
)

LATE_S = 40  # that a busy machine may take beyond it
DEVICE_ERROR = 5


def held(step: str) -> list[str]:
    """The command under which a rank stops its clock at the step, for good."""
    return ["env", f"ACTSWEEP_HOLD_AT={step}"]


def end_in_time(run: Run, held_rank: int) -> list[str]:
    """Waits for the end that the other ranks bring about; what they say."""
    words = f"[{held_rank}/4] warning: ACTSWEEP_HOLD_AT asks for signal 19"
    run.wait_for(words)
    start = time.monotonic()
    assert run.finish() == DEVICE_ERROR, run.log()
    assert time.monotonic() - start < PATIENCE_S + LATE_S, run.log()
    reports = [line for line in run.lines if "expected a step within" in line]
    assert reports and all(f"[{held_rank}/4]" not in line for line in reports), run.log()
    return reports


@pytest.mark.parametrize(
    ("rank", "step", "last"),
    [
        (0, "segment 0: layer 2", r"(segment \d+|waiting for the other model groups)"),
        (3, "segment 1: layer 3", r"(segment \d+|waiting for the other model groups)"),
        (1, "weights: stage 2 loaded", r"(reading the weights|segment \d+|waiting for the other)"),
        (2, "consolidation: created", "consolidation"),
    ],
)
def test_stopped_rank_ends_all(
    rank: int, step: str, last: str, impatient: Path, expected_of_four: Path
) -> None:
    """The others, of its group or not, end the run; what is committed stays; the next run goes on."""
    run = Run(impatient, 4, rank=rank, under=held(step))
    reports = end_in_time(run, rank)
    for line in reports:
        assert re.search(rf"rank \d of 4 on node \S+, device CPU.*last step: {last}", line), line
    output = impatient.parent / "sweep.h5"
    before = segments_of(output)
    assert not list(output.parent.glob("sweep.h5.segments/lock")), "the lock was given up"
    log = run_well(impatient, 4, "parallel.patience_s=120")
    assert f"{11 - len(before)} of 11 units of work are pending" in log
    assert_same_files(output, expected_of_four)


def test_ranks_that_were_all_stopped_go_on(impatient: Path, expected_of_four: Path) -> None:
    """As when a machine sleeps, or Slurm suspends a job: nobody was waiting."""
    run = Run(impatient, 4, ACTSWEEP_HOLD_AT="segment 2: layer 1")
    run.wait_until(lambda: sum(map(is_held, run.pids())) == 2)  # the group that takes the segment
    pids = run.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(3 * PATIENCE_S)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    assert run.finish() == 0, run.log()
    assert_same_files(impatient.parent / "sweep.h5", expected_of_four)


def test_group_of_unlike_instruction_sets_is_refused(impatient: Path) -> None:
    run = Run(impatient, 4, rank=3, under=["env", "ATEN_CPU_CAPABILITY=default"])
    assert run.finish() == DEVICE_ERROR, run.log()
    (line,) = [line for line in run.lines if "] error: " in line]
    assert re.search(
        r"model group 1: expected one device .* CPU, \S+ on node \S+ \(rank 2\) and CPU, DEFAULT on "
        r"node \S+ \(rank 3\)",
        line,
    ), line


def test_groups_of_unlike_instruction_sets_are_warned_of(impatient: Path) -> None:
    run = Run(impatient, 2, "parallel.tensor=1", rank=1, under=["env", "ATEN_CPU_CAPABILITY=default"])
    assert run.finish() == 0, run.log()
    lines = [line for line in run.lines if "model groups differ in device" in line]
    assert len(lines) == 1 and "DEFAULT on node" in lines[0], run.log()
    with h5py.File(impatient.parent / "sweep.h5") as file:
        assert file.attrs["mixed_devices"] == 1
