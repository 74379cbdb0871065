"""Residual streams and losses agree with transformers in float32, for every family and any m.

Every configuration of support/random_models.py at m = 1, 2, 3, 4, and at 6 where that is more ranks
than heads. One launch each captures the prompts and measures the loss of a small ragged corpus.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from support.bounds import BOUND, channel_scale, largest_error
from support.random_models import (
    MASSIVE_CHANNEL,
    MASSIVE_IDS,
    MODELS,
    SMALL_ID,
    RandomModel,
    make_random,
    save,
)
from support.sweeps import Sweep, read_attributes, read_datasets
from support.token_files import Cut, random_corpus, write_token_file
from support.transformers_oracle import Oracle

OFTEN = (*MASSIVE_IDS, SMALL_ID)
PROMPT_LENGTHS = {"long": 96, "odd": 41, "pair": 2}
DOCUMENT_LENGTHS = (57, 1, 0, 40, 2, 83, 39, 95, 5)
CUTS = (
    Cut(40, "packed"),
    Cut(40, "per_document"),
    Cut(40, "per_document", bos="each_window"),
)
CASES = [
    pytest.param((number, m), id=f"{model.name}-m{m}")
    for number, model in enumerate(MODELS)
    for m in (1, 2, 3, 4, 6)
    if m <= 4 or model.heads < m
]


@dataclass(frozen=True)
class Expected:
    """A checkpoint, a token file, and what transformers makes of them."""

    model: RandomModel
    directory: Path
    corpus: Path
    cut: Cut
    prompts: dict[str, np.ndarray]
    streams: dict[str, np.ndarray]  # [layers + 1, T, C] by prompt
    window_nll: list[np.ndarray]  # [T - 1] by window


@pytest.fixture(scope="module")
def expected_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Expected]:
    """Makes what a configuration's cases share, once."""
    made: dict[int, Expected] = {}

    def make(number: int) -> Expected:
        if number not in made:
            made[number] = make_expected(number, tmp_path_factory.mktemp(MODELS[number].name))
        return made[number]

    return make


def make_expected(number: int, folder: Path) -> Expected:
    model, cut = MODELS[number], CUTS[number % len(CUTS)]
    directory = save(make_random(model), model, folder / "model")
    corpus = random_corpus(model.vocabulary, DOCUMENT_LENGTHS, seed=number, often=OFTEN)
    lengths = list(PROMPT_LENGTHS.values())
    texts = random_corpus(model.vocabulary, lengths, seed=100 + number, often=OFTEN)
    prompts = dict(zip(PROMPT_LENGTHS, texts.documents, strict=True))
    path = write_token_file(folder / "corpus.h5", corpus, prompts)
    oracle = Oracle(directory)
    streams = {name: oracle.residual(ids) for name, ids in prompts.items()}
    window_nll = [oracle.token_nll(window.ids) for window in corpus.windows(cut)]
    return Expected(model, directory, path, cut, prompts, streams, window_nll)


@dataclass(frozen=True)
class Found:
    """A finished sweep and what it is held against."""

    expected: Expected
    path: Path
    datasets: dict[str, np.ndarray]


@pytest.fixture(scope="module", params=CASES)
def found(
    request: pytest.FixtureRequest,
    program: Path,
    expected_of: Callable[[int], Expected],
    tmp_path_factory: pytest.TempPathFactory,
) -> Found:
    """The sweep of one configuration at one m."""
    number, m = request.param
    expected = expected_of(number)
    job = {
        "model": {"path": str(expected.directory)},
        "corpus": {"path": str(expected.corpus), **expected.cut.job_keys()},
        "parallel": {"tensor": m, "threads": 1, "microbatch_tokens": 160},
        "statistics": {"loss": True},
        "capture": {"prompts": list(PROMPT_LENGTHS)},
        "output": {"path": str(tmp_path_factory.mktemp("sweep") / "sweep.h5")},
    }
    path = Sweep(program, job, m).run()
    return Found(expected, path, read_datasets(path))


def test_captured_streams_agree_in_every_channel(found: Found) -> None:
    expected = found.expected
    for name, ids in expected.prompts.items():
        np.testing.assert_array_equal(found.datasets[f"capture/{name}/id"], ids)
    mine = [found.datasets[f"capture/{name}/residual"] for name in expected.prompts]
    theirs = list(expected.streams.values())
    assert max(np.abs(stream[:, :, MASSIVE_CHANNEL]).max() for stream in theirs) > 2000
    errors = largest_error(mine, theirs, channel_scale(theirs))
    print(f"largest error by layer, of the bound: {np.round(errors / BOUND, 3)}")
    assert (errors <= BOUND).all(), errors


def test_losses_and_perplexities_agree(found: Found) -> None:
    windows = found.expected.window_nll
    theirs = np.concatenate([np.append(nll, np.nan) for nll in windows])
    mine = found.datasets["loss/token_nll"]
    np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)
    attributes = read_attributes(found.path)["loss/token_nll"]
    perplexity = np.exp(np.mean(np.concatenate(windows)))
    of_windows = np.exp(np.mean([nll.mean() for nll in windows]))
    print(f"perplexity {attributes['perplexity']:.6f}, transformers {perplexity:.6f}")
    np.testing.assert_allclose(attributes["perplexity"], perplexity, rtol=1e-4)
    np.testing.assert_allclose(attributes["windows_perplexity"], of_windows, rtol=1e-4)
