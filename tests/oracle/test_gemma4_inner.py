"""Inside Gemma 4's layers: the sites beside its heads of two sizes, and experts that are normed apart from
the dense MLP, equal what transformers computes.

Tensors of transformers come from hooks (support/inner_oracle), statistics of them from numpy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.bounds import Reference, assert_near
from support.inner_models import InnerModel, Sweeps, make_and_sweep
from support.inner_references import assert_expert_rows, assert_site
from support.token_files import Cut

RANKS = (1, 3)
ROUTED = "gemma4_text-5over5-head12-full20-window16-2of6-keys-and-values-untied"
NAMES = (
    "gemma4_text-4over2-head16-full24over1-window13-capped-tied", ROUTED,
    "gemma4_text-5over5-full20-inputs7-shared2of5-untied",
)  # fmt: skip
CUT = Cut(80, "per_document")
LENGTHS = (80, 33, 70, 5, 80, 2, 64)
SITES = (
    "attention_input", "attention_output", "mlp_input", "gate", "up", "mlp_hidden", "mlp_output",
    "final_norm",
)  # fmt: skip


class Made(InnerModel):
    def job(self, m: int, output: Path) -> dict[str, dict[str, Any]]:
        is_routed = self.model.name == ROUTED
        return {
            "model": {"path": str(self.directory), "dtype": "float32"},
            "corpus": {"path": str(self.directory / "corpus.h5"), **CUT.job_keys()},
            "parallel": {"tensor": m, "threads": 1, "microbatch_tokens": 240},
            "statistics": {
                "sites": ["residual", *SITES],
                **dict.fromkeys(("experts", "expert_inputs", "quantisation"), is_routed),
            },
            "output": {"path": str(output)},
        }


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> Sweeps[Made]:
    return make_and_sweep(Made, NAMES, RANKS, tmp_path_factory.mktemp("gemma4"), CUT, LENGTHS)


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", NAMES)
def test_sites(name: str, m: int, sweeps: Sweeps[Made]) -> None:
    made, datasets = sweeps.made[name], sweeps.datasets[name, m]
    for site in SITES:
        assert_site(datasets, site, made.inners, made.classes)


@pytest.mark.parametrize("m", RANKS)
def test_experts(m: int, sweeps: Sweeps[Made]) -> None:
    """Tokens of each expert, its largest output, and its inputs, which have a norm of their own."""
    made, datasets = sweeps.made[ROUTED], sweeps.datasets[ROUTED, m]
    layers = len(datasets["experts/token_count"]) - 1
    exact, single = made.inners.exact, made.inners.single
    counts, rounded = (
        np.stack([sum(inner.expert_counts[i] for inner in of) for i in range(layers)])
        for of in (exact, single)
    )
    np.testing.assert_array_equal(rounded, counts)  # no near tie of a router
    np.testing.assert_array_equal(datasets["experts/token_count"][1:], counts)
    theirs, rounded = (
        np.stack([np.max([inner.expert_largest[i] for inner in of], axis=0) for i in range(layers)])
        for of in (exact, single)
    )
    error = np.abs(rounded - theirs).max(axis=1, keepdims=True)
    found = datasets["experts/max_output"][1:]
    assert_near("experts/max_output", found, Reference(theirs, error + 0 * theirs, theirs))
    for part in ("input", "hidden"):
        for layer in range(layers):
            assert_expert_rows(datasets, made.inners, part, layer)
