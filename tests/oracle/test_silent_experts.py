"""Routed experts whose output an intervention sets to 0, or which it keeps from being chosen, against
transformers.

Of all tokens: transformers' own experts with down projections of 0. Of some: hooks that set the
router's weights of these tokens to 0 behind the choice. Not chosen: -inf in what the router's own product
gives. At m = 1, 2, 3, 4, with resident and with
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

from support.interventions import Labels, Table, applies, matched_tokens
from support.routers import ROUTERS
from support.site_cases import Variants, make_one
from support.slow_cases import slow_unless
from support.transformers_oracle import Oracle

RANKS = (1, 2, 3, 4)
NAMES = (
    "mixtral-5over1-2of5",
    "deepseek_v2-6-3of9-2of3groups-biases-bfloat16",
    "gpt_oss-5over1-head16-2of5-window16",
)
SITE = "mlp_output"


def table(layer: int | str, experts: list[int], tokens: str, action: str = "zero") -> Table:
    return {"site": SITE, "layer": layer, "experts": experts, "tokens": tokens, "action": action}


CASES: dict[str, list[Table]] = {
    "one": [table(2, [1], "all")],
    "two-everywhere": [table("all", [0, 3], "all")],
    "all": [table(1, [0, 1, 2, 3, 4], "all")],
    "position": [table(3, [0, 2, 4], "position:3")],
    "class": [table("all", [2, 1], "class:other:first")],
    "barred": [table("all", [1, 3], "all", "bar")],
    "barred-class": [table("all", [2], "class:other:first", "bar"), table(2, [0], "position:3", "bar")],
    "several": [
        table(2, [0], "all"),
        table(2, [1, 2], "position:1"),
        {"layer": 1, "channels": [4], "tokens": "all", "action": "scale", "value": -1.0},
        {"site": SITE, "layer": 2, "channels": [3], "tokens": "all", "action": "zero"},
    ],
}  # fmt: skip
SOME = ("position", "class")  # of the tokens: hooks on the experts' input
BARRED = ("barred", "barred-class")
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


@contextmanager
def without_choice(oracle: Oracle, tables: Sequence[Table], labels: Labels) -> Iterator[None]:
    """While a router runs, linear products give -inf for experts that matched tokens may not choose."""
    linear, barred = nn.functional.linear, []

    def begin(mine: Sequence[Table]) -> Any:
        return lambda _router, _inputs: barred.extend(mine)

    def masked(rows: torch.Tensor, *more: Any, **named: Any) -> torch.Tensor:
        logits = linear(rows, *more, **named)
        for t in barred:
            tokens = matched_tokens(t, np.zeros((len(labels.classes), 1)), labels.classes)
            places = torch.tensor(tokens, dtype=torch.int64)[:, None], torch.tensor(t["experts"])
            logits.view(len(labels.classes), -1)[places] = -torch.inf
        return logits

    with ExitStack() as stack:
        nn.functional.linear = masked
        stack.callback(setattr, nn.functional, "linear", linear)
        for number, block in enumerate(oracle.blocks):
            mine = [t for t in tables if applies(t, number + 1, len(oracle.blocks), SITE)]
            for router in (part for part in block.modules() if is_router(part)):
                stack.callback(router.register_forward_pre_hook(begin(mine)).remove)
                end = router.register_forward_hook(lambda *_: barred.clear(), prepend=True)
                stack.callback(end.remove)
        yield


def is_router(part: nn.Module) -> bool:
    return type(part).__name__.lower().endswith(ROUTERS)


@contextmanager
def changed(oracle: Oracle, name: str, labels: Labels) -> Iterator[None]:
    """The model of a case."""
    tables = CASES[name]
    if name in BARRED:
        change = without_choice(oracle, tables, labels)
    elif name in SOME:
        change = without_weights(oracle, tables, labels)
    else:
        change = without_outputs(oracle, tables)
    with change:
        yield


@pytest.fixture(scope="module", params=[slow_unless(name == NAMES[0], name) for name in NAMES])
def sweeps(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Variants:
    made = make_one(request.param, tmp_path_factory.mktemp(request.param))
    return Variants(made, CASES, ALONE, changed)


@pytest.mark.parametrize("m", RANKS)
def test_variants_lose_what_transformers_loses_without_the_experts(m: int, sweeps: Variants) -> None:
    sweeps.assert_losses(m)


@pytest.mark.parametrize("name", CASES)
def test_counts_are_the_choices_of_matched_tokens(name: str, sweeps: Variants) -> None:
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
                if one["action"] == "bar":
                    tokens, choices = tokens + len(rows), choices + len(rows) * len(one["experts"])
                    assert not is_theirs.any() and (weight[layer, rows] > 0).all()
                    continue
                tokens, choices = tokens + len(rows), choices + is_theirs.sum()
                assert (weight[layer, rows][is_theirs] == 0).all()
                is_of_none = ~np.isin(chosen[layer, rows], of_any)
                assert (weight[layer, rows][is_of_none] > 0).all()
        assert found["interventions/matched_tokens"][number] == tokens
        assert found["interventions/changed_activations"][number] == choices > 0
    variant = list(CASES).index(name)
    theirs = sweeps.variants(2)["variants/token_nll"][variant]
    assert found["loss/token_nll"].tobytes() == theirs.tobytes()


def test_fewer_experts_than_a_token_chooses_are_refused(sweeps: Variants) -> None:
    """By two tables together, of whichever tokens."""
    made = sweeps.made
    module = made.both.single.module
    count = next(e for e in map(experts_of, made.both.single.blocks) if e is not None).num_experts
    chosen = module.config.num_experts_per_tok
    first, *others = range(count - chosen + 1)
    tables = [table("all", [first], "all", "bar"), table("all", others, "position:0", "bar")]
    words = f"experts: expected {chosen} or more of {count} left, as many as a token chooses, found {chosen - 1}"
    with pytest.raises(AssertionError, match=words):
        made.run(1, "too-few", tables)
