"""What all tests in Python share: the marker `slow`, the program under test, and its GPUs.

ACTSWEEP_PROGRAM names the program; without it, it is build/actsweep. ACTSWEEP_GPUS says that it
computes on GPUs, one for each rank: how many there are, or "auto". Tests on more ranks are skipped.
"""

import os
import re
import tempfile
from pathlib import Path

import pytest
from support.compatibility import ROWS_VARIABLE, Compatibility


def pytest_configure(config: pytest.Config) -> None:
    # What the program keeps of the checkpoints of tests is no part of the user's own cache, where
    # matplotlib's list of fonts stays.
    own = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    os.environ.setdefault("MPLCONFIGDIR", str(own / "matplotlib"))
    caches = tempfile.TemporaryDirectory(prefix="actsweep-caches-")
    config.add_cleanup(caches.cleanup)
    os.environ["XDG_CACHE_HOME"] = caches.name
    config.addinivalue_line("markers", "slow: takes minutes; ctest runs it under the label slow")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get(ROWS_VARIABLE):
        items[:] = [item for item in items if "compatibility" in getattr(item, "fixturenames", ())]
    wanted = os.environ.get("ACTSWEEP_GPUS")
    if wanted is None:
        return
    gpus = count_gpus() if wanted == "auto" else int(wanted)
    for item in items:
        if (ranks := ranks_of(item)) > gpus:
            reason = f"{ranks} ranks need a GPU each, found {gpus}" if gpus else "no GPU"
            item.add_marker(pytest.mark.skip(reason=reason))


def count_gpus() -> int:
    import torch

    return torch.cuda.device_count()


def ranks_of(item: pytest.Item) -> int:
    """The parameter `m` of a test, or what its name says: NAME-m3, [m3-NAME]."""
    parameters = getattr(item, "callspec", None)
    if parameters is not None and "m" in parameters.params:
        return int(parameters.params["m"])
    found = re.search(r"[-\[]m(\d+)\b", item.name)
    return int(found[1]) if found else 1


@pytest.fixture(scope="session")
def program() -> Path:
    """The program under test."""
    build = Path(__file__).resolve().parents[1] / "build"
    path = Path(os.environ.get("ACTSWEEP_PROGRAM", build / "actsweep"))
    assert path.is_file(), f"{path}: expected the program, found nothing; build it first"
    return path


@pytest.fixture
def compatibility(request: pytest.FixtureRequest) -> Compatibility:
    """Says what becomes of an input, and holds docs/compatibility.md to it."""
    return Compatibility(getattr(request.node, "originalname", request.node.name))
