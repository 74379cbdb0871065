"""The criterion, the lower median, and the table of massive channels."""

from __future__ import annotations

import numpy as np
import pytest

import actsweep
from actsweep import findings


def test_criterion_is_strict_in_magnitude_and_not_in_ratio() -> None:
    criterion = actsweep.Criterion(magnitude=100, ratio=1000)
    magnitude = np.array([100, 100.5, 499, 500, 501], np.float32)
    assert criterion.passes(magnitude, 0.05).tolist() == [False, True, True, True, True]
    assert criterion.passes(magnitude, 0.5).tolist() == [False, False, False, True, True]
    assert not criterion.passes(magnitude, 0.0).any()
    assert not criterion.passes(magnitude, float("nan")).any()


def test_lower_median_is_an_element() -> None:
    assert actsweep.lower_median(np.array([4.0, 1.0, 3.0, 2.0])) == 2.0
    assert actsweep.lower_median(np.array([[5.0, np.nan], [1.0, np.inf]])) == 1.0
    assert np.isnan(actsweep.lower_median(np.array([np.nan])))


@pytest.mark.parametrize("events_per_read", [1, 3, 1 << 20])
def test_massive_channels_do_not_depend_on_the_block(
    sweep: actsweep.Sweep, monkeypatch: pytest.MonkeyPatch, events_per_read: int
) -> None:
    monkeypatch.setattr(findings, "EVENTS_PER_READ", events_per_read)
    table = actsweep.massive_channels(sweep.massive, 24)
    assert table["channel"].values.tolist() == [17, 4]
    assert table["events"].values.tolist() == [6, 1]
    assert table["events_at_position_0"].values.tolist() == [6, 0]
    assert table["first_layer"].values.tolist() == [2, 3]
    assert table["last_layer"].values.tolist() == [3, 3]
    assert table["max_magnitude"].values.tolist() == [2900, 1500]
