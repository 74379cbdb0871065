"""A real Slurm, and the sweep that all of its jobs make: 10 segments, 8 s on two ranks."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster, missing_programs

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from running import Job, make_corpus, make_job, make_model, run_well, write_job  # noqa: E402

SEGMENT_TOKENS = 8192


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
    """A random Llama checkpoint of 8 layers and 192 channels."""
    config = {"hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 8}
    return make_model(tmp_path_factory.mktemp("models") / "small", **config)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpora") / "corpus.h5", 10 * SEGMENT_TOKENS)


def make_slow_job(model: Path, corpus: Path, output: Path) -> Job:
    job = make_job(model, corpus, output)
    job["corpus"]["sequence_length"] = 64
    job["parallel"].update(microbatch_tokens=512, block_tokens=2048)
    job["output"]["segment_tokens"] = SEGMENT_TOKENS
    return job


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
