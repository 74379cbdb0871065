"""The numbers of `verify`, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from actsweep.verify.agreement import Layer, compare_layers, loss_difference

LAYERS, TOKENS, CHANNELS = 3, 4, 5


@pytest.fixture
def streams() -> list[np.ndarray]:
    """Two windows, of other lengths, with one massive channel."""
    random = np.random.default_rng(3)
    windows = [
        random.standard_normal((LAYERS, length, CHANNELS)).astype(np.float32)
        for length in (TOKENS, TOKENS - 1)
    ]
    windows[0][1, 0, 2] = 3000
    return windows


def compare(
    mine: list[np.ndarray],
    theirs: list[np.ndarray],
    *,
    exact: list[np.ndarray] | None = None,
    sure: list[np.ndarray] | None = None,
) -> list[Layer]:
    """Norms are those of `mine`."""
    norms = [np.linalg.norm(one, axis=2).astype(np.float32) for one in mine]
    sure = sure or [np.ones(one.shape[:2], bool) for one in theirs]
    return compare_layers(mine, theirs, sure, exact, norms)


def changed(streams: list[np.ndarray], place: tuple[int, int, int, int], by: float) -> list[np.ndarray]:
    """A copy with another value at window, layer, token, channel."""
    copy = [one.copy() for one in streams]
    copy[place[0]][place[1:]] += by
    return copy


def test_equal_streams_do_not_differ(streams: list[np.ndarray]) -> None:
    for layer in compare(streams, streams):
        assert layer.difference == 0 and layer.norms < 1e-6 and math.isnan(layer.own)
        assert layer.is_within(1e-6)


def test_a_massive_channel_hides_nothing_in_the_others(streams: list[np.ndarray]) -> None:
    layers = compare(changed(streams, (1, 1, 2, 4), 0.01), streams)
    largest = max(np.abs(one[1, :, 4]).max() for one in streams)
    assert layers[1].difference == pytest.approx(0.01 / largest, rel=1e-4)
    assert (layers[1].window, layers[1].token, layers[1].channel) == (1, 2, 4)
    assert not layers[1].is_within(1e-3) and layers[0].is_within(1e-3) and layers[2].is_within(1e-3)


def test_a_channel_of_nothing_is_held_against_its_layer(streams: list[np.ndarray]) -> None:
    for one in streams:
        one[2, :, 0] = 0
    layers = compare(changed(streams, (0, 2, 0, 0), 1e-3), streams)
    scales = np.max([np.abs(one[2]).max(axis=0) for one in streams], axis=0)
    assert layers[2].difference == pytest.approx(1e-3 / (0.01 * np.median(scales)), rel=1e-3)


def test_rounding_of_transformers_own_size_is_allowed(streams: list[np.ndarray]) -> None:
    mine = changed(streams, (0, 1, 1, 1), 0.05)
    own = changed(streams, (0, 1, 1, 1), 0.02)
    assert not compare(mine, streams)[1].is_within(1e-3)
    assert compare(mine, streams, exact=own)[1].is_within(1e-3)
    small = changed(streams, (0, 1, 1, 1), 0.01)
    assert not compare(mine, streams, exact=small)[1].is_within(1e-3)


def test_tokens_that_are_not_sure_are_left_out(streams: list[np.ndarray]) -> None:
    mine = changed(streams, (0, 2, 3, 1), 10)
    sure = [np.ones(one.shape[:2], bool) for one in streams]
    sure[0][2, 3] = False
    assert compare(mine, streams)[2].difference > 1
    assert compare(mine, streams, sure=sure)[2].is_within(1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_has_to_be_so_on_both_sides(
    streams: list[np.ndarray], value: float
) -> None:
    both = [one.copy() for one in streams]
    both[0][1, 1] = value
    norms = [np.linalg.norm(one, axis=2) for one in both]
    norms[0][1, 1] = np.nan  # as the sweep has it
    sure = [np.ones(one.shape[:2], bool) for one in both]
    assert all(layer.is_within(1e-6) for layer in compare_layers(both, both, sure, None, norms))
    for mine, theirs in ((both, streams), (streams, both)):
        found = compare_layers(mine, theirs, sure, None, norms)[1]
        assert found.difference == np.inf and not found.is_within(1e-3)


def test_norms_are_those_of_the_sweep(streams: list[np.ndarray]) -> None:
    norms = [np.linalg.norm(one, axis=2) for one in streams]
    norms[1][2, 0] *= 1.01
    sure = [np.ones(one.shape[:2], bool) for one in streams]
    layers = compare_layers(streams, streams, sure, None, norms)
    assert layers[2].norms == pytest.approx(0.01, rel=1e-3) and not layers[2].is_within(1e-3)
    assert layers[2].difference == 0 and layers[1].is_within(1e-3)


def test_losses_differ_by_nats_or_relative() -> None:
    mine = [np.array([0.5, 20.0]), np.array([3.0])]
    assert loss_difference(mine, mine) == 0
    assert loss_difference([np.array([0.6, 20.0]), np.array([3.0])], mine) == pytest.approx(0.1)
    assert loss_difference([np.array([0.5, 22.0]), np.array([3.0])], mine) == pytest.approx(0.1)
    assert loss_difference([np.array([0.5, np.nan]), np.array([3.0])], mine) == np.inf
