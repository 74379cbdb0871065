"""What tests of whole runs share: inputs made once and never written to, a folder for large ones."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import PATIENCE_S, make_corpus, make_job, make_model, run_well, write_job


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama checkpoint of 4 layers and 48 channels."""
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,500 tokens: 156 windows of 16."""
    return make_corpus(tmp_path_factory.mktemp("corpora") / "tiny.h5", 2500)


@pytest.fixture(scope="session")
def expected_of_four(model: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a run of four ranks that nothing disturbs."""
    folder = tmp_path_factory.mktemp("expected")
    run_well(write_job(folder / "job.toml", make_job(model, corpus, folder / "sweep.h5")), 4)
    return folder / "sweep.h5"


@pytest.fixture
def impatient(model: Path, corpus: Path, tmp_path: Path) -> Path:
    """A job whose ranks do not wait long for each other."""
    job = make_job(model, corpus, tmp_path / "sweep.h5", parallel={"patience_s": PATIENCE_S})
    return write_job(tmp_path / "job.toml", job)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose checkpoints do not outlive the test."""
    yield tmp_path
    shutil.rmtree(tmp_path / "model", ignore_errors=True)
