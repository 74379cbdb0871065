"""A real Slurm, and the inputs of the sweep that all of its jobs make."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster, missing_programs

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from running import run_well, write_job
from slow_job import make_slow_corpus, make_slow_job, make_slow_model


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One node, on which two jobs of two tasks find room."""
    if missing := missing_programs():
        pytest.skip(f"not installed: {', '.join(missing)}")
    cluster = Cluster()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_slow_model(tmp_path_factory.mktemp("models") / "slow")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_slow_corpus(tmp_path_factory.mktemp("corpora") / "corpus.h5")


@pytest.fixture
def job(model: Path, corpus: Path, tmp_path: Path) -> Path:
    """The job file of sweep.h5 beside it."""
    return write_job(tmp_path / "job.toml", make_slow_job(model, corpus, tmp_path / "sweep.h5"))


@pytest.fixture(scope="session")
def expected(model: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an uninterrupted run under mpirun."""
    folder = tmp_path_factory.mktemp("expected")
    job = make_slow_job(model, corpus, folder / "sweep.h5")
    run_well(write_job(folder / "job.toml", job), 2)
    return folder / "sweep.h5"
