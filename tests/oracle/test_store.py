"""The store: activations of the corpus' tokens equal transformers' hidden states and inner tensors.

At m = 1, 2, 3, 4: all tokens at all sites against transformers by hooks; random tokens and those with
an event against the rows of all, bit by bit, by numpy and ml_dtypes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import actsweep
from actsweep.export_store import export_activations
from support.bounds import Reference, assert_near, channel_scale
from support.family_sweeps import swept
from support.inner_oracle import InBoth, InnerOracle, run_in_both
from support.inner_references import rows_of_site
from support.random_models import MASSIVE_IDS, MODELS, make_random, save
from support.splitmix import splitmix64
from support.token_files import Cut, random_corpus, write_token_file

RANKS = (1, 2, 3, 4)
CUT = Cut(40, "per_document")
LENGTHS = (57, 1, 40, 2, 83, 39)
SITES = {
    # A key/value head that all ranks have; layers without a dense MLP.
    "llama-5over1-tied": (
        "residual", "attention_input", "query", "key", "value", "attention_heads",
        "attention_output", "mlp_input", "gate", "up", "mlp_hidden", "mlp_output", "final_norm",
    ),
    "gpt_oss-5over1-head16-2of5-window16": (
        "residual", "query", "key", "attention_heads", "mlp_input", "mlp_output", "final_norm",
    ),
}  # fmt: skip
EVENTS = {"criterion_magnitude": 4.0, "criterion_ratio": 4.0, "max_events": 6}
SOME_LAYERS, RATIO, SEED = [2, 0], 0.3, 11
# By what is asked of the store: its keys beside the sites.
STORES: dict[str, dict[str, Any]] = {
    "all": {},
    "random": {"layers": SOME_LAYERS, "tokens": f"random:{RATIO}", "dtype": "bfloat16", "seed": SEED},
    "events": {"tokens": "events"},
}

ROWS = {"all": {}, "random": {"per_token": "none"}, "events": {"per_token": "massive"}}


@dataclass(frozen=True)
class Made:
    """A model's directory and what transformers computes of its corpus."""

    directory: Path
    windows: Sequence[np.ndarray]
    inners: InBoth


@dataclass(frozen=True)
class Sweeps:
    made: dict[str, Made]
    datasets: dict[tuple[str, int], dict[str, np.ndarray]]  # by "NAME STORE" and m
    folder: Path

    def __call__(self, name: str, store: str, m: int) -> dict[str, np.ndarray]:
        return self.datasets[f"{name}.{store}", m]


def make(name: str, folder: Path) -> Made:
    model = next(model for model in MODELS if model.name == name)
    directory = save(make_random(model), model, folder)
    corpus = random_corpus(model.vocabulary, LENGTHS, seed=7, often=MASSIVE_IDS)
    write_token_file(folder / "corpus.h5", corpus, {})
    windows = [window.ids for window in corpus.windows(CUT)]
    inners = run_in_both(lambda patch, dtype: InnerOracle(directory, patch, dtype), windows)
    return Made(directory, windows, inners)


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sweeps]:
    folder = tmp_path_factory.mktemp("store")
    torch.set_num_threads(1)
    made = {name: make(name, folder / name) for name in SITES}

    def job(name: str, m: int, output: Path) -> dict[str, dict[str, Any]]:
        model, _, store = name.rpartition(".")
        directory = made[model].directory
        return {
            "model": {"path": str(directory), "dtype": "float32"},
            "corpus": {"path": str(directory / "corpus.h5"), **CUT.job_keys()},
            "parallel": {"tensor": m, "threads": 1, "microbatch_tokens": 80, "block_tokens": 160},
            "statistics": EVENTS,
            "store": {"sites": list(SITES[model]), **STORES[store]},
            "output": {"path": str(output), "segment_tokens": 240, **ROWS[store]},
        }

    names = [f"{name}.{store}" for name in SITES for store in STORES]
    yield Sweeps(made, swept(names, RANKS, folder, job), folder)


def expected_rows(inners: InBoth, site: str) -> tuple[np.ndarray, np.ndarray]:
    """Of transformers in both precisions, [layers of the file, N, channels]."""
    if site != "residual":
        exact, single = (rows_of_site(of, site) for of in (inners.exact, inners.single))
        return exact, single
    exact, single = (
        np.concatenate([np.stack(inner.residual) for inner in of], axis=1)
        for of in (inners.exact, inners.single)
    )
    return exact, single


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize(("name", "site"), [(name, site) for name in SITES for site in SITES[name]])
def test_all_tokens_are_as_transformers_has_them(
    name: str, site: str, m: int, sweeps: Sweeps
) -> None:
    """Layer 0 of a site inside the layers is NaN."""
    datasets, made = sweeps(name, "all", m), sweeps.made[name]
    exact, single = expected_rows(made.inners, site)
    tokens = sum(map(len, made.windows))
    np.testing.assert_array_equal(datasets["store/token"], np.arange(tokens))
    layers = len(made.inners.exact[0].residual)
    np.testing.assert_array_equal(datasets["store/stored_layer"], np.arange(layers))
    found = datasets[f"store/{site}"]  # [row, stored_layer, channel]
    assert found.dtype == np.float32
    scale = np.maximum(channel_scale([np.nan_to_num(exact)]), 1e-30)
    error = np.abs(np.nan_to_num(single - exact)).max(axis=1, keepdims=True)
    reference = Reference(exact, np.broadcast_to(error, exact.shape), np.abs(exact), scale)
    assert_near(site, found.swapaxes(0, 1), reference)


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", SITES)
def test_they_are_what_the_statistics_have_seen(name: str, m: int, sweeps: Sweeps) -> None:
    """The rows of the file's other statistics, which other code takes from the same pass."""
    datasets = sweeps(name, "all", m)
    rows = datasets["store/residual"].swapaxes(0, 1)
    largest = np.abs(rows).max(axis=1)
    np.testing.assert_array_equal(datasets["residual/channel_max_magnitude"], largest)
    channel = datasets["residual/token_top_channel"].astype(np.int64)
    top = np.take_along_axis(rows, channel, axis=2)
    np.testing.assert_array_equal(datasets["residual/token_top_value"], top)


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", SITES)
def test_random_tokens_follow_from_number_and_seed(name: str, m: int, sweeps: Sweeps) -> None:
    """And their rows are those of all tokens at the named layers, rounded as ml_dtypes rounds."""
    found, every = sweeps(name, "random", m), sweeps(name, "all", m)
    parts = [(splitmix64(SEED, token) >> 11) / 2**53 for token in every["store/token"].tolist()]
    chosen = np.flatnonzero(np.array(parts) < RATIO)
    assert 0 < len(chosen) < len(parts)
    np.testing.assert_array_equal(found["store/token"], chosen)
    np.testing.assert_array_equal(found["store/stored_layer"], SOME_LAYERS)
    for site in SITES[name]:
        layers = [0] if site == "final_norm" else SOME_LAYERS
        rows = every[f"store/{site}"][chosen][:, layers]
        expected = rows.astype(ml_dtypes.bfloat16).view(np.uint16)
        bits = found[f"store/{site}"]
        assert bits.dtype == np.uint16
        is_nan = np.isnan(rows)
        np.testing.assert_array_equal(bits[~is_nan], expected[~is_nan])
        assert np.isnan(bits[is_nan].view(ml_dtypes.bfloat16).astype(np.float32)).all()


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", SITES)
def test_tokens_with_an_event_are_those_of_the_table(name: str, m: int, sweeps: Sweeps) -> None:
    found, every = sweeps(name, "events", m), sweeps(name, "all", m)
    chosen = np.unique(found["massive/token"])
    assert 0 < len(chosen) < len(every["store/token"])
    np.testing.assert_array_equal(found["store/token"], chosen)
    np.testing.assert_array_equal(found["tokens/row_token"], chosen)
    for site in SITES[name]:
        rows = every[f"store/{site}"][chosen]
        assert found[f"store/{site}"].tobytes() == rows.tobytes(), site


def test_a_file_says_what_its_values_are(sweeps: Sweeps) -> None:
    """Axes by netCDF's rules, and that numbers of 16 bits are those of bfloat16."""
    name = next(iter(SITES))
    for store, bits_of in (("all", None), ("random", "bfloat16")):
        with h5py.File(sweeps.folder / f"{name}.{store}-m1.h5") as file:
            for site, axes in {
                "residual": ("store/row", "store/stored_layer", "channel"),
                "key": ("store/row", "store/stored_layer", "key_channel"),
                "final_norm": ("store/row", "final_layer", "channel"),
            }.items():
                dataset = file[f"store/{site}"]
                assert dataset.attrs.get("bits_of") == bits_of
                found = tuple(axis[0].name.lstrip("/") for axis in dataset.dims)
                assert found == axes, site


@pytest.mark.parametrize("store", STORES)
def test_an_export_has_the_rows_of_the_file(store: str, sweeps: Sweeps, tmp_path: Path) -> None:
    """Read by safetensors; layer 0 has no tensor of a site inside the layers."""
    name, m = "gpt_oss-5over1-head16-2of5-window16", 3
    datasets = sweeps(name, store, m)
    with actsweep.open(sweeps.folder / f"{name}.{store}-m{m}.h5") as sweep:
        assert sweep.stored == list(SITES[name])
        written = export_activations(sweep, tmp_path / "out", shard_bytes=30_000)
        last = int(sweep.attributes["num_layers"])
    assert len(written.files) > 1
    shards = [load_file(tmp_path / "out" / file) for file in written.files]
    together = {each: torch.cat([shard[each] for shard in shards]) for each in shards[0]}
    token = datasets["store/token"].astype(np.int64)
    np.testing.assert_array_equal(together["token"], token)
    np.testing.assert_array_equal(together["token_id"], datasets["tokens/id"][token])
    for site in SITES[name]:
        rows = datasets[f"store/{site}"]
        layers = [last] if site == "final_norm" else datasets["store/stored_layer"]
        for place, layer in enumerate(layers):
            if layer == 0 and site not in ("residual", "final_norm"):
                assert f"{site}.0" not in together
                continue
            tensor = together[f"{site}.{layer}"]
            bits = tensor.view(torch.int16).numpy().view(np.uint16) if store == "random" else tensor.numpy()
            assert bits.tobytes() == rows[:, place].tobytes(), (site, layer)
