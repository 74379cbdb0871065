"""Keys of [statistics] that do not fit the model or each other, and what `plan` reckons with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from planning import planned

JOB_ERROR = 2


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (["experts=true"], "experts = true: llama has no routed experts"),
        (["expert_rows=true"], "expert_rows = true: llama has no routed experts"),
        (["channel_quantiles=true", "sites=[]"], "channel_quantiles = true: expected sites in"),
        (["quantisation=true", "sites=[]"], "quantisation = true: expected sites in"),
        (['formats=["mxfp4"]', "sites=[]"], "formats: expected sites in"),
        (["lifecycle=true"], "lifecycle goes with lifecycle_channels or lifecycle_from"),
        (["lifecycle=true", "lifecycle_channels=[3, 64]"], "expected channels below 64, found 64"),
        (["lifecycle=true", "lifecycle_from=none.h5"], "none.h5"),
    ],
)  # fmt: skip
def test_what_is_refused(keys: list[str], words: str, tmp_path: Path) -> None:
    code, text = planned(tmp_path, *(f"statistics.{key}" for key in keys))
    assert code == JOB_ERROR and words in text, text


def statistics_gib(tmp_path: Path, *keys: str) -> float:
    """Of a rank with one block of 65,536 tokens."""
    sizes = [f"{key}={1 << 16}" for key in ("parallel.block_tokens", "output.segment_tokens")]
    keys = (*sizes, "output.per_token=none", *(f"statistics.{key}" for key in keys))
    code, text = planned(tmp_path, *keys, tokens=1 << 20)
    assert code == 0, text
    found = re.search(r"^  statistics +([\d.]+) GiB a rank$", text, re.MULTILINE)
    assert found, text
    return float(found[1])


def test_plan_counts_lifecycles_through_all_layers(tmp_path: Path) -> None:
    """Of each token its number, and of each channel a value and two updates."""
    channels = list(range(40))
    found = statistics_gib(tmp_path, "lifecycle=true", f"lifecycle_channels={channels}")
    expected = (1 << 16) * 3 * (8 + 40 * 3 * 4) / 2**30
    assert expected > 0.05
    assert abs(found - statistics_gib(tmp_path) - expected) <= 0.0101  # two roundings
