"""Attention, value updates, interventions, sites and parts, against the textbook on kept states."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from sample_sweep import Sample
from study_sample import (
    CHANNELS,
    EPSILONS,
    HEADS,
    KEY_HEADS,
    KEY_SETS,
    LAYERS,
    LENGTH,
    LIFECYCLE_CHANNELS,
    NEURONS,
    SEQUENCES,
    VARIANTS,
    WIDTH,
    Study,
)

import actsweep
from actsweep.results import (
    attention,
    geometry,
    interventions,
    lifecycle,
    model_parts,
    quantisation,
    query_key,
    second_look,
    sites,
    updates,
    value_updates,
)
from actsweep.vocabulary import escape_invalid_utf8


def test_attention_to_sets_is_the_mean_over_queries(studied: actsweep.Sweep, study: Study) -> None:
    frame = attention.attention_to_sets(studied).set_index(["layer", "head", "key set"])
    assert len(frame) == (LAYERS - 1) * HEADS * len(KEY_SETS)  # not the embedding's layer
    for layer, head, name in frame.index:
        mass, score = [], []
        for sequence in range(SEQUENCES):
            key = study.keys_of(KEY_SETS.index(name), sequence)
            for query in range(key + 1, LENGTH):
                mass.append(study.attention[layer, sequence, head, query, key])
                score.append(study.score[layer, sequence, head, query, key])
        row = frame.loc[(layer, head, name)]
        assert row["queries"] == len(mass) and row["keys"] == SEQUENCES
        assert row["attention"] == pytest.approx(np.mean(mass), rel=1e-12)
        assert row["score"] == pytest.approx(np.mean(score), rel=1e-9)


def test_layers_have_the_mean_and_range_of_their_heads(studied: actsweep.Sweep) -> None:
    heads = attention.attention_to_sets(studied)
    layers = attention.attention_by_layer(heads).set_index(["key set", "layer"])
    for place, of_heads in heads.groupby(["key set", "layer"]):
        values = of_heads["attention"].to_numpy()
        expected = values.mean(), values.min(), values.max()
        assert tuple(layers.loc[place, ["attention", "least", "most"]]) == pytest.approx(expected)


def test_value_norm_ratio(studied: actsweep.Sweep, study: Study) -> None:
    frame = attention.value_norm_ratios(studied).set_index(["layer", "key/value head", "key set"])
    assert len(frame) == (LAYERS - 1) * KEY_HEADS * len(KEY_SETS)
    for layer, head, name in frame.index:
        values = study.value[layer, :, head]  # [sequence, token, D]
        keys = [study.keys_of(KEY_SETS.index(name), s) for s in range(SEQUENCES)]
        of_set = np.mean([np.linalg.norm(values[s, key]) for s, key in enumerate(keys)])
        expected = of_set / np.linalg.norm(values, axis=-1).mean()
        assert frame.loc[(layer, head, name), "ratio"] == pytest.approx(expected)


@pytest.mark.parametrize(("window", "length"), [("whole window", LENGTH), ("first 64 tokens", 64)])
def test_sink_metric(studied: actsweep.Sweep, study: Study, window: str, length: int) -> None:
    shares = attention.sink_shares(studied)
    metric = attention.sink_metric(shares).set_index(["window", "epsilon"])["metric"]
    alpha = study.attention[1:, ..., :length, 0].mean(axis=-1)  # [layer, sequence, head]
    for epsilon in EPSILONS:
        assert metric[window, epsilon] == pytest.approx((alpha > epsilon).mean())
        by_layer = shares[(shares["window"] == window) & (shares["epsilon"] == epsilon)]
        np.testing.assert_allclose(by_layer["share"], (alpha > epsilon).mean(axis=(1, 2)))
    assert 0 < metric[window, 0.3] < 1


def test_entropy_is_relative_to_what_is_visible(studied: actsweep.Sweep, study: Study) -> None:
    heads = attention.head_means(studied).set_index(["layer", "head"])
    for layer, head in heads.index:
        shares = []
        for sequence in range(SEQUENCES):
            for query in range(1, LENGTH):
                row = study.attention[layer, sequence, head, query, : query + 1]
                shares.append(-(row * np.log(row)).sum() / math.log(query + 1))
        assert heads.loc[(layer, head), "entropy"] == pytest.approx(np.mean(shares))
        first = study.attention[layer, :, head, :, 0].mean()
        assert heads.loc[(layer, head), "attention to position 0"] == pytest.approx(first)


def test_captured_maps_hide_what_queries_do_not_see(studied: actsweep.Sweep, study: Study) -> None:
    probability, score = attention.captured_maps(studied, "summer", 2)
    above = np.triu(np.ones((8, 8), bool), 1)
    assert np.isnan(probability[:, above]).all() and np.isnan(score[:, above]).all()
    np.testing.assert_array_equal(probability[:, ~above], study.captured_attention()[2][:, ~above])
    means = attention.layer_means(studied, "summer")
    expected = study.captured_attention()[2].astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(means[2][~above], expected[~above])


def test_value_updates_spread_around_their_mean(studied: actsweep.Sweep, study: Study) -> None:
    projected = value_updates.after_projection(studied).set_index(["layer", "updates", "key set"])
    heads = value_updates.by_head(studied).set_index(["layer", "updates", "key set", "head"])
    assert len(projected) == (LAYERS - 1) * 4
    for layer, updates, name in projected.index:
        selection = value_updates.SELECTIONS.index(updates)
        u = study.updates(layer, selection, KEY_SETS.index(name))
        after = u.reshape(len(u), -1) @ study.output_projection
        row = projected.loc[(layer, updates, name)]
        assert row["queries"] == len(u)
        assert row["constancy"] == pytest.approx(_spread(after))
        assert row["share"] == pytest.approx(np.mean(np.linalg.norm(after, axis=1) / 9))
        for head in range(HEADS):
            found = heads.loc[(layer, updates, name, head), "constancy"]
            assert found == pytest.approx(_spread(u[:, head]))


def _spread(u: np.ndarray) -> float:
    """Root mean squared distance from the mean, over the mean's norm."""
    mean = u.mean(axis=0)
    return np.sqrt(np.square(u - mean).sum(axis=1).mean()) / np.linalg.norm(mean)


def test_equal_updates_are_constant() -> None:
    total, squares = np.array([[6.0, 8.0]]), np.array([50.0])
    assert value_updates.constancy_of(np.array([2]), total, squares)[0] == 0


def test_most_attended_keys(studied: actsweep.Sweep, study: Study) -> None:
    means = study.received()[1:, ..., :6]  # of each window's first half
    frame = second_look.top_keys(studied).set_index("layer")
    assert list(frame.index) == list(range(1, LAYERS))
    for layer, row in frame.iterrows():
        of_layer = means[layer - 1].reshape(-1, 6)
        places = of_layer.argmax(axis=1)
        assert row["at position 0"] == pytest.approx((places == 0).mean())
        assert row["received"] == pytest.approx(of_layer.max(axis=1).mean())
        others = [p for p in places if p > 0]
        assert row["share of it"] == max((others.count(p) for p in others), default=0) / len(places)


def test_secondary_sinks_are_the_tokens_that_receive_most(
    studied: actsweep.Sweep, study: Study
) -> None:
    means = study.received()[1:].mean(axis=2).reshape(LAYERS - 1, -1)  # [layer, token]
    means[:, ::12] = np.nan  # position 0
    frame = second_look.secondary_sinks(studied, 5)
    best = np.sort(np.nan_to_num(means, nan=-1).max(axis=0))[::-1][:5]
    np.testing.assert_allclose(frame["mean over heads"], best, rtol=1e-6)
    for row in frame.itertuples():
        assert row.position == row.token % 12 > 0
        assert means[row.layer - 1, row.token] == pytest.approx(frame.loc[row.Index, "mean over heads"])
    layers = second_look.received_by_layer(studied).set_index(["layer", "token"])["received"]
    assert layers[3, "others, largest"] == pytest.approx(np.nanmax(means[2]))


def test_largest_scores(studied: actsweep.Sweep, study: Study) -> None:
    frame = second_look.largest_scores(studied)
    assert len(frame) == (LAYERS - 1) * HEADS
    for row in frame.itertuples():
        scores = study.score[row.layer, :, row.head][:, np.tri(70, dtype=bool)]
        assert row.score == pytest.approx(scores.max())
        assert row.key <= row.query
    layers = second_look.largest_by_layer(frame)
    assert list(layers["score"]) == [frame[frame["layer"] == i]["score"].max() for i in range(1, 5)]


def test_geometry(studied: actsweep.Sweep, study: Study) -> None:
    x = study.residual.reshape(LAYERS, -1, CHANNELS)
    ratios = geometry.participation_by_layer(studied).set_index(["layer", "rows"])
    assert (ratios["participation"] > 1).all() and len(ratios) == 2 * LAYERS
    cosines = geometry.cosines_by_layer(studied).set_index(["layer", "tokens"])
    pairs = [x[3, 12 * s + t] @ x[2, 12 * s + t]
             / (np.linalg.norm(x[3, 12 * s + t]) * np.linalg.norm(x[2, 12 * s + t]))
             for s in range(3) for t in range(1, 12)]  # fmt: skip
    assert cosines.loc[(3, "others"), "with the layer before"] == pytest.approx(np.mean(pairs), rel=1e-6)
    assert cosines["with the layer before"][0].isna().all()
    tokens = geometry.tokens_along_first(studied)
    turned = tokens[(tokens["first layer"] <= 3) & (tokens["last layer"] >= 3)]
    assert {11, 23, 35} <= set(turned["token"])
    assert (tokens["position"] > 0).all() and (tokens["largest |cos|"] > 0.9).all()


def test_steps_are_by_the_branch_that_makes_them(studied: actsweep.Sweep) -> None:
    layer = studied.massive["layer"].values
    frame = updates.steps(studied)
    found = {key: (set(rows["by"]), rows["events"].sum()) for key, rows in frame.groupby(["step", "layer"])}
    expected = {
        ("up", 1): ({"MLP"}, (layer == 1).sum()),
        ("up", 3): ({"attention"}, (layer == 3).sum()),
        ("down", 4): ({"MLP"}, (layer == 3).sum()),
    }
    assert found == {key: of for key, of in expected.items() if of[1]}
    assert len(found) > 1
    up = frame[frame["step"] == "up"]
    np.testing.assert_allclose(up["before"] * 8, up["behind"], rtol=1e-6)
    np.testing.assert_allclose(frame[frame["step"] == "down"]["behind"], 0, atol=1e-6)


def test_lifecycles_are_means_over_tokens_with_an_event_there_and_elsewhere(
    studied: actsweep.Sweep, study: Study
) -> None:
    massive = studied.massive
    stream = study.residual.reshape(LAYERS, -1, CHANNELS).astype("f4").astype("f8")
    frame = lifecycle.by_layer(studied).set_index(["channel", "tokens"])
    everywhere = set(massive["token"].values)
    kinds = {}
    for channel in LIFECYCLE_CHANNELS:
        here = set(massive["token"].values[massive["channel"].values == channel])
        kinds[channel, lifecycle.WITH_EVENT] = sorted(here)
        kinds[channel, lifecycle.WITHOUT] = sorted(everywhere - here)
    assert set(frame.index) == {place for place, tokens in kinds.items() if tokens}
    assert len(kinds[4, lifecycle.WITH_EVENT]) == 1 and not kinds[20, lifecycle.WITH_EVENT]
    for channel, tokens in frame.index.unique():
        rows = frame.loc[(channel, tokens)]
        value = stream[:, kinds[channel, tokens], channel]
        change = np.diff(value, axis=0, prepend=value[:1]).mean(axis=1)
        assert rows["layer"].tolist() == list(range(LAYERS)) and (rows["rows"] == value.shape[1]).all()
        np.testing.assert_allclose(rows["mean"], value.mean(axis=1), rtol=1e-12)
        np.testing.assert_allclose(rows["std"], value.std(axis=1), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(rows["largest"], np.abs(value).max(axis=1), rtol=1e-12)
        np.testing.assert_allclose(rows["attention"], change / 4, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(rows["MLP"], change * 3 / 4, rtol=1e-5, atol=1e-6)


def test_massive_values_of_keys_and_queries(studied: actsweep.Sweep, study: Study) -> None:
    ratios = query_key.ratios(studied)
    norm = np.linalg.norm(study.qk["key"][1:], axis=1)  # [layer, head, D]
    expected = norm / norm.mean(axis=-1, keepdims=True)
    found = ratios[ratios["tensor"] == "key"]["ratio"].to_numpy().reshape(expected.shape)
    np.testing.assert_allclose(found, expected)
    places = query_key.massive(ratios)[["tensor", "layer", "head", "d"]].values.tolist()
    assert places == [["key", 2, 1, 4]]
    layers = query_key.by_layer(ratios).set_index(["tensor", "layer"])
    assert layers.loc[("key", 2), "massive values"] == 1
    assert layers["massive values"].sum() == 1
    assert layers.loc[("key", 2), "largest ratio"] == pytest.approx(expected[1, 1, 4])


def test_effects_of_variants(studied: actsweep.Sweep, study: Study) -> None:
    frame = interventions.effects(studied).set_index("variant")
    assert frame.index.tolist() == [interventions.ORIGINAL, *VARIANTS]
    losses = [study.token_nll, *study.variant_nll]
    for name, loss in zip(frame.index, losses, strict=True):
        wide = loss.astype(np.float64)
        row = frame.loc[name]
        assert row["perplexity"] == pytest.approx(np.exp(np.nanmean(wide)))
        by_window = np.exp(np.nanmean(np.nanmean(wide.reshape(3, 12), axis=1)))
        assert row["perplexity, mean of windows"] == pytest.approx(by_window)
        if name == interventions.ORIGINAL:
            assert np.isnan(row["difference, nats"])
            continue
        difference = (wide - study.token_nll)[np.isfinite(study.token_nll)]
        assert row["paired tokens"] == len(difference) == 33
        assert row["difference, nats"] == pytest.approx(difference.mean())
        error = difference.std() / math.sqrt(len(difference))
        assert row["its standard error"] == pytest.approx(error)
        assert row["tokens that got worse"] == (difference > 0).mean()
    assert frame["perplexity"].iloc[0] == pytest.approx(studied.perplexity)
    assert frame["changed activations"].tolist()[1:] == [6, 6]


def test_what_was_overwritten_is_in_the_words_of_the_job(studied: actsweep.Sweep) -> None:
    assert interventions.overwritten(studied).values.tolist() == [
        ["zero", "2", "residual", "[17]", "position:0", "zero", "", 3, 3],
        ["the sweep itself", "all", "residual", "random", "argmax", "scale"]
        + ["count = 2, seed = 5, value = 0.5", 15, 30],
    ]


def test_paired_differences_in_blocks(
    studied: actsweep.Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = interventions.effects(studied)
    monkeypatch.setattr(interventions, "TOKENS_PER_READ", 7)
    pd.testing.assert_frame_equal(interventions.effects(studied), whole)


def test_files_of_an_intervened_model_are_paired_with_the_original(
    studied: actsweep.Sweep, study: Study, study_path: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(study_path, tmp_path / "zero.h5"))
    with h5py.File(path, "r+") as file:
        file.attrs["intervention"] = "[[intervention]]\nlayer = 2\n"
        file["loss/token_nll"][...] = study.variant_nll[0]
        file["loss/token_nll"].attrs["perplexity"] = 1376.0
    with actsweep.open(path) as zero:
        assert interventions.are_paired(studied, zero)
        assert not interventions.are_paired(zero, studied)
        assert not interventions.are_paired(studied, studied)
        effect = interventions.effect_between(studied, zero)
    of_variant = interventions.effects(studied).iloc[1]
    assert effect["difference, nats"] == pytest.approx(of_variant["difference, nats"])
    assert effect["perplexity"] == 1376
    assert effect["perplexity of the original"] == studied.perplexity
    with h5py.File(path, "r+") as file:
        file.attrs["corpus_fingerprint"] = "d" * 64
    with actsweep.open(path) as elsewhere:
        assert not interventions.are_paired(studied, elsewhere)


def test_sites_are_in_the_order_of_a_layer(studied: actsweep.Sweep) -> None:
    expected = ["residual", "attention_input", "mlp_hidden", "final_norm"]
    assert sites.sites_of(studied) == expected


def test_kurtosis_of_channels(studied: actsweep.Sweep, study: Study) -> None:
    frame = sites.kurtosis(studied).set_index(["site", "layer"])["kurtosis"]
    assert ("attention_input", 0) not in frame.index and ("final_norm", 4) in frame.index
    for site, states in study.sites.items():
        for place in range(len(states)):
            layer = 4 if site == "final_norm" else place
            if (site, layer) not in frame.index:
                continue
            flat = states[place].astype(np.float64).reshape(-1, states.shape[-1])
            rms = np.sqrt(np.mean(flat**2, axis=0))
            expected = len(rms) * (rms**4).sum() / (rms**2).sum() ** 2
            assert frame[site, layer] == pytest.approx(expected)
    assert len(frame) == 5 + 4 + 4 + 1


def test_tails_are_those_of_the_tokens(
    studied: actsweep.Sweep, study: Study, sample: Sample
) -> None:
    frame = quantisation.tails(studied).set_index(["site", "layer"])
    of_sites = {"residual": sample.residual, **study.sites}
    assert set(frame.index.get_level_values("site")) == set(of_sites)
    assert ("attention_input", 0) not in frame.index and ("final_norm", 4) in frame.index
    for site, layer in frame.index:
        states = of_sites[site][0 if site == "final_norm" else layer]
        tokens = pd.DataFrame(states.reshape(-1, states.shape[-1]).astype(np.float64))
        off = tokens.sub(tokens.mean(axis=1), axis=0)
        kurtosis = off.pow(4).mean(axis=1) / off.pow(2).mean(axis=1) ** 2 - 3
        row = frame.loc[(site, layer)]
        assert row["tokens"] == len(tokens)
        assert row["mean kurtosis"] == pytest.approx(kurtosis.mean())
        assert row["largest kurtosis"] == pytest.approx(kurtosis.max(), rel=1e-6)
        assert row["smallest value"] == tokens.min().min()
        assert row["its channel"] == tokens.min().idxmin()
        assert row["largest value"] == tokens.max().max()
        assert row["channel of it"] == tokens.max().idxmax()


def test_largest_tokens_are_the_first_with_each_magnitude(
    studied: actsweep.Sweep, study: Study, sample: Sample
) -> None:
    frame = quantisation.largest_tokens(studied)
    of_sites = {"residual": sample.residual, **study.sites}
    assert set(frame["site"]) == set(of_sites)
    assert len(frame) == quantisation.CHANNELS_SHOWN * (5 + 4 + 4 + 1)  # layers of the sites
    for (site, layer), rows in frame.groupby(["site", "layer"]):
        states = of_sites[site][0 if site == "final_norm" else layer]
        tokens = pd.DataFrame(np.abs(states.reshape(-1, states.shape[-1])))
        largest = tokens.max().nlargest(quantisation.CHANNELS_SHOWN)
        assert list(rows["channel"]) == list(largest.index)
        assert list(rows["magnitude"]) == list(largest)
        assert list(rows["token"]) == list(tokens.idxmax()[largest.index])


def test_texts_around_tokens_stay_in_their_window(studied: actsweep.Sweep, sample: Sample) -> None:
    frame = quantisation.largest_tokens(studied)
    length = sample.ids.shape[1]

    def text(ids: np.ndarray) -> str:
        return escape_invalid_utf8(b"".join(sample.vocabulary[i] for i in ids))

    assert len(set(frame["position"])) > 6
    for row in frame.to_dict("records"):
        window, at = divmod(row["token"], length)
        assert row["position"] == at
        ids = sample.ids[window]
        before, own, behind = ids[max(at - 6, 0) : at], ids[[at]], ids[at + 1 : at + 5]
        assert row["text around it"] == repr(f"{text(before)}⟦{text(own)}⟧{text(behind)}")


def test_blocks_have_the_quantiles_of_their_largest_magnitudes(
    studied: actsweep.Sweep, study: Study
) -> None:
    frame = quantisation.block_maxima(studied).set_index(["site", "layer", "channels of a block"])
    states = study.sites["mlp_hidden"][2].reshape(-1, NEURONS)
    for size in (16, 32):
        blocks = [np.abs(states[:, c : c + size]).max(axis=1) for c in range(0, NEURONS, size)]
        ordered = np.sort(np.concatenate(blocks))
        row = frame.loc[("mlp_hidden", 2, size)]
        for name, part in quantisation.QUANTILES.items():
            value = ordered[int(part * (len(ordered) - 1))]
            assert value * (1 - 2**-7) <= row[name] <= value
    assert ("mlp_hidden", 0, 16) not in frame.index


def test_quantiles_of_channels_are_the_edges_below_them(
    studied: actsweep.Sweep, study: Study, sample: Sample
) -> None:
    frame = quantisation.channel_quantiles(studied).set_index(["site", "layer"])
    of_sites = {"residual": sample.residual, **study.sites}
    assert set(frame.index.get_level_values("site")) == set(of_sites)
    assert ("attention_input", 0) not in frame.index and ("final_norm", 4) in frame.index
    for site, layer in frame.index:
        states = of_sites[site][0 if site == "final_norm" else layer]
        magnitude = np.abs(states.reshape(-1, states.shape[-1]).astype(np.float64))
        row = frame.loc[(site, layer)]
        column = magnitude[:, int(row["channel"])]
        for name, part in quantisation.CHANNEL_QUANTILES.items():
            exact = np.quantile(column, part, method="lower")
            assert row[name] * (1 - 1e-6) <= exact < row[name] * 2**0.25
        assert row["largest"] == column.max()
        typical = np.quantile(magnitude, 0.99, axis=0, method="lower")
        assert typical.max() < row["99 %"] * 2**0.25
        middle = np.sort(typical)[(len(typical) - 1) // 2]
        assert row["99 % of the middle channel"] * (1 - 1e-6) <= middle
        assert middle < row["99 % of the middle channel"] * 2**0.25
    assert frame.loc[("residual", 2), "channel"] == frame.loc[("residual", 3), "channel"] == 17


def test_experts_of_first_tokens_beside_those_of_others(
    studied: actsweep.Sweep, study: Study
) -> None:
    frame = model_parts.experts_of_first_tokens(studied).set_index(["layer", "expert"])
    chosen, gates = study.token_experts
    assert set(frame.index.get_level_values("layer")) == {2, 3, 4}
    assert frame.loc[(3, 3), "share of first tokens"] == 1
    for layer, expert in frame.index:
        of_tokens = {"first": [], "other": []}
        for token in range(36):
            kind = of_tokens["other" if token % 12 else "first"]
            kind.append([g for e, g in zip(chosen[layer, token], gates[layer, token]) if e == expert])
        row = frame.loc[(layer, expert)]
        for name, tokens in of_tokens.items():
            weights = [gate for gates_of in tokens for gate in gates_of]
            assert row[f"share of {name} tokens"] == pytest.approx(len(weights) / len(tokens))
            expected = np.mean(weights) if weights else np.nan
            assert row[f"weight in {name} tokens"] == pytest.approx(expected, nan_ok=True)


def test_noise_of_formats_is_in_decibels(studied: actsweep.Sweep) -> None:
    frame = quantisation.format_noise(studied)
    assert set(frame["format"]) == {"int8_token", "nvfp4"}
    levels = frame.groupby("format")["SQNR, dB"]
    assert levels.min().to_dict() == pytest.approx({"int8_token": 30, "nvfp4": 20})
    assert levels.max().to_dict() == pytest.approx({"int8_token": 30, "nvfp4": 20})
    assert len(frame) == 2 * (5 + 4 + 4 + 1)


def test_outlier_features_by_llm_int8(studied: actsweep.Sweep, study: Study) -> None:
    frame = sites.outlier_features(studied)
    found = {tuple(row) for row in frame[["site", "channel"]].values.tolist()}
    expected = set()
    for site, x in study.sites.items():
        rows = x if site == "final_norm" else x[1:]
        above = np.abs(rows.reshape(len(rows), -1, rows.shape[-1])) >= 6
        passing = (above.mean(axis=(0, 1)) >= 0.06) & (above.any(axis=1).mean(axis=0) >= 0.25)
        expected |= {(site, channel) for channel in np.flatnonzero(passing)}
    assert expected == {("attention_input", 9)}
    assert {pair for pair in found if pair[0] != "residual"} == expected
    row = frame[frame["site"] == "attention_input"].iloc[0]
    assert row["share of tokens"] == pytest.approx(3 * 3 * 6 / (4 * 36))
    assert row["share of layers"] == 0.75
    counts = sites.outlier_counts(studied, frame).set_index("site")
    assert counts.loc["attention_input"].tolist() == [1, CHANNELS]
    assert counts.loc["mlp_hidden"].tolist() == [0, NEURONS]


def test_channels_beyond_six_deviations(studied: actsweep.Sweep, study: Study) -> None:
    frame = sites.beyond_deviations(studied).set_index(["site", "layer"])
    x = study.sites["mlp_hidden"][2].astype(np.float64).reshape(-1, NEURONS)
    row = frame.loc[("mlp_hidden", 2)]
    assert row["standard deviation"] == pytest.approx(x.std())
    passing = np.flatnonzero(np.abs(x).max(axis=0) > 6 * x.std())
    assert row["outlier channels"] == len(passing) == 1 and row["channels"] == "33"
    assert row["largest, in deviations"] == pytest.approx(77 / x.std())
    assert frame.loc[("mlp_hidden", 1), "outlier channels"] == 0


def test_super_weights_are_above_50(studied: actsweep.Sweep) -> None:
    frame = model_parts.super_weights(studied)
    assert frame["layer"].tolist() == [2, 3, 4]
    assert frame["above 50"].tolist() == ["both", "input alone", "output alone"]
    assert frame.loc[0, ["neuron", "channel"]].tolist() == [33, 17]
    assert frame.loc[0, "weight"] == -1.5


def test_super_experts_pass_both_bounds_in_early_layers() -> None:
    largest = np.concatenate([np.linspace(1, 9, 397), [100, 95, 90]])
    frame = pd.DataFrame({"layer": np.repeat([1, 2, 3, 4], 100), "largest output": largest})
    assert len(model_parts.super_experts(frame, 4)) == 0  # the largest are in the last layer
    frame["layer"] = 3
    assert model_parts.super_experts(frame, 4)["largest output"].tolist() == [100, 95]
    frame["largest output"] *= np.nan
    assert len(model_parts.super_experts(frame, 4)) == 0


def test_experts_that_were_never_routed_have_no_output(
    studied: actsweep.Sweep, study: Study
) -> None:
    frame = model_parts.experts(studied).set_index(["layer", "expert"])
    assert {layer for layer, _ in frame.index} == {2, 3, 4}  # 0 and 1 have no experts
    for layer, expert in frame.index:
        row, tokens = frame.loc[(layer, expert)], study.experts[layer, expert]
        assert row["tokens"] == tokens
        assert row["share of choices"] == pytest.approx(tokens / study.experts[layer].sum())
        assert (row["remark"] == "never routed") == (tokens == 0) == np.isnan(row["largest output"])
        if tokens:
            assert row["largest output"] == study.expert_output[layer, expert]
        if tokens > 0:
            assert row["mean weight"] == pytest.approx(study.expert_gate[expert])
            saliency = study.expert_gate[expert] * study.expert_norm[expert]
            assert row["saliency"] == pytest.approx(saliency)
    layers = model_parts.experts_by_layer(frame.reset_index()).set_index("layer")
    assert layers["never routed"].tolist() == [1, 0, 3]
    assert layers.loc[4, "share of the busiest"] == 1


def test_register_means(studied: actsweep.Sweep, study: Study) -> None:
    frame = model_parts.registers(studied).set_index(["layer", "register"])
    assert len(frame) == LAYERS * 2
    for layer, register in frame.index:
        images = study.registers[layer, :, register]  # [image, channel]
        row, mean = frame.loc[(layer, register)], images.mean(axis=0)
        assert row["images"] == len(images)
        assert row["norm of the mean"] == pytest.approx(np.linalg.norm(mean))
        spread = np.sqrt(np.square(images - mean).sum(axis=1).mean())
        assert row["spread"] == pytest.approx(spread)
        channel = int(np.abs(mean).argmax())
        assert row["largest channel"] == channel < CHANNELS
        assert row["its mean"] == pytest.approx(mean[channel])
        assert row["its std"] == pytest.approx(images[:, channel].std())


def test_every_group_opens_with_its_axes(studied: actsweep.Sweep) -> None:
    assert studied.group("attention")["mass_sum"].dims == ("layer", "head", "key_set")
    assert studied.group("attention")["epsilon"].values.tolist() == list(EPSILONS)
    sums = studied.group("value_update")["head_sum"]
    assert sums.dims == ("layer", "selection", "key_set", "head", "head_channel")
    assert sums.sizes["head_channel"] == WIDTH
    assert studied.capture("summer")["attention"].dims == ("layer", "head", "token", "key_token")
    assert studied.names("key_sets") == list(KEY_SETS) and studied.names("absent") == []
    assert studied.has("loss/token_nll") and not studied.has("loss/token") and studied.has("qk")
    assert not studied.has("nothing")
