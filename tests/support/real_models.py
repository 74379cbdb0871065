"""How a sweep of real weights is held against transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .bounds import (
    Losses,
    assert_losses_round_as_transformers,
    assert_perplexities_round_as_transformers,
    assert_rounds_as_transformers,
)
from .sweeps import read_attributes, read_datasets
from .transformers_oracle import InBothPrecisions


def assert_streams_and_losses_agree(
    path: Path, prompts: Sequence[str], streams: InBothPrecisions, losses: Losses
) -> None:
    """Streams [layers + 1, T, C] of the captured prompts, losses [T - 1] of the windows."""
    datasets = read_datasets(path)
    found = [datasets[f"capture/{name}/residual"] for name in prompts]
    assert_rounds_as_transformers(path.stem, found, streams.single, streams.exact)
    assert_losses_round_as_transformers(datasets["loss/token_nll"], losses)
    attributes = read_attributes(path)["loss/token_nll"]
    assert_perplexities_round_as_transformers(attributes, losses)
