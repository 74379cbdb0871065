"""Waits for processes that take what time they need: a machine may be slow, or have others at work.

A process hangs when it and all below it show no progress: no word more, no file that changes in the
folders that they work in, no byte read or written, no process that begins or ends. It hangs after
STILL_S of that while all sleep, or once one of them has computed for SPUN_S, since ranks that wait
for each other spin. Programs show more often: `actsweep run` has a line a minute. Time that other
processes take from one that computes does not count. ctest's limit is the last resort.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STILL_S = 300.0
SPUN_S = 900.0  # of one process
ASLEEP = 0.01  # computes for a smaller share of the time
LOOK_S = 1.0  # between two looks
POLL_S = 0.01  # between two questions whether something has come to be

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """The child processes of a process; none once it has ended."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(word) for word in task.read_text().split()]
        except OSError:
            continue  # has ended meanwhile
    return found


def tree_of(pid: int) -> list[int]:
    """The process and all below it."""
    return [pid, *(each for child in children(pid) for each in tree_of(child))]


def computed_s(pid: int) -> float:
    """Seconds of processors that all threads of a process took; 0 once it has ended."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return (int(words[11]) + int(words[12])) / TICKS_PER_S


def moved_bytes(pid: int) -> str:
    """What the kernel counts of a process's reads and writes."""
    try:
        return Path(f"/proc/{pid}/io").read_text()
    except OSError:
        return ""  # has ended, or is not ours to see


def folder_state(folder: Path) -> list[tuple[str, int, int]]:
    """Every file of a folder with its size and the time of its last change."""
    found = []
    for parent, _, names in os.walk(folder):  # which passes over what is removed meanwhile
        for name in names:
            path = os.path.join(parent, name)
            try:
                state = os.lstat(path)
            except OSError:
                continue  # likewise
            found.append((path, state.st_size, state.st_mtime_ns))
    return sorted(found)


class Hang(AssertionError):
    """A process makes no progress; it has been killed."""


@dataclass(frozen=True)
class Look:
    """What is seen of processes at one time."""

    signs: object  # which change with progress
    computed_s: Mapping[int, float]  # by process


class Stillness:
    """For how long looks have shown no progress."""

    def __init__(self, look: Look, now_s: float) -> None:
        self._first = look
        self._since_s = now_s

    def is_hang(self, look: Look, now_s: float) -> bool:
        if look.signs != self._first.signs:
            self._first, self._since_s = look, now_s
            return False
        before = self._first.computed_s
        spun_s = max((s - before.get(pid, 0) for pid, s in look.computed_s.items()), default=0)
        still_s = now_s - self._since_s
        return spun_s > SPUN_S or (still_s > STILL_S and spun_s < ASLEEP * still_s)


class Watch:
    """Of a process and those below it. `said` is what they have written so far, or its length."""

    def __init__(
        self, pid: int, folders: Iterable[Path] = (), said: Callable[[], object] = lambda: None
    ) -> None:
        self._pid = pid
        self._folders = list(folders)
        self._said = said
        self._looked_s = time.monotonic()
        self._stillness = Stillness(self._look(), self._looked_s)

    def _look(self) -> Look:
        pids = tree_of(self._pid)
        signs = (
            self._said(),
            [folder_state(folder) for folder in self._folders],
            {pid: moved_bytes(pid) for pid in pids},
        )
        return Look(signs, {pid: computed_s(pid) for pid in pids})

    def hangs(self) -> bool:
        """To be asked again and again: looks once a second."""
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_S:
            return False
        self._looked_s = now_s
        return self._stillness.is_hang(self._look(), now_s)


def kill_tree(pid: int) -> None:
    for each in tree_of(pid):
        try:
            os.kill(each, signal.SIGKILL)
        except ProcessLookupError:
            continue


def wait_for_end(
    process: subprocess.Popen[Any],
    folders: Iterable[Path] = (),
    said: Callable[[], object] = lambda: None,
) -> int:
    """The exit code of a process. One that hangs is killed with all below it, and said to hang."""
    watch = Watch(process.pid, folders, said)
    while True:
        try:
            return process.wait(LOOK_S)
        except subprocess.TimeoutExpired:
            if not watch.hangs():
                continue
        except BaseException:
            kill_tree(process.pid)
            raise
        kill_tree(process.pid)
        process.wait()
        raise Hang(f"hangs: {process.args}\n{said() or ''}")


def wait_until(
    holds: Callable[[], object], process: subprocess.Popen[Any], folders: Iterable[Path] = ()
) -> None:
    """Waits until holds() is true, while the process works towards it."""
    watch = Watch(process.pid, folders)
    while not holds():
        assert process.poll() is None, f"ended with {process.returncode} before: {process.args}"
        if watch.hangs():
            kill_tree(process.pid)
            raise Hang(f"hangs: {process.args}")
        time.sleep(POLL_S)


def run(
    command: Sequence[object], folders: Iterable[Path] = (), **options: Any
) -> subprocess.CompletedProcess[str]:
    """A command to its end, with what it wrote to stdout and stderr."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:

        def texts() -> tuple[str, str]:
            return tuple(os.pread(f.fileno(), 1 << 30, 0).decode(errors="replace") for f in (out, err))

        process = subprocess.Popen([str(w) for w in command], stdout=out, stderr=err, **options)
        code = wait_for_end(process, folders, lambda: "".join(texts()))
        return subprocess.CompletedProcess(process.args, code, *texts())
