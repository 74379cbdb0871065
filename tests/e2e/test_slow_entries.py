"""Each file that has a test marked slow has an entry of ctest with the label slow, or nobody would run it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # it imports what every test imports

TESTS = Path(__file__).resolve().parents[1]


def words_of(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=TESTS.parent).stdout


def test_every_slow_test_has_an_entry() -> None:
    collected = words_of([sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "slow", "tests"])
    files = set(re.findall(r"^tests/(\w+)/test_(\w+)\.py::", collected, re.MULTILINE))
    entries = words_of(["ctest", "--test-dir", os.environ["ACTSWEEP_BUILD"], "-N", "-L", "slow"])
    named = set(re.findall(r"Test +#\d+: (\w+)\.(\w+)\.slow$", entries, re.MULTILINE))
    assert files and files == named
