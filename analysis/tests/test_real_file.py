"""Sweep files of the program itself: set ACTSWEEP_SWEEP_FILE to a path, or several with colons."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

import actsweep
from actsweep.cli import main
from actsweep.report import write_report

FILES = [name for name in os.environ.get("ACTSWEEP_SWEEP_FILE", "").split(":") if name]
pytestmark = pytest.mark.skipif(not FILES, reason="ACTSWEEP_SWEEP_FILE is not set")


@pytest.fixture(params=FILES, ids=lambda name: Path(name).stem)
def real(request: pytest.FixtureRequest) -> Iterator[actsweep.Sweep]:
    with actsweep.open(request.param) as opened:
        yield opened


def test_every_column_opens_with_named_axes(real: actsweep.Sweep) -> None:
    with h5py.File(real.path) as file:
        for name in ("residual", "tokens", "sequences"):
            group = file[name]
            columns = {column for column in group if not group[column].is_scale}
            dataset = getattr(real, name)
            assert columns <= set(dataset.variables)
            for column in columns:
                assert dataset[column].shape == group[column].shape
                assert not any("phony" in str(axis) for axis in dataset[column].dims)


def test_sums_agree_with_each_other(real: actsweep.Sweep) -> None:
    residual = real.residual
    np.testing.assert_array_equal(residual["class_count"].sum("class"), residual["count"])
    bins = residual["magnitude_histogram"].sum("magnitude_bin")
    np.testing.assert_array_equal(bins, residual["count"] * residual.sizes["channel"])
    by_class = residual["class_sum"].sum("class")
    scale = np.sqrt(residual["channel_sum_square"] * residual["count"])
    assert float((abs(by_class - residual["channel_sum"]) / scale).max()) < 1e-6
    quantiles = actsweep.magnitude_quantile(residual, [0.0, 0.5, 1.0])
    assert bool((quantiles.diff("quantile") >= 0).all())
    largest = residual["channel_max_magnitude"].max("channel")
    top = quantiles.isel(quantile=2)
    assert bool(((top <= largest) & (largest <= top * (1 + 1 / 127))).all())


def test_events_point_at_their_tokens(real: actsweep.Sweep) -> None:
    massive, tokens = real.massive.load(), real.tokens.load()
    for column, values in (("token_id", "id"), ("position", "position"), ("sequence", "sequence")):
        np.testing.assert_array_equal(massive[column], tokens[values].values[massive["token"]])
    assert bool((abs(massive["value"]) > real.criterion.magnitude).all())
    for text, token in zip(massive["text"].values[:100], massive["token_id"].values, strict=False):
        assert text == real.decode([token])


def test_info_and_pictures(
    real: actsweep.Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", str(real.path)]) == 0
    assert str(real.attributes["model_name"]) in capsys.readouterr().out
    assert main(["pictures", str(real.path), "-o", str(tmp_path)]) == 0
    assert len(list(tmp_path.iterdir())) == 2 + 2 * len(real.prompts)
    for prompt in real.prompts:
        assert len(real.decode(real.capture(prompt)["id"])) > 0


def test_the_report_agrees_with_h5py(real: actsweep.Sweep, tmp_path: Path) -> None:
    page = write_report([real.path], tmp_path)
    assert page.stat().st_size > 50_000
    table = pd.read_csv(tmp_path / "data/existence.csv")
    with h5py.File(real.path) as file:
        residual, massive = file["residual"], file["massive"]
        top = np.abs(residual["sequence_top_value"][:, :, 0].astype(np.float64))
        mean = np.nanmean(top, axis=1)
        layer = int(np.nanargmax(mean))
        assert table["layer"][0] == layer and table["top 1"][0] == pytest.approx(mean[layer])
        median = residual["sequence_median_magnitude"][layer].astype(np.float64)
        assert table["median"][0] == pytest.approx(np.nanmean(median))
        reading = massive["reading"][()]
        for row, bit in ((0, 1), (1, 2)):
            assert table["massive activations"][row] == np.count_nonzero(reading & bit)
        constancy = pd.read_csv(tmp_path / "data/constancy.csv")
        for _, row in constancy[constancy["tokens"] != "every other position"].iterrows():
            place = row["layer"], real.class_names(range(4)).index(row["tokens"]), row["channel"]
            total = residual["class_sum"][place]
            assert row["mean"] == pytest.approx(total / residual["class_count"][place[:2]])
        pairs = set(zip(massive["layer"][()], massive["channel"][()], strict=True))
        assert set(zip(constancy["layer"], constancy["channel"], strict=True)) == pairs
