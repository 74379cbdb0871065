"""How a sweep of real weights is held against transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .bounds import BOUND, channel_scale, largest_error
from .sweeps import read_attributes, read_datasets


def assert_streams_and_losses_agree(
    path: Path, prompts: Sequence[str], streams: list[np.ndarray], window_nll: list[np.ndarray]
) -> None:
    """Streams [layers + 1, T, C] of the captured prompts within the bound of each channel, losses
    [T - 1] of the windows and their perplexity to 1e-4."""
    datasets = read_datasets(path)
    found = [datasets[f"capture/{name}/residual"] for name in prompts]
    errors = largest_error(found, streams, channel_scale(streams))
    print(f"largest error of a layer, of the bound: {errors.max() / BOUND:.3f}")
    assert (errors <= BOUND).all(), errors

    theirs = np.concatenate([np.append(nll, np.nan) for nll in window_nll])
    np.testing.assert_allclose(datasets["loss/token_nll"], theirs, rtol=1e-4, atol=1e-4)
    attributes = read_attributes(path)["loss/token_nll"]
    perplexity = np.exp(np.mean(np.concatenate(window_nll)))
    print(f"perplexity {attributes['perplexity']:.6f}, transformers {perplexity:.6f}")
    np.testing.assert_allclose(attributes["perplexity"], perplexity, rtol=1e-4)
