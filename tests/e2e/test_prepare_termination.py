"""SIGTERM ends a preparation in order, even where Python drops what a signal's handler raises."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from preparing import DATA

from support.watching import run

# A program that is told to end inside a destructor, where the exit cannot be raised, and works on.
PROGRAM = """
import os, signal, sys, time
sys.path.insert(0, sys.argv[1])
from preparation.errors import run_program

class Dropped:
    def __init__(self, times):
        self.times = times

    def __del__(self):
        if self.times:
            Dropped(self.times - 1)
        os.kill(os.getpid(), signal.SIGTERM)
        print("signalled")

def program():
    try:
        Dropped(int(sys.argv[2]))
        for _ in range(600):
            time.sleep(0.1)
        print("ran to its end")
    finally:
        print("cleaned up")

run_program("program", program)
"""


@pytest.mark.parametrize("nested", [0, 3])
def test_sigterm_in_a_destructor_is_not_lost(nested: int, tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    result = run([sys.executable, script, DATA, nested])
    assert result.returncode == 128 + signal.SIGTERM
    assert result.stdout == "cleaned up\n"
    assert result.stderr == ""
