"""Every family agrees with transformers at m = 1, 2, 3, 4: experts, residual streams, losses.

Every configuration of support/random_models, and for one of each family m = 6, streamed weights and
bfloat16. `pytest -k NAME` makes and sweeps only what it selects.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from support.bounds import (
    assert_losses_round_as_transformers,
    assert_no_worse,
    assert_no_worse_with_experts,
    assert_perplexities_round_as_transformers,
    assert_rounds_as_transformers,
)
from support.family_cases import (
    HALF_PROMPTS,
    Case,
    Expected,
    float_params,
    half_errors,
    half_params,
    model_params,
    make_expected,
)
from support.family_sweeps import FamilySweeps, selected_cases
from support.measured_errors import record
from support.random_models import MASSIVE_CHANNEL, MODELS, RandomModel
from support.sweeps import read_attributes, read_datasets
from support.transformers_oracle import Window, join

FAMILIES = (
    "gpt2", "opt", "gpt_neox", "falcon", "mpt", "phi", "phi3", "llama", "mistral", "qwen2", "qwen3",
    "mixtral", "qwen2_moe", "qwen3_moe", "gemma", "gemma2", "gemma3_text", "olmo2", "cohere",
    "stablelm", "starcoder2", "gpt_bigcode", "gpt_oss", "gemma3", "llava", "mistral3",
    "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "glm4_moe",
    "dots1", "minimax_m2", "ernie4_5_moe", "deepseek_v2", "deepseek_v3", "glm4_moe_lite",
    "olmo3", "smollm3", "seed_oss",
    "cohere2", "ministral3", "exaone4", "glm", "glm4", "ernie4_5", "gpt_neo", "gptj", "codegen",
    "granite", "nemotron", "arcee", "olmo", "olmoe", "bloom", "apertus", "granitemoe",
    "granitemoeshared", "hunyuan_v1_dense", "hunyuan_v1_moe", "helium", "biogpt", "phimoe", "dbrx",
    "qwen3_next", "qwen3_5_text", "qwen3_5_moe_text", "qwen3_5", "qwen3_5_moe",
    "internvl", "paligemma", "llava_next", "llava_onevision", "idefics3", "smolvlm", "glm4v", "glm4v_moe",
    "kimi_k25", "mllama",
    "gemma4_text", "gemma4", "gemma4_unified_text", "gemma4_unified", "llama4_text", "llama4",
    "lfm2", "nemotron_h", "granitemoehybrid", "bamba", "falcon_h1", "mamba", "falcon_mamba",
    "jamba",
)  # fmt: skip
FLOAT_CASES = float_params()
HALF_CASES = half_params()


@pytest.fixture(scope="module")
def sweeps(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> FamilySweeps[Expected]:
    """Of the cases that pytest has selected."""
    folder = tmp_path_factory.mktemp("families")
    return FamilySweeps(folder, selected_cases(request), make_expected)


def test_every_family_has_three_configurations() -> None:
    counts = Counter(model.family for model in MODELS)
    assert set(counts) == set(FAMILIES)
    assert min(counts.values()) >= 3, counts
    assert len({model.name for model in MODELS}) == len(MODELS)


@pytest.mark.parametrize("model", model_params())
def test_reference_is_sane(model: RandomModel, sweeps: FamilySweeps[Expected]) -> None:
    """transformers itself: finite, of order one but for the massive channel, losses too."""
    expected = sweeps.expected(model)
    streams = [made.exact.stream for made in expected.passes.values()]
    medians = np.median([np.median(np.abs(s), axis=(1, 2)) for s in streams], axis=0)
    assert all(np.isfinite(stream).all() for stream in streams)
    assert ((medians > 0.1) & (medians < 30)).all(), medians
    assert max(np.abs(stream[:, :, MASSIVE_CHANNEL]).max() for stream in streams) > 2000
    assert streams[0].shape[2] <= 160 and streams[0].shape[1] <= 96
    assert model.window is None or 2 * model.window <= streams[0].shape[1]
    for routing in expected.passes["long"].exact.routings:  # no expert is idle
        assert len(np.unique(routing.chosen)) == routing.logits.shape[1], routing.layer
    losses = [nll for window in expected.window_losses for nll in window.exact]
    assert all(np.isfinite(nll).all() and nll.mean() < 50 for nll in losses)


@pytest.mark.parametrize("case", FLOAT_CASES)
def test_experts_streams_and_losses_agree(case: Case, sweeps: FamilySweeps[Expected]) -> None:
    expected = sweeps.expected(case.model)
    path = sweeps.path(case)
    datasets = read_datasets(path)
    excused = sum(compare_experts(datasets, name, expected.passes[name]) for name in case.prompts)
    print(f"{case.name}: {excused} tokens excused for their experts")
    compare_streams(datasets, expected, case)
    compare_losses(path, datasets, expected)


def compare_experts(datasets: dict[str, np.ndarray], prompt: str, reference: Window) -> int:
    """Chosen experts as sets, [layers + 1, T, k]. Returns the tokens excused by a near tie."""
    routings = reference.exact.routings
    if not routings:
        assert f"capture/{prompt}/expert" not in datasets
        return 0
    found = datasets[f"capture/{prompt}/expert"]
    dense = set(range(len(found))) - {routing.layer + 1 for routing in routings}
    assert (found[sorted(dense)] == -1).all()
    excused = 0
    for routing, is_tie in zip(routings, reference.ties, strict=True):
        excused += int(is_tie.sum())
        mine = np.sort(found[routing.layer + 1], axis=1)
        is_other = (mine != np.sort(routing.chosen, axis=1)).any(axis=1)
        wrong = np.flatnonzero(is_other & ~is_tie & reference.is_sure[routing.layer + 1])
        assert not len(wrong), f"layer {routing.layer}, tokens {wrong}: other experts"
    return excused


def compare_streams(datasets: dict[str, np.ndarray], expected: Expected, case: Case) -> None:
    """Where no near tie of a router reaches."""
    mine, theirs, exact = [], [], []
    for name in case.prompts:
        np.testing.assert_array_equal(datasets[f"capture/{name}/id"], expected.ids[name])
        reference = expected.passes[name]
        assert reference.is_sure.mean() > 0.5
        found = datasets[f"capture/{name}/residual"]
        mine.append(reference.where_sure(found).astype(found.dtype))
        theirs.append(reference.where_sure(reference.single.stream))
        exact.append(reference.exact.stream)
    assert_rounds_as_transformers(case.name, mine, theirs, exact)


def compare_losses(path: Path, datasets: dict[str, np.ndarray], expected: Expected) -> None:
    """Of tokens, and perplexities, where experts are sure."""
    windows, sure = expected.window_losses, expected.is_window_sure
    mine = datasets["loss/token_nll"]
    assert mine.shape == join(windows).rows.shape
    is_sure = np.repeat(sure, [len(window.rows) for window in windows])
    losses = join(window for window, holds in zip(windows, sure, strict=True) if holds)
    record(path.stem, loss=assert_losses_round_as_transformers(mine[is_sure], losses))
    if all(sure):
        attributes = read_attributes(path)["loss/token_nll"]
        assert_perplexities_round_as_transformers(attributes, losses)


@pytest.mark.parametrize("case", HALF_CASES)
def test_bfloat16_is_no_worse_than_transformers(case: Case, sweeps: FamilySweeps[Expected]) -> None:
    expected = sweeps.expected(case.model)
    datasets = read_datasets(sweeps.path(case))
    exact = expected.half_streams("float64")
    found = [datasets[f"capture/{name}/residual"] for name in HALF_PROMPTS]
    mine, theirs = half_errors(case, found, exact, expected.half_streams("bfloat16"))
    if expected.passes["long"].exact.routings:
        assert_no_worse_with_experts(mine, theirs)
    else:
        assert_no_worse(mine, theirs)
