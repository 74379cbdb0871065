"""Routed experts whose output an intervention sets to 0, against transformers.

Of all tokens: transformers' own experts with down projections of 0. Of some: hooks that set the
router's weights of these tokens to 0 behind the choice. At m = 1, 2, 3, 4, with resident and with
streamed weights, which cut a layer's experts into stages. Windows in which rounding may choose other
experts are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from support.bounds import assert_losses_round_as_transformers
from support.interventions import Labels, Table, applies, matched_tokens
from support.site_cases import Made, Sweeps, make_one
from support.transformers_oracle import Oracle, Window, join

RANKS = (1, 2, 3, 4)
NAMES = (
    "mixtral-5over1-2of5",
    "deepseek_v2-6-3of9-2of3groups-biases-bfloat16",
    "gpt_oss-5over1-head16-2of5-window16",
)
SITE = "mlp_output"


def table(layer: int | str, experts: list[int], tokens: str) -> Table:
    return {"site": SITE, "layer": layer, "experts": experts, "tokens": tokens, "action": "zero"}


CASES: dict[str, list[Table]] = {
    "one": [table(2, [1], "all")],
    "two-everywhere": [table("all", [0, 3], "all")],
    "all": [table(1, [0, 1, 2, 3, 4], "all")],
    "position": [table(3, [0, 2, 4], "position:3")],
    "class": [table("all", [2, 1], "class:other:first")],
    "several": [
        table(2, [0], "all"),
        table(2, [1, 2], "position:1"),
        {"layer": 1, "channels": [4], "tokens": "all", "action": "scale", "value": -1.0},
        {"site": SITE, "layer": 2, "channels": [3], "tokens": "all", "action": "zero"},
    ],
}  # fmt: skip
SOME = ("position", "class")  # of the tokens: hooks on the experts' input
ALONE = [name for name in CASES if name != "several"]


def experts_of(block: nn.Module) -> nn.Module | None:
    return getattr(block.mlp, "experts", None)


@contextmanager
def without_outputs(oracle: Oracle, tables: Sequence[Table]) -> Iterator[None]:
    """The down projections of the experts are 0."""
    with ExitStack() as stack, torch.no_grad():
        for number, block in enumerate(oracle.blocks):
            mine = [t for t in tables if applies(t, number + 1, len(oracle.blocks), SITE)]
            names = [n for n in ("down_proj", "down_proj_bias") if mine and hasattr(experts_of(block), n)]
            for name in names:
                weight = getattr(experts_of(block), name)
                stack.callback(weight.data.copy_, weight.detach().clone())
                for t in mine:
                    weight.data[t["experts"]] = 0
        yield


@contextmanager
def without_weights(oracle: Oracle, tables: Sequence[Table], labels: Labels) -> Iterator[None]:
    """The router's weights of matched tokens are 0 where they chose the experts."""

    def hook_of(mine: Sequence[Table]) -> Any:
        def hook(_module: nn.Module, inputs: tuple) -> tuple:
            rows, chosen, weights = inputs[0], inputs[1], inputs[2].clone()
            assert len(chosen) == len(labels.classes)
            is_of_chosen = weights.shape == chosen.shape
            for t in mine:
                tokens = matched_tokens(t, np.zeros((len(chosen), 1)), labels.classes)
                for token in tokens:
                    is_theirs = torch.isin(chosen[token], torch.tensor(t["experts"]))
                    weights[token, is_theirs if is_of_chosen else t["experts"]] = 0
            return (rows, chosen, weights, *inputs[3:])

        return hook

    with ExitStack() as stack:
        for number, block in enumerate(oracle.blocks):
            mine = [t for t in tables if applies(t, number + 1, len(oracle.blocks), SITE)]
            if mine and experts_of(block) is not None:
                stack.callback(experts_of(block).register_forward_pre_hook(hook_of(mine)).remove)
        yield


def passes(made: Made, name: str) -> Iterator[Window]:
    tables = CASES[name]
    for number, window in enumerate(made.windows):
        with ExitStack() as stack:
            for oracle in made.both.of_both:
                if name in SOME:
                    labels = Labels(window.classes, number)
                    stack.enter_context(without_weights(oracle, tables, labels))
                else:
                    stack.enter_context(without_outputs(oracle, tables))
            yield made.both.run_with_losses(window.ids)


class ExpertSweeps(Sweeps):
    def __init__(self, made: Made) -> None:
        super().__init__(made, CASES)
        self.expected = {name: list(passes(made, name)) for name in ALONE}


@pytest.fixture(scope="module", params=NAMES)
def sweeps(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ExpertSweeps:
    return ExpertSweeps(make_one(request.param, tmp_path_factory.mktemp(request.param)))


@pytest.mark.parametrize("m", RANKS)
def test_variants_lose_what_transformers_loses_without_the_experts(m: int, sweeps: ExpertSweeps) -> None:
    made = sweeps.made
    found = sweeps.variants(m)
    ends = np.cumsum([len(window.ids) for window in made.windows])
    for number, name in enumerate(CASES):
        if name not in ALONE:
            continue
        of_windows = np.split(found["variants/token_nll"][number], ends[:-1])
        kept = [i for i, window in enumerate(sweeps.expected[name]) if window.is_sure.all()]
        assert len(kept) > 0.7 * len(made.windows), name
        print(name, end=": ")
        losses = join(sweeps.expected[name][i].losses for i in kept)
        assert_losses_round_as_transformers(np.concatenate([of_windows[i] for i in kept]), losses)
        assert not np.array_equal(
            found["variants/token_nll"][number], found["loss/token_nll"], equal_nan=True
        )
    streamed = sweeps.variants(m, "streamed", parallel={"weights": "streamed", "block_tokens": 160})
    for dataset, values in found.items():
        assert values.tobytes() == streamed[dataset].tobytes(), dataset


@pytest.mark.parametrize("name", CASES)
def test_counts_are_the_choices_of_matched_tokens(name: str, sweeps: ExpertSweeps) -> None:
    """On the sweep itself, whose file has the choices of every token; weights of silent ones are 0."""
    made = sweeps.made
    statistics = {"experts": True, "expert_rows": True}
    found = sweeps.run(2, f"own-{name}", CASES[name], statistics=statistics)
    chosen, weight = found["experts/token_experts"], found["experts/token_gates"]
    of_any = [expert for one in CASES[name] for expert in one.get("experts", [])]
    for number, one in enumerate(CASES[name]):
        if "experts" not in one:
            continue
        tokens, first, choices = 0, 0, 0
        for window in made.windows:
            rows = first + np.array(
                matched_tokens(one, np.zeros((len(window.ids), 1)), window.classes), int
            )
            first += len(window.ids)
            for layer in range(1, len(chosen)):
                if not applies(one, layer, len(chosen) - 1, SITE):
                    continue
                is_theirs = np.isin(chosen[layer, rows], one["experts"])
                tokens, choices = tokens + len(rows), choices + is_theirs.sum()
                assert (weight[layer, rows][is_theirs] == 0).all()
                is_of_none = ~np.isin(chosen[layer, rows], of_any)
                assert (weight[layer, rows][is_of_none] > 0).all()
        assert found["interventions/matched_tokens"][number] == tokens
        assert found["interventions/changed_activations"][number] == choices > 0
    variant = list(CASES).index(name)
    theirs = sweeps.variants(2)["variants/token_nll"][variant]
    assert found["loss/token_nll"].tobytes() == theirs.tobytes()
