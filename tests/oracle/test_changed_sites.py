"""Interventions at sites inside a layer against transformers with hooks, and against numpy.

Of each model, site and action: the loss of a variant agrees with transformers at m = 1, 2, 3, 4, with
resident and with streamed weights. On the sweep itself the same intervention leaves the bits at its
site that numpy makes of the unchanged sweep's, and the bits of the variant's loss. In bfloat16 the
streams are no further from float64 than transformers' own are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from support.bounds import assert_losses_round_as_transformers, assert_no_worse, channel_scale, token_errors
from support.changed_sites import changed
from support.interventions import Labels, Table, intervene
from support.site_cases import HALF_PROMPTS, PROMPTS, Made, Place, make_one
from support.transformers_oracle import Oracle, join

RANKS = (1, 2, 3, 4)
NAMES = (
    "llama-5over1-tied",
    "gpt2-7heads-unscaled-gelu-untied",
    "deepseek_v2-6-3of9-2of3groups-biases-bfloat16",
    "qwen3-6over3-head20-biases-upper-window13",
    "gptj-5heads-half-rotary",
    "mixtral-5over1-2of5",
)
SLOW = NAMES[1:]  # `make test-slow` has these alone, and the other numbers of ranks of the rest
IN_DTYPE = ("attention_output", "mlp_output")  # of one rank; of several they are float32 sums
# What hangs on the largest or the middle of many values: rounding to bfloat16 chooses otherwise.
CHOSEN_BY_ROUNDING = ("argmax", "median")


@pytest.fixture(scope="module")
def made_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """Makes what a model's tests share, once."""
    made: dict[str, Made] = {}

    def make(name: str) -> Made:
        if name not in made:
            made[name] = make_one(name, tmp_path_factory.mktemp(name))
        return made[name]

    return make


def each_model() -> list[Any]:
    return [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in NAMES]


def ranks(*quick: int) -> list[Any]:
    return [m if m in quick else pytest.param(m, marks=pytest.mark.slow) for m in RANKS]


STREAMED = {"parallel": {"weights": "streamed", "block_tokens": 160}}


@pytest.mark.parametrize("m", ranks(1, 3))
@pytest.mark.parametrize("name", each_model())
def test_variants_lose_what_transformers_with_hooks_loses(
    name: str, m: int, made_of: Callable[[str], Made]
) -> None:
    made = made_of(name)
    found = made.sweep(["variants"], m)["variants"]
    rows = found["variants/token_nll"]
    ends = np.cumsum([len(window.ids) for window in made.windows])
    sure = 0
    for number, (case, passes) in enumerate(made.expected.items()):
        of_windows = np.split(rows[number], ends[:-1])
        kept = [i for i, window in enumerate(passes) if window.is_sure.all()]  # of the router's choice
        sure += len(kept)
        print(case, end=": ")
        losses = join(passes[i].losses for i in kept)
        assert_losses_round_as_transformers(np.concatenate([of_windows[i] for i in kept]), losses)
    assert sure > 0.8 * len(made.cases) * len(made.windows)
    assert len({row.tobytes() for row in (*rows, found["loss/token_nll"])}) == len(rows) + 1


@pytest.mark.parametrize("m", ranks(3))
@pytest.mark.parametrize("name", each_model())
def test_streamed_weights_and_other_blocks_give_the_same_bits(
    name: str, m: int, made_of: Callable[[str], Made]
) -> None:
    made = made_of(name)
    resident = made.sweep(["variants"], m)["variants"]
    streamed = made.sweep(["variants"], m, "streamed", **STREAMED)["variants"]
    assert resident.keys() == streamed.keys()
    for dataset, values in resident.items():
        assert values.tobytes() == streamed[dataset].tobytes(), dataset


def some_of(cases: Sequence[str], m: int, dtype: str) -> list[str]:
    """Each case at one m, in either dtype at another."""
    return list(cases[(m + (dtype == "bfloat16")) % len(RANKS) :: len(RANKS)])


def rounded(x: np.ndarray, dtype: str) -> np.ndarray:
    return torch.from_numpy(x).to(getattr(torch, dtype)).float().numpy()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("m", ranks(1, 3))
@pytest.mark.parametrize("name", each_model())
def test_a_site_has_the_bits_of_numpy_and_the_sweep_the_loss_of_the_variant(
    name: str, m: int, dtype: str, made_of: Callable[[str], Made]
) -> None:
    made = made_of(name)
    sections = {} if dtype == "float32" else {"model": {"dtype": dtype}}
    names = some_of([case for case, tables in made.cases.items() if len(tables) == 1], m, dtype)
    cases = {case: made.cases[case][0] for case in names}
    sweeps = made.sweep(["unchanged", "variants", *cases], m, dtype, **sections)
    unchanged, variants = sweeps["unchanged"], sweeps["variants"]
    means = made.means_of(dtype)
    for case, table in cases.items():
        site, found = table["site"], sweeps[case]
        is_wide = dtype == "float32" or (site in IN_DTYPE and m > 1)
        (place,) = (place for place in made.places if place.site == site)
        layer = min(place.layers) if table["layer"] == "all" else table["layer"]
        changes = 0
        for prompt in PROMPTS:
            before, after = (each[f"capture/{prompt}/{site}"] for each in (unchanged, found))
            x, _, _ = intervene(table, layer, before[layer], made.labels_of(prompt), means[site])
            expected = x if is_wide else rounded(x, dtype)
            assert after[layer].tobytes() == expected.tobytes(), (case, prompt)
            assert after[:layer].tobytes() == before[:layer].tobytes(), (case, prompt)
            streams = (each[f"capture/{prompt}/residual"] for each in (unchanged, found))
            assert np.array_equal(*(stream[:layer] for stream in streams)), (case, prompt)
            changes += (after[layer] != before[layer]).sum()
        assert changes > 0, case
        number = list(made.cases).index(case)
        assert found["loss/token_nll"].tobytes() == variants["variants/token_nll"][number].tobytes(), case
        assert_counts(made, table, place, found, case)


def assert_counts(made: Made, table: Table, place: Place, found: dict[str, np.ndarray], case: str) -> None:
    """Which token it is may depend on the rows, how many do not."""
    tokens = activations = 0
    for window in made.windows:
        x = np.zeros((len(window.ids), place.width), np.float32)
        _, matched, changed_ = intervene(table | {"action": "zero"}, 1, x, Labels(window.classes))
        tokens, activations = tokens + matched, activations + changed_
    times = len(place.layers) if table["layer"] == "all" else 1
    assert found["interventions/matched_tokens"].tolist() == [times * tokens], case
    assert found["interventions/changed_activations"].tolist() == [times * activations], case


def half_cases(made: Made, m: int) -> list[str]:
    cases = [case for case in made.cases if not case.endswith(CHOSEN_BY_ROUNDING)]
    return some_of(cases, m, "bfloat16")


@pytest.mark.parametrize("m", ranks(2))
@pytest.mark.parametrize("name", ["llama-5over1-tied", pytest.param(NAMES[4], marks=pytest.mark.slow)])
def test_bfloat16_is_no_further_from_float64_than_transformers(
    name: str, m: int, made_of: Callable[[str], Made]
) -> None:
    made = made_of(name)
    means = made.means_of("bfloat16")
    sections = {"model": {"dtype": "bfloat16"}, "capture": {"prompts": list(HALF_PROMPTS), "sites": ["residual"]}}
    names = half_cases(made, m)
    sweeps = made.sweep(names, m, "half", **sections)
    half = Oracle(made.directory, torch.bfloat16)
    mine, theirs = [], []
    for case in names:
        exact, single = ([], [])
        for prompt in HALF_PROMPTS:
            for oracle, streams in ((made.both.exact, exact), (half, single)):
                with changed(oracle.blocks, made.cases[case], made.labels_of(prompt), means):
                    streams.append(oracle.residual(made.prompts[prompt]))
        found = [sweeps[case][f"capture/{prompt}/residual"] for prompt in HALF_PROMPTS]
        scale = channel_scale(exact)
        mine.append(token_errors(found, exact, scale))
        theirs.append(token_errors(single, exact, scale))
    assert_no_worse(np.concatenate(mine, axis=1), np.concatenate(theirs, axis=1))
