"""Scores of all queries on some keys to which an intervention adds a number, against transformers.

transformers' eager attention gets the number in its mask. At m = 1, 2, 3, 4, with resident and with streamed
weights; windows of queries, caps and sinks; heads that share keys; latent attention.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

from support.interventions import Labels, Table, applies, matched_tokens
from support.site_cases import Cases, Variants, at, make_one
from support.slow_cases import slow_unless
from support.transformers_oracle import Oracle

RANKS = (1, 2, 3, 4)
NAMES = (
    "gemma2-4over2-head24-window16",
    "gpt_oss-5over1-head16-2of5-window16",
    "deepseek_v2-6-3of9-2of3groups-biases-bfloat16",
)


def shift(layer: int | str, tokens: str, value: float, **heads: Any) -> Table:
    return at("key", layer, tokens, "shift", value=value, **(heads or {"channels": "all"}))


CASES: Cases = {
    "first": [shift(2, "position:0", -3.5)],
    "everywhere": [shift("all", "class:delimiter:first", 2.0)],
    "hidden": [shift("all", "position:1", -1e4)],
    "head": [shift(1, "position:0", 1.25, heads=[0])],
    "several": [
        shift(2, "position:0", 1.5), shift("all", "position:0", -0.5, heads=[0]),
        at("key", 2, "all", "scale", value=0.5, channels="all"), shift(1, "all", 2.0),
    ],
}  # fmt: skip
ALONE = [name for name in CASES if name != "several"]


@contextmanager
def shifted(oracle: Oracle, name: str, labels: Labels) -> Iterator[None]:
    family = sys.modules[type(oracle.blocks[0]).__module__]
    eager = family.eager_attention_forward
    mine = set(oracle.module.modules())  # the other precision's model is of the same family

    def forward(module: Any, query: torch.Tensor, key: torch.Tensor, value: Any, mask: torch.Tensor,
                *more: Any, **named: Any) -> Any:  # fmt: skip
        added = torch.zeros(query.shape[1], 1, key.shape[2], dtype=mask.dtype)
        each = query.shape[1] // key.shape[1]
        for table in CASES[name]:
            if module in mine and applies(table, module.layer_idx + 1, len(oracle.blocks), "key"):
                heads = table.get("heads", range(key.shape[1]))
                tokens = matched_tokens(table, np.zeros((key.shape[2], 1)), labels.classes)
                for head in heads:
                    added[head * each : (head + 1) * each, 0, tokens] += table["value"]
        return eager(module, query, key, value, mask + added, *more, **named)

    family.eager_attention_forward = forward
    try:
        yield
    finally:
        family.eager_attention_forward = eager


@pytest.fixture(scope="module", params=[slow_unless(name == NAMES[1], name) for name in NAMES])
def sweeps(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Variants:
    made = make_one(request.param, tmp_path_factory.mktemp(request.param))
    return Variants(made, CASES, ALONE, shifted)


@pytest.mark.parametrize("m", RANKS)
def test_variants_lose_what_transformers_loses_by_its_mask(m: int, sweeps: Variants) -> None:
    sweeps.assert_losses(m)


@pytest.mark.parametrize("name", CASES)
def test_counts_are_the_keys_of_matched_tokens_and_a_sweep_loses_what_its_variant_does(
    name: str, sweeps: Variants
) -> None:
    made = sweeps.made
    found = sweeps.run(2, f"own-{name}", CASES[name])
    config = made.both.single.module.config
    layers, keys = config.num_hidden_layers, config.num_key_value_heads
    for number, one in enumerate(CASES[name]):
        if one["action"] != "shift":
            continue
        of_windows = [matched_tokens(one, np.zeros((len(w.ids), 1)), w.classes) for w in made.windows]
        tokens = sum(map(len, of_windows)) * sum(applies(one, n, layers, "key") for n in range(1, layers + 1))
        assert found["interventions/matched_tokens"][number] == tokens > 0
        heads = len(one["heads"]) if "heads" in one else keys
        assert found["interventions/changed_activations"][number] == heads * tokens
    variant = list(CASES).index(name)
    theirs = sweeps.variants(2)["variants/token_nll"][variant]
    assert found["loss/token_nll"].tobytes() == theirs.tobytes()


def test_attention_by_shifted_scores_is_not_measured(sweeps: Variants) -> None:
    for keys in ({"attention": ["position:0"]}, {"attention_received": True}, {"score_extrema": True}):
        with pytest.raises(AssertionError, match="follows from the model's own scores: expected a variant"):
            sweeps.made.run(1, "measured", CASES["first"], statistics=keys)
