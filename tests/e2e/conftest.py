"""What tests of whole runs share: inputs made once and never written to, a folder for large ones."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import make_corpus, make_model


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama checkpoint of 4 layers and 48 channels."""
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,500 tokens: 156 windows of 16."""
    return make_corpus(tmp_path_factory.mktemp("corpora") / "tiny.h5", 2500)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose checkpoints do not outlive the test."""
    yield tmp_path
    shutil.rmtree(tmp_path / "model", ignore_errors=True)
