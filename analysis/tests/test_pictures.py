"""The pictures carry the right data, are not blank, and can be labelled with any token."""

from __future__ import annotations

import warnings
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import imread
from sample_sweep import Sample, write_sweep

import actsweep
from actsweep import labels, pictures


def ridges(figure: Figure) -> np.ndarray:
    """[token, channel]: the heights that were drawn."""
    return np.stack([line.get_data_3d()[2] for line in figure.axes[0].lines])


def tick_texts(ticks: list) -> list[str]:
    return [tick.get_text() for tick in ticks]


def test_magnitude_3d_draws_the_layer_with_the_largest(
    sweep: actsweep.Sweep, sample: Sample
) -> None:
    figure = actsweep.magnitude_3d(sweep, "summer")
    expected = np.abs(sample.captures["summer"][1])
    np.testing.assert_array_equal(ridges(figure), expected[3])
    for token, line in enumerate(figure.axes[0].lines):
        channel, position, _ = line.get_data_3d()
        np.testing.assert_array_equal(channel, np.arange(24))
        assert set(position) == {token}
    title = figure.get_suptitle()
    assert "sample_model, output of layer 3 of 4" in title
    assert "2 massive activations; largest 2,500 at position 0, channel 17" in title


def test_magnitude_3d_draws_the_layer_asked_for(sweep: actsweep.Sweep, sample: Sample) -> None:
    expected = np.abs(sample.captures["summer"][1])
    for layer in (0, 2):
        figure = actsweep.magnitude_3d(sweep, "summer", layer=layer)
        np.testing.assert_array_equal(ridges(figure), expected[layer])
    assert "embedding output" in actsweep.magnitude_3d(sweep, "summer", 0).get_suptitle()


def test_massive_tokens_and_channels_stand_out(sweep: actsweep.Sweep) -> None:
    axes = actsweep.magnitude_3d(sweep, "summer").axes[0]
    colors = [to_hex(line.get_color()).upper() for line in axes.lines]
    assert [color == pictures.VERMILLION for color in colors] == [
        token in (0, 3) for token in range(8)
    ]
    shown = tick_texts(axes.get_yticklabels())
    assert shown == ["Summer", "␣is", "␣warm", ".", "↵", "␣$x^2$", "U+4E2D", "⟨0xC3⟩"]
    assert tick_texts(axes.get_xticklabels()) == ["0", "6", "17", "23"]
    massive = [to_hex(tick.get_color()).upper() for tick in axes.get_xticklabels()]
    assert [color == pictures.VERMILLION for color in massive] == [False, True, True, False]


def test_without_massive_activations_the_largest_channel_is_named(
    sweep: actsweep.Sweep, sample: Sample
) -> None:
    figure = actsweep.magnitude_3d(sweep, "quiet")
    magnitude = np.abs(sample.captures["quiet"][1])
    layer, _, channel = np.unravel_index(np.argmax(magnitude), magnitude.shape)
    assert f"output of layer {layer} of 4" in figure.get_suptitle()
    assert "none massive" in figure.get_suptitle()
    assert str(channel) in tick_texts(figure.axes[0].get_xticklabels())


def test_non_finite_activations_are_gaps(sample: Sample, tmp_path: Path) -> None:
    ids, residual = sample.captures["summer"]
    broken = residual.copy()
    broken[2, 1], broken[2, 2, 5], broken[4] = np.inf, np.nan, np.nan
    changed = Sample(**{**vars(sample), "captures": {"broken": (ids, broken)}})
    with actsweep.open(write_sweep(tmp_path / "broken.h5", changed)) as sweep:
        assert "output of layer 3" in actsweep.magnitude_3d(sweep, "broken").get_suptitle()
        drawn = ridges(actsweep.magnitude_3d(sweep, "broken", 2))
        np.testing.assert_array_equal(np.isnan(drawn), ~np.isfinite(broken[2]))
        actsweep.magnitude_3d(sweep, "broken", 4)


@pytest.mark.parametrize("layer", [-1, 5])
def test_layers_that_do_not_exist_are_refused(sweep: actsweep.Sweep, layer: int) -> None:
    with pytest.raises(ValueError, match=f"no layer {layer}; prompt 'summer' has 0 to 4"):
        actsweep.magnitude_3d(sweep, "summer", layer)


def test_many_channels_keep_their_peaks() -> None:
    magnitude = np.random.default_rng(3).random(5000).astype(np.float32)
    magnitude[[17, 4999]] = 900, 800
    drawn = pictures._drawn_channels(magnitude)
    assert len(drawn) == pictures.POINTS_PER_LINE
    assert np.all(np.diff(drawn) > 0)
    assert {17, 4999} <= set(drawn.tolist())


def test_layer_curve_draws_mean_and_deviation(sweep: actsweep.Sweep, sample: Sample) -> None:
    axes = actsweep.layer_curve(sweep).axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    magnitude = np.abs(sample.residual.astype(np.float64)).reshape(5, 3, -1)
    top = -np.sort(-magnitude, axis=-1)
    for order in range(3):
        drawn = lines[f"top {order + 1}"]
        np.testing.assert_array_equal(drawn.get_xdata(), np.arange(5))
        np.testing.assert_allclose(drawn.get_ydata(), top[..., order].mean(axis=1))
    median = np.sort(magnitude, axis=-1)[..., (magnitude.shape[-1] - 1) // 2]
    np.testing.assert_allclose(lines["median"].get_ydata(), median.mean(axis=1))
    criterion = lines["criterion: > 100 and ≥ 1,000 × median"]
    np.testing.assert_allclose(criterion.get_ydata(), np.maximum(100, 1000 * median.mean(axis=1)))

    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    first = top[..., 0]
    assert band.max() == pytest.approx((first.mean(axis=1) + first.std(axis=1)).max())
    assert axes.get_yscale() == "log"
    assert "sample_model" in axes.get_title(loc="left")
    assert "mean ± std over 3 sequences" in axes.get_title(loc="left")


def test_layer_curve_of_two_per_sequence_has_two(sample: Sample, tmp_path: Path) -> None:
    changed = Sample(**{**vars(sample), "top_k": 2})
    with actsweep.open(write_sweep(tmp_path / "two.h5", changed)) as sweep:
        drawn = [line.get_label() for line in actsweep.layer_curve(sweep).axes[0].lines]
    assert [label for label in drawn if label.startswith("top")] == ["top 1", "top 2"]


def test_saved_pictures_are_not_blank(sweep: actsweep.Sweep, tmp_path: Path) -> None:
    figures = {"a": actsweep.magnitude_3d(sweep, "summer"), "b": actsweep.layer_curve(sweep)}
    for stem, figure in figures.items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a glyph that the font lacks is a warning
            png, svg = actsweep.save(figure, tmp_path / "new" / "folder", stem)
        pixels = imread(png)[..., :3]
        for color in (pictures.VERMILLION, pictures.BLUE):
            wanted = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
            assert np.count_nonzero(np.abs(pixels - wanted).max(axis=-1) < 0.02) > 200
        assert ElementTree.parse(svg).getroot().tag.endswith("svg")
        assert len(svg.read_text()) > 10_000


def test_equal_sweeps_give_equal_files(sweep: actsweep.Sweep, tmp_path: Path) -> None:
    first = actsweep.save(actsweep.layer_curve(sweep), tmp_path, "first")
    second = actsweep.save(actsweep.layer_curve(sweep), tmp_path, "second")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_labels_are_short_visible_and_printable() -> None:
    assert labels.token_label(" a\tb\r\n") == "␣a⇥b␍↵"
    assert labels.token_label("") == "∅"
    assert labels.token_label("\u200b") == "U+200B"
    assert labels.token_label("x" * 40) == "x" * 13 + "…"
    shown = [labels.number_label(x) for x in (0, 0.0712, 1.84, 10, 26739.4, 1000.0)]
    assert shown == ["0", "0.071", "1.8", "10", "26,739", "1,000"]


def test_ticks_keep_their_distance_and_the_important_ones() -> None:
    ticks = labels.spread_ticks([50, 52, 7], range(0, 100, 10), 8)
    assert ticks == [7, 20, 30, 40, 50, 60, 70, 80, 90]
