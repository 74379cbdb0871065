"""Two hosts for all tests of a session, and the sweeps that they make."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "e2e"), str(HERE.parent)]

from faults import Fault
from hosts import Hosts, why_none
from running import make_corpus, make_job, make_model, run_well, write_job


@pytest.fixture(scope="session")
def both() -> Iterator[Hosts]:
    if reason := why_none():
        pytest.skip(f"hosts cannot be made: {reason}")
    hosts = Hosts()
    yield hosts
    hosts.remove()


@pytest.fixture
def hosts(both: Hosts) -> Iterator[Hosts]:
    """Two hosts at rest, whose cables are whole."""
    yield both
    both.mend()


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model and a corpus that are seconds of work."""
    folder = tmp_path_factory.mktemp("inputs")
    model = make_model(
        folder / "model", hidden_size=96, intermediate_size=256, num_hidden_layers=6
    )
    return model, make_corpus(folder / "corpus.h5", 20 * 1024)


class Sweeps:
    """Jobs of one sweep; `tensor` is 4, of one group over both hosts, or 2, of a group on each."""

    def __init__(self, inputs: tuple[Path, Path], folder: Path) -> None:
        self.inputs = inputs
        self.folder = folder

    def job(self, folder: Path, tensor: int, patience_s: int) -> Path:
        parallel = {
            "tensor": tensor,
            "across_nodes": tensor == 4,
            "patience_s": patience_s,
            "microbatch_tokens": 256,
        }
        output = {"segment_tokens": 1024}
        job = make_job(*self.inputs, folder / "sweep.h5", parallel=parallel, output=output)
        return write_job(folder / "job.toml", job)

    def expected(self, tensor: int) -> Path:
        """The file that ranks of one host make."""
        folder = self.folder / str(tensor)
        if not folder.exists():
            folder.mkdir()
            run_well(self.job(folder, tensor, 120), 4)
        return folder / "sweep.h5"


@pytest.fixture(scope="session")
def sweeps(inputs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Sweeps:
    return Sweeps(inputs, tmp_path_factory.mktemp("sweeps"))


@pytest.fixture
def fault(request: pytest.FixtureRequest) -> Fault:
    """Says what a fault did, and holds docs/faults.md to it."""
    return Fault(getattr(request.node, "originalname", request.node.name))
