"""A disk that fails for one rank, in a segment or in the file that rank 0 writes: all ranks end, none
waits for the others for good, what was committed stays, and the next run makes the same file.

A preloaded library stands for the disk of one rank: once it is switched on, writes fail.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from running import Run, assert_same_files, is_held, run_well, segments_of

OUTPUT_ERROR = 6
RANKS = 4
UNITS = 11


def slow(rank: int) -> Any:
    return pytest.param(rank, marks=pytest.mark.slow)


# WHERE is part of the names of the files for which CALL fails once the file SWITCH is there.
FAILING_DISK = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int fails(int descriptor, const char* call) {
  char link[64], path[4096] = "";
  if (strcmp(call, getenv("CALL")) != 0) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  if (readlink(link, path, sizeof path - 1) < 0 || strstr(path, getenv("WHERE")) == NULL) return 0;
  if (access(getenv("SWITCH"), F_OK) != 0) return 0;
  errno = atoi(getenv("REASON"));
  return 1;
}

ssize_t pwrite(int descriptor, const void* values, size_t bytes, off_t place) {
  if (fails(descriptor, "write")) return -1;
  return syscall(SYS_pwrite64, descriptor, values, bytes, place);
}

ssize_t pwritev(int descriptor, const struct iovec* parts, int count, off_t place) {
  if (fails(descriptor, "write")) return -1;
  return syscall(SYS_pwritev, descriptor, parts, (long)count, (long)place, 0L);
}

int fsync(int descriptor) {
  if (fails(descriptor, "fsync")) return -1;
  return (int)syscall(SYS_fsync, descriptor);
}
"""


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("disk")
    source, library = folder / "failing_disk.c", folder / "failing_disk.so"
    source.write_text(FAILING_DISK)
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


class FailingRun:
    """A run in which the disk of some ranks fails from a step on."""

    def __init__(
        self,
        disk: Path,
        job: Path,
        ranks: Sequence[int],
        step: str,
        where: str,
        reason: int,
        call: str = "write",
    ) -> None:
        switch = job.parent / "switch"
        values = {"WHERE": where, "CALL": call, "SWITCH": switch, "REASON": reason}
        values |= {"LD_PRELOAD": disk, "ACTSWEEP_HOLD_AT": step}
        under = ["env", *(f"{name}={value}" for name, value in values.items())]
        self.job = job
        self.run = Run(job, RANKS, rank=ranks, under=under)
        self.run.wait_until(lambda: self._are_held(ranks))
        switch.touch()
        for rank in ranks:
            os.kill(self.run.pids()[rank], signal.SIGCONT)
        self.code = self.run.finish()
        switch.unlink()

    def _are_held(self, ranks: Sequence[int]) -> bool:
        pids = self.run.pids()
        return len(pids) == RANKS and all(is_held(pids[rank]) for rank in ranks)

    def errors(self) -> list[str]:
        return [line for line in self.run.lines if "] error: " in line]


def go_on(job: Path, expected: Path) -> None:
    output = job.parent / "sweep.h5"
    done = len(segments_of(output))
    assert not output.exists()
    log = run_well(job, RANKS, "parallel.patience_s=120")
    assert f"{UNITS - done} of {UNITS} units of work are pending" in log
    assert_same_files(output, expected)
    assert sorted(path.name for path in output.parent.iterdir()) == ["job.toml", "sweep.h5"]


@pytest.mark.parametrize("rank", [slow(0), slow(1), 3])
def test_segment_that_one_rank_cannot_write(
    rank: int, disk: Path, impatient: Path, expected_of_four: Path
) -> None:
    """The first of a group, another one, one of the other group."""
    step = f"segment {rank // 2}: layer 2"
    failing = FailingRun(disk, impatient, [rank], step, "/segment-", errno.ENOSPC)
    assert failing.code == OUTPUT_ERROR, failing.run.log()
    (line,) = failing.errors()
    assert f"[{rank}/4]" in line and "/segment-" in line and "No space left on device" in line
    go_on(impatient, expected_of_four)


def assert_refused(failing: FailingRun, *words: str) -> None:
    """With one error, which has the words; the segments stay, and nothing that was begun."""
    assert failing.code == OUTPUT_ERROR, failing.run.log()
    assert len(failing.errors()) == 1 and all(word in failing.errors()[0] for word in words), (
        failing.run.log()
    )
    folder = failing.job.parent
    assert len(segments_of(folder / "sweep.h5")) == UNITS
    assert not list(folder.glob("*.partial*")) and not list(folder.glob("*/lock"))


@pytest.mark.parametrize("ranks", [[0], range(RANKS)], ids=["the writer", "all"])
def test_rows_that_cannot_be_written(
    ranks: Sequence[int], disk: Path, impatient: Path, expected_of_four: Path
) -> None:
    """Into the file that rank 0 writes."""
    step = "consolidation: created"
    failing = FailingRun(disk, impatient, ranks, step, "/sweep.h5.partial", errno.EIO)
    assert_refused(failing, "[0/4]", "sweep.h5.partial", "Input/output error")
    go_on(impatient, expected_of_four)


def test_rows_that_do_not_reach_the_disk(disk: Path, impatient: Path, expected_of_four: Path) -> None:
    """A write succeeds and is lost later, as on NFS."""
    step = "consolidation: created"
    failing = FailingRun(disk, impatient, [0], step, "/sweep.h5.partial", errno.EIO, call="fsync")
    assert_refused(failing, "[0/4]", "sweep.h5.partial", "fsync failed: Input/output error")
    go_on(impatient, expected_of_four)


def test_file_that_cannot_be_closed(disk: Path, impatient: Path, expected_of_four: Path) -> None:
    step = "consolidation: rows written"
    failing = FailingRun(disk, impatient, [0], step, "/sweep.h5.partial", errno.EIO)
    assert_refused(failing, "[0/4]", "sweep.h5.partial", "Input/output error")
    go_on(impatient, expected_of_four)
