"""One weight of a down projection that an intervention changes, against transformers with that weight.

As variants, at m = 1, 2, 3, 4, with resident and with streamed weights; the original beside them has the
bits of a sweep without interventions, and a sweep with the same weight the bits of its variant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pytest
import torch

from support.bounds import assert_losses_round_as_transformers
from support.changed_sites import SHARED
from support.inner_oracle import DOWN_PROJECTION, MLP, part_of
from support.interventions import Table
from support.site_cases import Sweeps, make_one
from support.slow_cases import slow_unless
from support.transformers_oracle import Oracle, join

RANKS = (1, 2, 3, 4)
NAMES = (
    "llama-5over1-tied",
    "gpt2-7heads-unscaled-gelu-untied",
    pytest.param("deepseek_v2-6-3of9-2of3groups-biases-bfloat16", marks=pytest.mark.slow),
)


def weight(layer: int, row: int, column: int, action: str, **more: Any) -> Table:
    return {"layer": layer, "weight": "down", "row": row, "column": column, "action": action} | more


# Large enough that a change that is missing, or of another weight, shows.
CASES: dict[str, list[Table]] = {
    "value": [weight(1, 3, 0, "value", value=6.0)],
    "last": [weight(3, 0, 27, "value", value=-9.0)],
    "scale": [weight(2, 7, 11, "value", value=4.0), weight(2, 7, 11, "scale", value=-2.0)],
    "several": [weight(1, 5, 13, "value", value=5.0), weight(2, 5, 14, "value", value=5.0),
                weight(2, 6, 14, "zero")],
}  # fmt: skip


def down_of(block: torch.nn.Module) -> tuple[torch.Tensor, bool]:
    """A block's down projection, and whether it is [out, in]."""
    mlp = part_of(block, MLP)
    module = part_of(part_of(mlp, SHARED) or mlp, DOWN_PROJECTION)
    return module.weight.data, not hasattr(module, "nx")


@contextmanager
def with_weights(oracle: Oracle, tables: Sequence[Table]) -> Iterator[None]:
    with ExitStack() as stack, torch.no_grad():
        for table in tables:
            values, is_usual = down_of(oracle.blocks[table["layer"] - 1])
            place = (table["row"], table["column"]) if is_usual else (table["column"], table["row"])
            stored = values[place].clone()
            stack.callback(values.__setitem__, place, stored)
            changed = {"zero": 0, "value": table.get("value"), "scale": stored * table.get("value", 1)}
            values[place] = changed[table["action"]]
        yield


@pytest.fixture(scope="module", params=NAMES)
def sweeps(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sweeps:
    return Sweeps(make_one(request.param, tmp_path_factory.mktemp(request.param)), CASES)


@pytest.mark.parametrize("m", [slow_unless(m in (1, 4), m) for m in RANKS])
def test_variants_lose_what_transformers_with_the_weight_loses(m: int, sweeps: Sweeps) -> None:
    made = sweeps.made
    found = sweeps.variants(m)
    ends = np.cumsum([len(window.ids) for window in made.windows])
    for number, (name, tables) in enumerate(CASES.items()):
        with ExitStack() as stack:
            for oracle in made.both.of_both:
                stack.enter_context(with_weights(oracle, tables))
            passes = [made.both.run_with_losses(window.ids) for window in made.windows]
        of_windows = np.split(found["variants/token_nll"][number], ends[:-1])
        kept = [i for i, window in enumerate(passes) if window.is_sure.all()]
        assert len(kept) > 0.7 * len(made.windows), name
        print(name, end=": ")
        losses = join(passes[i].losses for i in kept)
        assert_losses_round_as_transformers(np.concatenate([of_windows[i] for i in kept]), losses)
        tokens = sum(len(window.ids) for window in made.windows)
        assert found["variants/matched_tokens"][number] == tokens * len(tables)
        assert found["variants/changed_activations"][number] == tokens * len(tables)
    rows = [*found["variants/token_nll"], found["loss/token_nll"]]
    assert len({row.tobytes() for row in rows}) == len(rows)
    streamed = sweeps.variants(m, "streamed", parallel={"weights": "streamed", "block_tokens": 160})
    for dataset, values in found.items():
        assert values.tobytes() == streamed[dataset].tobytes(), dataset


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("m", [slow_unless(m == 3, m) for m in (1, 3)])
def test_the_original_stays_and_a_sweep_of_its_own_has_the_variants_bits(
    m: int, dtype: str, sweeps: Sweeps
) -> None:
    model = {"model": {"dtype": dtype}}
    variants = sweeps.variants(m, f"variants-{dtype}", **model)
    plain = sweeps.run(m, f"plain-{dtype}", [], **model)
    for name, values in plain.items():
        assert values.tobytes() == variants[name].tobytes(), name
    for number, (name, tables) in enumerate(CASES.items()):
        own = sweeps.run(m, f"{name}-{dtype}", tables, **model)
        assert own["loss/token_nll"].tobytes() == variants["variants/token_nll"][number].tobytes(), name
        for prompt in ("long", "odd"):
            first = min(table["layer"] for table in tables)
            mine, theirs = (each[f"capture/{prompt}/residual"] for each in (own, plain))
            assert mine[:first].tobytes() == theirs[:first].tobytes()
            rows = sorted({table["row"] for table in tables if table["layer"] == first})
            is_other = (mine[first] != theirs[first]).any(axis=0)
            assert set(np.flatnonzero(is_other)) <= set(rows) and is_other.any(), name
