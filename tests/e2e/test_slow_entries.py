"""Each file that has a test marked slow has an entry of ctest with the label slow, or nobody would run it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # it imports what every test imports

NOTHING_COLLECTED = 5
TESTS = Path(__file__).resolve().parents[1]


def words_of(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=TESTS.parent)
    assert done.returncode in (0, NOTHING_COLLECTED), done.stdout + done.stderr
    return done.stdout


def test_every_slow_test_has_an_entry() -> None:
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "slow"]
    # Folder by folder: two may have files of one name.
    folders = sorted({path.parent for path in TESTS.glob("*/test_*.py")})
    collected = "\n".join(words_of([*collect, str(folder)]) for folder in folders)
    files = set(re.findall(r"^tests/(\w+)/test_(\w+)\.py::", collected, re.MULTILINE))
    entries = words_of(["ctest", "--test-dir", os.environ["ACTSWEEP_BUILD"], "-N", "-L", "slow"])
    named = set(re.findall(r"Test +#\d+: (\w+)\.(\w+)\.slow$", entries, re.MULTILINE))
    assert files and files == named
