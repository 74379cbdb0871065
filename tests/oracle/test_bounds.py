"""The bounds of the oracle tests find what is wrong by far less than 1e-4, and nothing in rounding."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from support.bounds import (
    Losses,
    assert_losses_round_as_transformers,
    assert_near,
    assert_rounds_as_transformers,
    channel_scale,
)
from support.inner_references import row_references
from support.random_models import MASSIVE_CHANNEL, MASSIVE_IDS, MODELS, make_random, save
from support.token_files import random_corpus
from support.transformers_oracle import BothPrecisions, InBothPrecisions, Oracle, Window

MODEL = MODELS[0]
WRONG = 1e-5  # of a channel's largest


@dataclass(frozen=True)
class Both:
    streams: InBothPrecisions
    losses: Losses


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    torch.set_num_threads(1)
    oracles = BothPrecisions(save(make_random(MODEL), MODEL, tmp_path_factory.mktemp("m") / "m"))
    texts = random_corpus(MODEL.vocabulary, [96, 41], seed=100, often=MASSIVE_IDS).documents
    return Both(oracles.streams(texts), oracles.losses(texts))


def test_float64_is_float64(both: Both) -> None:
    """float32 is off by its roundings, and by no more: the two are the same model."""
    assert all(stream.dtype == np.float64 for stream in both.streams.exact)
    for exact, single in zip(both.streams.exact, both.streams.single, strict=True):
        error = (np.abs(single - exact) / channel_scale([exact])).max(axis=(1, 2))
        assert error[0] == 0 and (error[1:] > 1e-8).all() and (error < 1e-5).all()
        assert (exact[1:] != exact[1:].astype(np.float32)).mean() > 0.99  # nothing narrowed it


@pytest.mark.parametrize("channel", [3, MASSIVE_CHANNEL])
def test_one_wrong_value_of_a_stream_is_found(channel: int, both: Both) -> None:
    exact, single = both.streams.exact, both.streams.single
    assert_rounds_as_transformers("transformers'", single, single, exact)
    wrong = [stream.copy() for stream in single]
    wrong[0][2, 7, channel] += WRONG * channel_scale(exact)[2, 0, channel]
    with pytest.raises(AssertionError):
        assert_rounds_as_transformers("wrong", wrong, single, exact)


def test_ten_times_the_usual_rounding_of_every_value_is_found(both: Both) -> None:
    """By the median over tokens too, where no single value stands out."""
    exact, single = both.streams.exact, both.streams.single
    wrong = [e + 10 * (s - e) for s, e in zip(single, exact, strict=True)]
    with pytest.raises(AssertionError):
        assert_rounds_as_transformers("wrong", [w.astype(np.float32) for w in wrong], single, exact)


@pytest.mark.parametrize(
    "name", ["token_median_magnitude", "token_norm", "channel_sum", "channel_max_magnitude"]
)
def test_wrong_statistics_are_found(name: str, both: Both) -> None:
    exact, single = (np.concatenate(of, axis=1) for of in (both.streams.exact, both.streams.single))
    classes = [np.zeros(exact.shape[1], np.uint8)]
    reference = row_references(exact, single, classes)[name]
    own = row_references(single.astype(np.float64), single, classes)[name].exact
    assert_near(name, own, reference)
    with pytest.raises(AssertionError):
        assert_near(name, own * (1 + 2 * WRONG), reference)


def test_a_wrong_loss_is_found(both: Both) -> None:
    assert_losses_round_as_transformers(both.losses.rows, both.losses)
    wrong = both.losses.rows
    wrong[5] += 2e-4
    with pytest.raises(AssertionError):
        assert_losses_round_as_transformers(wrong, both.losses)


def test_a_router_near_a_tie_excuses_what_it_reaches_and_no_more(tmp_path: Path) -> None:
    (model,) = (model for model in MODELS if model.name == "mixtral-5over1-2of5")
    oracle = Oracle(save(make_random(model), model, tmp_path / "model"), torch.float64)
    exact = oracle.run(np.arange(1, 33))
    single = Oracle(tmp_path / "model").run(np.arange(1, 33))
    window = Window(exact, single)
    assert window.is_sure.all()
    routing = exact.routings[1]
    order = np.argsort(-routing.logits[20])
    routing.logits[20, order[2]] = routing.logits[20, order[1]]  # the first that is left out
    single.routings[1].logits[20] = routing.logits[20]
    window = Window(exact, single)
    sure = np.ones_like(window.is_sure)
    sure[routing.layer + 1 :, 20] = False
    sure[routing.layer + 2 :, 20:] = False
    np.testing.assert_array_equal(window.is_sure, sure)
