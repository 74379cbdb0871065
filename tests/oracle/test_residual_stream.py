"""How the residual stream changes from layer to layer, against transformers' hidden states.

Of models whose blocks add to it in different ways: behind norms, by a factor, in parallel, with
experts, by two mixers side by side.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.event_reference import check_event_updates, check_lifecycles
from support.geometry_reference import check_geometry
from support.inner_models import InnerModel, Sweeps, make_and_sweep
from support.measured_errors import record
from support.token_files import Cut

RANKS = (1, 2, 3, 4)
NAMES = (
    "llama-5over1-tied",
    "gemma2-4over2-head24-window16",
    "olmo2-6over2-biases-tied",
    "phi-6over2-normed-queries-old",
    "gpt2-7heads-unscaled-gelu-untied",
    "granite-5over1-branches0.22-tied",
    "gpt_oss-5over1-head16-2of5-window16",
    "falcon_h1-5over1-states6of2",
)
CUT = Cut(40, "per_document")
LENGTHS = (40, 33, 5, 40, 2)
# That several tokens of a window pass, in some layers and not in others.
CRITERION = {"criterion_magnitude": 4.0, "criterion_ratio": 4.0, "max_events": 6}
LIFECYCLE = {"lifecycle": True, "lifecycle_channels": [30, 1, 4]}


class Made(InnerModel):
    def job(self, m: int, output: Path) -> dict[str, dict[str, Any]]:
        return {
            "model": {"path": str(self.directory), "dtype": "float32"},
            "corpus": {"path": str(self.directory / "corpus.h5"), **CUT.job_keys()},
            "parallel": {"tensor": m, "threads": 1, "microbatch_tokens": 160},
            "statistics": {"geometry": True, "event_updates": True, **LIFECYCLE, **CRITERION},
            "output": {"path": str(output)},
        }


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> Sweeps[Made]:
    return make_and_sweep(Made, NAMES, RANKS, tmp_path_factory.mktemp("stream"), CUT, LENGTHS)


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", NAMES)
def test_geometry(name: str, m: int, sweeps: Sweeps[Made]) -> None:
    part = check_geometry(sweeps.datasets[name, m], sweeps.made[name].inners)
    record(f"{name}-m{m}", inside="geometry", of_allowed=part)


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", NAMES)
def test_who_writes_events(name: str, m: int, sweeps: Sweeps[Made]) -> None:
    """Before, attention and MLP sum to the value; each is what transformers' branch adds there."""
    found = sweeps.datasets[name, m]
    assert len(np.unique(found["massive/layer"])) > 1
    part = check_event_updates(found, sweeps.made[name].inners)
    record(f"{name}-m{m}", inside="event_updates", of_allowed=part)


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", NAMES)
def test_lifecycles(name: str, m: int, sweeps: Sweeps[Made]) -> None:
    """Named channels of tokens with an event, at every layer, as transformers' hidden states."""
    found = sweeps.datasets[name, m]
    np.testing.assert_array_equal(found["lifecycle_channel"], sorted(LIFECYCLE["lifecycle_channels"]))
    assert 0 < len(found["tokens/row_token"]) < len(found["tokens/id"])
    part = check_lifecycles(found, sweeps.made[name].inners)
    record(f"{name}-m{m}", inside="lifecycle", of_allowed=part)
