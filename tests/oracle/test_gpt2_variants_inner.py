"""Attention and sites of GPT-2 with k' and v' in each head, and with a sink token, by the textbook.

k' is a slot of the softmax, and the set "learned"; so is the sink token, which is a token, at position 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from support.attention_reference import KeySet, Learned, attention_references, class_first
from support.bounds import assert_near
from support.gpt2_variants import VARIANTS, VariantInnerOracle, make_variant
from support.inner_oracle import InBoth, LayerAttention, run_in_both
from support.inner_references import assert_site
from support.random_models import MODELS
from support.sweeps import Sweep, read_datasets
from support.token_files import Cut, Window, random_corpus, write_token_file

(MODEL,) = (model for model in MODELS if model.name == "gpt2-7heads-unscaled-gelu-untied")
RANKS = (1, 2, 3)
LENGTH = 80
LENGTHS = (79, 33, 70, 5, 64)
SETS = ("position:0", "class:delimiter:first", "class:other:first", "learned")
SITES = (
    "attention_input", "query", "key", "value", "attention_heads", "attention_output", "mlp_input",
    "up", "mlp_hidden", "mlp_output", "final_norm",
)  # fmt: skip
POSITION_0 = 0  # the class of what stands there


@dataclass(frozen=True)
class Swept:
    variant: str
    model: Path
    datasets: dict[str, np.ndarray]
    windows: list[Window]  # with the sink's row
    inners: InBoth


@pytest.fixture(scope="module", params=VARIANTS)
def measured(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, list[Window], InBoth]:
    """What transformers computes of each window."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("variant")
    variant = make_variant(request.param, MODEL, folder / "model")
    text = random_corpus(MODEL.vocabulary, LENGTHS, seed=9)
    write_token_file(folder / "corpus.h5", text, {})
    windows = text.windows(Cut(LENGTH - variant.sinks, "per_document"))
    inners = run_in_both(
        lambda patch, dtype: VariantInnerOracle(variant, patch, dtype),
        [window.ids for window in windows],
    )
    if variant.sinks:  # which is at position 0, so that the first token has the class of its id
        classes = [np.insert(text.classes[window.ids], 0, POSITION_0) for window in windows]
        windows = [replace(w, classes=c) for w, c in zip(windows, classes, strict=True)]
    return request.param, folder, windows, inners


@pytest.fixture(scope="module", params=RANKS, ids=lambda m: f"m{m}")
def swept(
    request: pytest.FixtureRequest,
    program: Path,
    measured: tuple[str, Path, list[Window], InBoth],
) -> Swept:
    variant, folder, windows, inners = measured
    job = {
        "model": {"path": str(folder / "model"), "dtype": "float32"},
        "corpus": {
            "path": str(folder / "corpus.h5"),
            **Cut(LENGTH, "per_document").job_keys(),
        },
        "parallel": {"tensor": request.param, "threads": 1, "microbatch_tokens": 240},
        "statistics": {"sites": list(SITES), "attention": list(SETS), "value_updates": True},
        "output": {"path": str(folder / f"sweep-m{request.param}.h5")},
    }
    datasets = read_datasets(Sweep(program, job, request.param).run())
    return Swept(variant, folder / "model", datasets, windows, inners)


def learned_of(directory: Path) -> Learned:
    """Of k' and v' of each head, whose scores GPT-2 of this configuration does not scale."""
    tensors = load_file(directory / "model.safetensors")

    def of_layer(name: str, layer: int) -> np.ndarray:  # [H, D]
        return tensors[f"transformer.h.{layer}.attn.{name}"].astype(np.float64)

    def score(layer: int, attention: LayerAttention) -> np.ndarray:
        return np.einsum("hnd,hd->hn", attention.query, of_layer("k_bias", layer))

    return Learned(score, lambda layer: np.linalg.norm(of_layer("v_bias", layer), axis=1))


def test_attention_and_value_updates(swept: Swept) -> None:
    classes = [class_first(swept.windows, name) for name in ("delimiter", "other")]
    has_slot = swept.variant == "attention_bias_kv"
    sets: list[KeySet] = [lambda _window, _layer: [0], *classes]
    sets.append(learned_of(swept.model) if has_slot else sets[0])
    layer_windows = [None] * swept.inners.num_layers
    references = attention_references(swept.inners, sets, layer_windows, has_slot=has_slot)
    on_slot = 1 - swept.inners.exact[0].attention[0].probability.sum(axis=2)
    assert (on_slot.max() > 0.01) == has_slot
    for name, reference in references.items():
        assert_near(name, swept.datasets[name], reference)


@pytest.mark.parametrize("site", SITES)
def test_site(site: str, swept: Swept) -> None:
    classes = [window.classes for window in swept.windows]
    np.testing.assert_array_equal(swept.datasets["tokens/class"], np.concatenate(classes))
    assert_site(swept.datasets, site, swept.inners, classes)
