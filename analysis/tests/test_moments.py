"""Means, deviations and quantiles against numpy on the states themselves."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from sample_sweep import Sample, write_sweep

import actsweep


@pytest.fixture
def rows(sample: Sample) -> np.ndarray:
    """[layer, token, channel] float64."""
    layers, _, _, channels = sample.residual.shape
    return sample.residual.reshape(layers, -1, channels).astype(np.float64)


def test_channel_moments_equal_numpy(sweep: actsweep.Sweep, rows: np.ndarray) -> None:
    mean, std = actsweep.channel_mean(sweep.residual), actsweep.channel_std(sweep.residual)
    assert mean.dims == std.dims == ("layer", "channel")
    np.testing.assert_allclose(mean, rows.mean(axis=1), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(std, rows.std(axis=1), rtol=1e-10)


def test_class_moments_equal_numpy(
    sweep: actsweep.Sweep, sample: Sample, rows: np.ndarray
) -> None:
    mean, std = actsweep.class_mean(sweep.residual), actsweep.class_std(sweep.residual)
    assert mean.dims == std.dims == ("layer", "class", "channel")
    for index, name in enumerate(actsweep.TOKEN_CLASSES):
        of_class = rows[:, sample.classes.reshape(-1) == index]
        assert of_class.shape[1] > 1
        chosen = {"class": name}
        np.testing.assert_allclose(mean.sel(chosen), of_class.mean(axis=1), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(std.sel(chosen), of_class.std(axis=1), rtol=1e-8)


def test_one_layer_gives_the_same(sweep: actsweep.Sweep) -> None:
    whole = actsweep.class_std(sweep.residual).isel(layer=3)
    np.testing.assert_array_equal(actsweep.class_std(sweep.residual.isel(layer=3)), whole)


def test_an_empty_class_has_no_mean_and_a_constant_no_deviation(
    sample: Sample, tmp_path: Path
) -> None:
    constant = np.full_like(sample.residual, np.float32(20470.1))
    classes = np.zeros_like(sample.classes)
    changed = Sample(constant, sample.ids, classes, sample.vocabulary)
    with actsweep.open(write_sweep(tmp_path / "constant.h5", changed)) as sweep:
        mean, std = actsweep.class_mean(sweep.residual), actsweep.class_std(sweep.residual)
        assert np.isnan(mean.isel({"class": slice(1, 4)})).all()
        assert np.isnan(std.isel({"class": slice(1, 4)})).all()
        np.testing.assert_allclose(mean.isel({"class": 0}), np.float32(20470.1), rtol=1e-12)
        assert float(std.isel({"class": 0}).max()) < 1e-3


def test_quantiles_are_the_lower_edges_of_numpys(sweep: actsweep.Sweep, rows: np.ndarray) -> None:
    wanted = [0.0, 0.25, 0.5, 0.999, 1.0]
    found = actsweep.magnitude_quantile(sweep.residual, wanted)
    assert found.dims == ("layer", "quantile")
    for layer, states in enumerate(rows):
        exact = np.quantile(np.abs(states), wanted, method="lower").astype(np.float32)
        edges = (exact.view(np.uint32) >> 16 << 16).view(np.float32)
        np.testing.assert_array_equal(found.isel(layer=layer), edges)
        assert np.all((edges <= exact) & (exact - edges <= exact / 128))


def test_the_middle_quantile_is_the_lower_median(sweep: actsweep.Sweep, rows: np.ndarray) -> None:
    median = np.float32(actsweep.lower_median(np.abs(rows[3])))
    edge = (median.view(np.uint32) >> 16 << 16).view(np.float32)
    assert float(actsweep.magnitude_quantile(sweep.residual, 0.5)[3, 0]) == edge


def test_quantiles_of_nothing_are_nan_and_others_refused(
    sweep_path: Path, tmp_path: Path
) -> None:
    path = tmp_path / "empty.h5"
    path.write_bytes(sweep_path.read_bytes())
    with h5py.File(path, "r+") as file:
        file["residual/magnitude_histogram"][2] = 0
    with actsweep.open(path) as sweep:
        found = actsweep.magnitude_quantile(sweep.residual, [0.5])
        assert np.isnan(found.values[:, 0]).tolist() == [False, False, True, False, False]
        with pytest.raises(ValueError, match=r"must lie in \[0, 1\], found \[1.5\]"):
            actsweep.magnitude_quantile(sweep.residual, 1.5)


def test_quantiles_by_channel_are_within_a_quarter_octave(
    studied: actsweep.Sweep, rows: np.ndarray
) -> None:
    wanted = [0, 0.25, 0.5, 0.99, 1]
    found = actsweep.channel_quantile(studied.residual, wanted)
    assert found.dims == ("layer", "channel", "quantile") and found.shape == (5, 24, 5)
    for layer, states in enumerate(rows):
        exact = np.quantile(np.abs(states), wanted, axis=0, method="lower").T
        lower = found.isel(layer=layer).values
        assert (lower * (1 - 1e-6) <= exact).all() and (exact < np.maximum(lower * 2**0.25, 2**-13.75)).all()
    one = actsweep.channel_quantile(studied.residual.isel(layer=2), wanted)
    np.testing.assert_array_equal(one, found.isel(layer=2))
    nothing = actsweep.channel_quantile(studied.site("attention_input"), 0.5)
    assert np.isnan(nothing[0]).all() and np.isfinite(nothing[1:]).all()


def test_layer_summary_equals_numpy(sweep: actsweep.Sweep, sample: Sample) -> None:
    summary = actsweep.layer_summary(sweep.residual)
    magnitude = np.abs(sample.residual.astype(np.float64)).reshape(5, 3, -1)
    top = -np.sort(-magnitude, axis=-1)[..., :3]
    median = np.sort(magnitude, axis=-1)[..., (magnitude.shape[-1] - 1) // 2]
    np.testing.assert_allclose(summary["top_mean"], top.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(summary["top_std"], top.std(axis=1), rtol=1e-10)
    np.testing.assert_allclose(summary["median_mean"], median.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(summary["median_std"], median.std(axis=1), rtol=1e-10)
    assert summary["sequences"].values.tolist() == [3] * 5


def test_sequences_without_finite_values_enter_no_mean(sweep_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "nonfinite.h5"
    path.write_bytes(sweep_path.read_bytes())
    with h5py.File(path, "r+") as file:
        group = file["residual"]
        group["sequence_top_value"][2, 1] = np.nan
        group["sequence_median_magnitude"][2, 1] = np.nan
        group["sequence_top_value"][4] = np.nan
        group["sequence_median_magnitude"][4] = np.nan
        kept = np.abs(group["sequence_top_value"][2][[0, 2]].astype(np.float64))
    with actsweep.open(path) as sweep:
        summary = actsweep.layer_summary(sweep.residual)
    assert summary["sequences"].values.tolist() == [3, 3, 2, 3, 0]
    np.testing.assert_allclose(summary["top_mean"][2], kept.mean(axis=0), rtol=1e-12)
    assert np.isnan(summary["top_mean"][4]).all()
