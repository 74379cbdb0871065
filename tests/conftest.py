"""What all tests in Python share: the marker `slow`, and the program under test.

ACTSWEEP_PROGRAM names the program; without it, it is build/actsweep.
"""

import os
from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes minutes; ctest runs it under the label slow")


@pytest.fixture(scope="session")
def program() -> Path:
    """The program under test."""
    build = Path(__file__).resolve().parents[1] / "build"
    path = Path(os.environ.get("ACTSWEEP_PROGRAM", build / "actsweep"))
    assert path.is_file(), f"{path}: expected the program, found nothing; build it first"
    return path
