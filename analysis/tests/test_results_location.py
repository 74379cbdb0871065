"""Where massive activations are, against plain numpy on the states of the sample."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from sample_sweep import Sample, add_dataset, add_scale, events_of, median_of, write_sweep

import actsweep
from actsweep.results import constancy, events, location


@pytest.fixture
def events_frame(sample: Sample) -> pd.DataFrame:
    return pd.DataFrame(events_of(sample)[0])


def test_layer_curves_are_means_over_sequences(sweep: actsweep.Sweep, sample: Sample) -> None:
    curves = location.layer_curves(sweep)
    magnitude = np.sort(np.abs(sample.residual.astype(np.float64)).reshape(5, 3, -1), axis=-1)
    for order in range(3):
        largest = magnitude[..., -1 - order]
        np.testing.assert_allclose(curves[f"top {order + 1}"], largest.mean(axis=1))
        np.testing.assert_allclose(curves[f"top {order + 1} std"], largest.std(axis=1))
    median = magnitude[..., (magnitude.shape[-1] - 1) // 2]
    np.testing.assert_allclose(curves["median"], median.mean(axis=1))
    np.testing.assert_array_equal(curves["depth"], [0, 0.25, 0.5, 0.75, 1])


def test_existence_has_a_row_for_each_reading(sweep: actsweep.Sweep, sample: Sample) -> None:
    table = location.existence(sweep, location.layer_curves(sweep))
    layer = 3  # the second layer with the planted channel, which is larger there
    states = sample.residual[layer].astype(np.float64)
    largest = -np.sort(-np.abs(states).reshape(3, -1), axis=1)[:, :3].mean(axis=0)
    by_channel = -np.sort(-np.abs(states).max(axis=(0, 1)))[:3]
    tops = [[row[f"top {k}"] for k in (1, 2, 3)] for _, row in table.iterrows()]
    np.testing.assert_allclose(tops, [largest, largest, by_channel], rtol=1e-6)
    assert table["layer"].tolist() == [layer] * 3
    of_sequence = np.mean([median_of(one) for one in sample.residual[layer]])
    of_token = np.mean([median_of(one[0]) for one in sample.residual[layer]])
    of_corpus = median_of(sample.residual[layer])
    medians = table["median"].to_numpy()
    np.testing.assert_allclose(medians[:2], [of_sequence, of_token], rtol=1e-6)
    assert of_corpus * (1 - 2**-7) <= medians[2] <= of_corpus
    np.testing.assert_allclose(table["ratio"], table["top 1"] / medians)
    quantile = np.sort(np.abs(states), axis=None)[int(0.99 * (states.size - 1))]
    assert table["top 1 %"][0] <= quantile <= table["top 1 %"][0] * (1 + 2**-7)


def test_existence_counts_each_reading_by_itself(sample: Sample, tmp_path: Path) -> None:
    residual = sample.residual.copy()
    residual[2, 0, 0, :17] *= 50  # a token of a large median: massive in its sequence alone
    loud = Sample(**{**vars(sample), "residual": residual})
    events_frame = pd.DataFrame(events_of(loud)[0])
    assert set(events_frame["reading"]) == {1, 3}
    with actsweep.open(write_sweep(tmp_path / "loud.h5", loud)) as sweep:
        table = location.existence(sweep, location.layer_curves(sweep)).set_index("reading")
    for reading, bit in zip(location.READINGS, (1, 2), strict=False):
        passing = events_frame[(events_frame["reading"].astype(int) & bit) > 0]
        row = table.loc[reading]
        assert row["massive activations"] == len(passing) > 0
        assert row["(layer, channel) pairs"] == len(passing[["layer", "channel"]].drop_duplicates())
        assert row["layers"] == f"{passing['layer'].min()}–{passing['layer'].max()}"
        assert row["channels"].split(", ")[0] == str(passing["channel"].mode()[0])
    corpus = table.loc[location.READINGS[2]]
    assert corpus["(layer, channel) pairs"] == 3 and corpus["channels"] == "17, 4"
    assert np.isnan(corpus["massive activations"])


@pytest.mark.parametrize("kept", ["of events", "none", "no rows"])
def test_the_token_median_is_of_the_rows_that_are_kept(
    sample: Sample, sweep_path: Path, tmp_path: Path, kept: str
) -> None:
    """`per_token = "massive"`, also without an event, and `per_token = "none"`."""
    path = Path(shutil.copy(sweep_path, tmp_path / "rows.h5"))
    tokens = np.array([0, 12, 17, 24] if kept == "of events" else [], np.int64)
    with h5py.File(path, "r+") as file:
        site = file["residual"]
        medians = site["token_median_magnitude"][:][:, tokens]
        for name in [name for name in site if name.startswith("token_")]:
            del site[name]
        if kept != "none":
            row = add_scale(file, "row", len(tokens))
            axes = {"layer": file["layer"], "row": row}
            add_dataset(site, "token_median_magnitude", medians, axes)
            add_dataset(file["tokens"], "row_token", tokens, {"row": row})
    with actsweep.open(path) as sweep:
        median = location.existence(sweep, location.layer_curves(sweep))["median"][1]
    expected = np.mean([median_of(one[0]) for one in sample.residual[3]])
    assert median == pytest.approx(expected) if kept == "of events" else np.isnan(median)


def test_existence_names_tokens_most_frequent_first(
    sweep: actsweep.Sweep, sample: Sample, events_frame: pd.DataFrame
) -> None:
    named = location.existence(sweep, location.layer_curves(sweep))["tokens"][0]
    ids = events_frame[(events_frame["reading"].astype(int) & 1) > 0]["token_id"]
    expected = {repr(sweep.decode([token])) for token in ids}
    assert set(named.split(", ")) == expected


def test_readings_that_nothing_passes_say_none(sample: Sample, tmp_path: Path) -> None:
    calm = Sample(**{**vars(sample), "criterion": (1e6, 1000.0)})
    with actsweep.open(write_sweep(tmp_path / "calm.h5", calm)) as sweep:
        curves = location.layer_curves(sweep)
        table = location.existence(sweep, curves)
        assert table["layers"].tolist() == ["none"] * 3
        assert table["channels"].tolist() == ["none"] * 3
        assert location.massive_tokens(sweep).empty
        assert constancy.constancy(sweep).empty
        assert set(location.steps(sweep, curves)["massive after"]) == {"no"}


def test_steps_are_where_the_planted_channel_comes_and_goes(sweep: actsweep.Sweep) -> None:
    curves = location.layer_curves(sweep)
    steps = location.steps(sweep, curves)
    assert steps[["from layer", "to layer", "step"]].values.tolist() == [
        [1, 2, "up"],
        [3, 4, "down"],
    ]
    top = curves["top 1"]
    np.testing.assert_allclose(steps["factor"], [top[2] / top[1], top[4] / top[3]])
    assert steps[["massive before", "massive after"]].values.tolist() == [
        ["no", "yes"],
        ["yes", "no"],
    ]


def test_tokens_and_positions_add_up_to_the_events(
    sweep: actsweep.Sweep, events_frame: pd.DataFrame
) -> None:
    tokens, positions = location.massive_tokens(sweep), location.massive_positions(sweep)
    assert tokens["events"].sum() == positions["events"].sum() == len(events_frame)
    by_token = events_frame.groupby(["token_id", "class"])
    for _, row in tokens.iterrows():
        label = actsweep.TOKEN_CLASSES.index(row["class"])
        here = by_token.get_group((row["id"], label))
        assert row["events"] == len(here) and row["token"] == repr(sweep.decode([row["id"]]))
        assert row["largest"] == np.abs(here["value"]).max()
        assert row["at position 0"] == (here["position"] == 0).mean()
    at = events_frame.groupby(["position", "class"]).size()
    assert positions["events"].tolist() == at.tolist()


def test_channels_by_class_equal_pandas(sweep: actsweep.Sweep, events_frame: pd.DataFrame) -> None:
    found = location.massive_by_class(sweep)
    groups = events_frame.groupby(["layer", "channel", "class"])["value"]
    np.testing.assert_array_equal(found["events"], groups.size())
    np.testing.assert_allclose(found["mean"], groups.mean())
    np.testing.assert_allclose(found["std"], groups.std(ddof=0), atol=1e-4)


def test_events_in_blocks_equal_events_at_once(
    sweep: actsweep.Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = events.events_by(sweep, ["layer", "channel"])
    monkeypatch.setattr(events, "EVENTS_PER_READ", 2)
    pd.testing.assert_frame_equal(events.events_by(sweep, ["layer", "channel"]), whole)


def test_constancy_is_over_all_tokens_of_a_class(sweep: actsweep.Sweep, sample: Sample) -> None:
    table = constancy.constancy(sweep)
    assert set(zip(table["layer"], table["channel"], strict=True)) == {(2, 17), (3, 17), (3, 4)}
    classes = sample.classes.reshape(-1)
    for _, row in table.iterrows():
        values = sample.residual[row["layer"]].reshape(-1, 24)[:, row["channel"]].astype(np.float64)
        if row["tokens"] == constancy.REST:
            values = values[classes != 0]
        else:
            values = values[classes == actsweep.TOKEN_CLASSES.index(row["tokens"])]
        assert row["count"] == len(values)
        np.testing.assert_allclose(row["mean"], values.mean(), atol=1e-10)
        np.testing.assert_allclose(row["std"], values.std(), atol=1e-6)
        np.testing.assert_allclose(row["CV"], values.std() / abs(values.mean()), rtol=1e-6)
        assert row["events"] == np.count_nonzero(np.abs(values) > 100)
        assert row["remark"] == ""


def test_position_0_is_marked_trivial_behind_a_bos(sample: Sample, tmp_path: Path) -> None:
    with_bos = Sample(**{**vars(sample), "bos": "each_window"})
    with actsweep.open(write_sweep(tmp_path / "bos.h5", with_bos)) as sweep:
        table = constancy.constancy(sweep)
    trivial = table["remark"].str.contains("trivial")
    assert trivial.any() and set(table["tokens"][trivial]) == {"position 0"}
    assert (table["tokens"][~trivial] != "position 0").all()
