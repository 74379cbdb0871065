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
    BOUND,
    assert_no_worse,
    assert_no_worse_with_experts,
    channel_scale,
    largest_error,
    token_errors,
)
from support.family_cases import HALF_PROMPTS, Case, Expected, list_cases, make_expected
from support.family_sweeps import FamilySweeps, selected_cases
from support.random_models import MASSIVE_CHANNEL, MODELS, RandomModel
from support.sweeps import read_attributes, read_datasets
from support.transformers_oracle import NEAR_TIE, Pass

FAMILIES = (
    "gpt2", "opt", "gpt_neox", "falcon", "mpt", "phi", "phi3", "llama", "mistral", "qwen2", "qwen3",
    "mixtral", "qwen2_moe", "qwen3_moe", "gemma", "gemma2", "gemma3_text", "olmo2", "cohere",
    "stablelm", "starcoder2", "gpt_bigcode", "gpt_oss",
)  # fmt: skip
CASES = list_cases()
FLOAT_CASES = [pytest.param(case, id=case.name) for case in CASES if case.mode != "bfloat16"]
HALF_CASES = [pytest.param(case, id=case.name) for case in CASES if case.mode == "bfloat16"]


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


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_reference_is_sane(model: RandomModel, sweeps: FamilySweeps[Expected]) -> None:
    """transformers itself: finite, of order one but for the massive channel, losses too."""
    expected = sweeps.expected(model)
    streams = [made.stream for made in expected.passes.values()]
    medians = np.median([np.median(np.abs(s[:, -1]), axis=1) for s in streams], axis=0)
    assert all(np.isfinite(stream).all() for stream in streams)
    assert ((medians > 0.1) & (medians < 30)).all(), medians
    assert max(np.abs(stream[:, :, MASSIVE_CHANNEL]).max() for stream in streams) > 2000
    assert streams[0].shape[2] <= 160 and streams[0].shape[1] <= 96
    assert model.window is None or 2 * model.window <= streams[0].shape[1]
    for routing in expected.passes["long"].routings:  # no expert is idle
        assert len(np.unique(routing.chosen)) == routing.logits.shape[1], routing.layer
    assert all(np.isfinite(nll).all() and nll.mean() < 50 for nll in expected.window_nll)


@pytest.mark.parametrize("case", FLOAT_CASES)
def test_experts_streams_and_losses_agree(case: Case, sweeps: FamilySweeps[Expected]) -> None:
    expected = sweeps.expected(case.model)
    path = sweeps.path(case)
    datasets = read_datasets(path)
    excused = sum(compare_experts(datasets, name, expected.passes[name]) for name in case.prompts)
    errors = compare_streams(datasets, expected, case.prompts)
    losses = compare_losses(path, datasets, expected)
    print(
        f"{case.name}: streams {errors.max() / BOUND:.3f} of the bound, losses {losses:.1e} nats, "
        f"tokens excused for their experts {excused}"
    )
    assert (errors <= BOUND).all(), errors


def compare_experts(datasets: dict[str, np.ndarray], prompt: str, reference: Pass) -> int:
    """Chosen experts as sets, [layers + 1, T, k]. Returns the tokens excused by a near tie."""
    if not reference.routings:
        assert f"capture/{prompt}/expert" not in datasets
        return 0
    found = datasets[f"capture/{prompt}/expert"]
    dense = set(range(len(found))) - {routing.layer + 1 for routing in reference.routings}
    assert (found[sorted(dense)] == -1).all()
    excused = 0
    for routing in reference.routings:
        is_tie = routing.margin < NEAR_TIE
        excused += int(is_tie.sum())
        mine = np.sort(found[routing.layer + 1], axis=1)
        is_other = (mine != np.sort(routing.chosen, axis=1)).any(axis=1)
        wrong = np.flatnonzero(is_other & ~is_tie)
        assert not len(wrong), f"layer {routing.layer}, tokens {wrong}: other experts"
    return excused


def compare_streams(
    datasets: dict[str, np.ndarray], expected: Expected, prompts: list[str]
) -> np.ndarray:
    """Largest error by layer, where no near tie of a router reaches."""
    mine, theirs = [], []
    for name in prompts:
        np.testing.assert_array_equal(datasets[f"capture/{name}/id"], expected.ids[name])
        reference = expected.passes[name]
        found = datasets[f"capture/{name}/residual"]
        assert found.shape == reference.stream.shape
        mine.append(np.where(reference.is_sure[..., None], found, reference.stream))
        theirs.append(reference.stream)
    return largest_error(mine, theirs, channel_scale(theirs))


def compare_losses(path: Path, datasets: dict[str, np.ndarray], expected: Expected) -> float:
    """The largest difference of the tokens' losses, and perplexities, where experts are sure."""
    windows, sure = expected.window_nll, expected.is_window_sure
    theirs = np.concatenate([np.append(nll, np.nan) for nll in windows])
    is_sure = np.repeat(sure, [len(nll) + 1 for nll in windows])
    mine = datasets["loss/token_nll"]
    assert mine.shape == theirs.shape
    np.testing.assert_allclose(mine[is_sure], theirs[is_sure], rtol=1e-4, atol=1e-4)
    if all(sure):
        attributes = read_attributes(path)["loss/token_nll"]
        perplexity = np.exp(np.mean(np.concatenate(windows)))
        of_windows = np.exp(np.mean([nll.mean() for nll in windows]))
        np.testing.assert_allclose(attributes["perplexity"], perplexity, rtol=1e-4)
        np.testing.assert_allclose(attributes["windows_perplexity"], of_windows, rtol=1e-4)
    return float(np.nanmax(np.abs(mine - theirs)[is_sure]))


@pytest.mark.parametrize("case", HALF_CASES)
def test_bfloat16_is_no_worse_than_transformers(case: Case, sweeps: FamilySweeps[Expected]) -> None:
    expected = sweeps.expected(case.model)
    datasets = read_datasets(sweeps.path(case))
    passes = [expected.passes[name] for name in HALF_PROMPTS]
    exact = [reference.stream for reference in passes]
    found = [datasets[f"capture/{name}/residual"] for name in HALF_PROMPTS]
    scale = channel_scale(exact)
    mine = token_errors(found, exact, scale)
    theirs = token_errors(expected.rounded_streams(), exact, scale)
    ratio = np.median(mine, axis=1)[1:] / np.median(theirs, axis=1)[1:]
    print(f"{case.name}: median errors {ratio.min():.3f} to {ratio.max():.3f} times transformers'")
    if passes[0].routings:
        assert_no_worse_with_experts(mine, theirs)
    else:
        assert_no_worse(mine, theirs)
