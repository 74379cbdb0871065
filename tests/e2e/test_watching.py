"""What hangs is told from what is slow: by progress, never by the time that it takes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from running import Run, held_at, make_job, status_of, write_job

from support import watching
from support.watching import (
    SPUN_S,
    STILL_S,
    Hang,
    Look,
    Stillness,
    kill_tree,
    run,
    wait_for_end,
    wait_until,
)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hang is told after a second, so that the tests need not wait."""
    monkeypatch.setattr(watching, "STILL_S", 1.0)
    monkeypatch.setattr(watching, "SPUN_S", 1.0)
    monkeypatch.setattr(watching, "LOOK_S", 0.2)


def wait_until_killed(pid: int) -> None:
    """Or for ever: the kernel takes a moment. Whoever adopts it may leave it a zombie."""
    while not status_of(pid).get("State", "Z").startswith(("Z", "X")):
        time.sleep(0.01)


def test_slow_progress_is_no_hang() -> None:
    stillness = Stillness(Look(0, {1: 0.0}), 0)
    for step in range(1, 100):
        assert not stillness.is_hang(Look(step, {1: 0.0}), step * (STILL_S - 1))


def test_computing_without_a_sign_is_no_hang_while_others_have_the_cores() -> None:
    stillness = Stillness(Look("", {1: 50.0, 2: 7.0}), 0)
    assert not stillness.is_hang(Look("", {1: 50 + 0.5 * SPUN_S, 2: 7.0}), 100 * STILL_S)


def test_sleeping_and_spinning_without_a_sign_are_hangs() -> None:
    look = Look("", {1: 50.0, 2: 7.0})
    assert not Stillness(look, 0).is_hang(look, STILL_S - 1)
    assert Stillness(look, 0).is_hang(look, STILL_S + 1)
    assert Stillness(look, 0).is_hang(Look("", {1: 51 + SPUN_S, 2: 7.0}), STILL_S)


def test_what_sleeps_for_ever_is_killed_with_all_below_it(soon: None, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = ["sh", "-c", f"echo so far; sleep 1000 & echo $! > {pid}; wait"]
    with pytest.raises(Hang, match="so far"):
        run(command)
    wait_until_killed(int(pid.read_text()))


def test_a_wait_for_what_never_comes_ends(soon: None) -> None:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    with pytest.raises(Hang):
        wait_until(lambda: False, process)
    assert process.wait() == -signal.SIGKILL


def test_a_rank_that_waits_for_another_in_vain_hangs(
    soon: None, model: Path, corpus: Path, tmp_path: Path
) -> None:
    """One rank sleeps for ever, the other spins for it: by no sign of either is that progress."""
    job = write_job(tmp_path / "job.toml", make_job(model, corpus, tmp_path / "sweep.h5"))
    run = Run(job, 2, **held_at("segment 0: layer 2"))
    first, second = run.wait_for_hold()
    os.kill(second, signal.SIGCONT)
    with pytest.raises(Hang):
        wait_for_end(run.process, [tmp_path], run.log)
    for pid in (first, second):
        wait_until_killed(pid)


def test_a_folder_whose_files_come_and_go_is_looked_at(tmp_path: Path) -> None:
    """As segments do while a sweep ends."""
    churn = f"cd {tmp_path}; while true; do mkdir -p a/b; : > a/b/c; rm -r a; done"
    process = subprocess.Popen(["sh", "-c", churn])
    for _ in range(2000):
        watching.folder_state(tmp_path)
    kill_tree(process.pid)
    process.wait()


def test_what_a_command_says_and_its_exit_code_are_kept() -> None:
    done = run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")
