"""A small sweep file, shared by the tests: 4 blocks, 3 sequences of 12 tokens, 24 channels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sample_sweep import Sample, write_sweep
from study_sample import Study, write_study

import actsweep
from actsweep.report import write_report

VOCABULARY = [
    b"Summer",
    b" is",
    b" warm",
    b".",
    b"\n",
    b" $x^2$",
    "中".encode(),
    "é".encode()[:1],  # half a character, and its other half
    "é".encode()[1:],
    b" and",
]
MASSIVE_CHANNEL = 17


@pytest.fixture(scope="session")
def sample() -> Sample:
    random = np.random.default_rng(7)
    residual = random.standard_normal((5, 3, 12, 24)).astype(np.float32)
    residual[2:4, :, 0, MASSIVE_CHANNEL] = -2400 - 100 * np.arange(6).reshape(2, 3)
    residual[3, 1, 5, 4] = 1500
    ids = random.integers(0, len(VOCABULARY), (3, 12)).astype(np.uint32)
    classes = np.full((3, 12), 3, np.uint8)
    classes[ids == 3], classes[ids == 4], classes[ids == 9], classes[:, 0] = 1, 1, 2, 0
    prompt = np.array([0, 1, 2, 3, 4, 5, 6, 7], np.uint32)
    captured = random.standard_normal((5, len(prompt), 24)).astype(np.float32)
    quiet = captured.copy()
    captured[2, 0, MASSIVE_CHANNEL] = -2000
    captured[3, 0, MASSIVE_CHANNEL] = -2500
    captured[3, 3, 6] = 1800
    captures = {"summer": (prompt, captured), "quiet": (prompt, quiet)}
    return Sample(residual, ids, classes, VOCABULARY, captures)


@pytest.fixture(scope="session")
def sweep_path(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sweep(tmp_path_factory.mktemp("sweep") / "sample.h5", sample)


@pytest.fixture(scope="session")
def study() -> Study:
    return Study()


@pytest.fixture(scope="session")
def study_path(sample: Sample, study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of chats, so that no section of a report is empty."""
    roles = np.random.default_rng(8).integers(0, 5, sample.ids.shape).astype(np.uint8)
    path = tmp_path_factory.mktemp("study") / "study.h5"
    return write_study(path, replace(sample, roles=roles), study)


@pytest.fixture(scope="session")
def report(study_path: Path, sweep_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report about a file with all groups and one with the residual stream alone."""
    folder = tmp_path_factory.mktemp("report")
    with warnings.catch_warnings():
        # A glyph that the font lacks is a warning, and so is an empty range.
        warnings.simplefilter("error")
        write_report([study_path, sweep_path], folder)
    return folder


@pytest.fixture(scope="session")
def small_report(sweep_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page about the residual stream alone."""
    return write_report([sweep_path], tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def studied(study_path: Path) -> Iterator[actsweep.Sweep]:
    with actsweep.open(study_path) as opened:
        yield opened


@pytest.fixture(scope="session")
def sweep(sweep_path: Path) -> Iterator[actsweep.Sweep]:
    with actsweep.open(sweep_path) as opened:
        yield opened
