"""What Gemma 4 E2B and E4B have: inputs of each layer's own, layers with the keys and values of an earlier
one. Streams and losses with interventions before, between and behind the layers that give keys agree with
transformers' with hooks; as variants of one sweep they have the same bits; so has every arrangement.

Without interventions oracle.families compares them, in every configuration.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.intervened_sweeps import (
    RANKS,
    Inputs,
    assert_as_hooks,
    assert_variants_are_sweeps_of_their_own,
    make_inputs,
    table,
)
from support.interventions import Table
from support.random_models import MASSIVE_CHANNEL, MODELS
from support.sweeps import Sweep, assert_identical

(MODEL,) = (m for m in MODELS if m.name == "gemma4_text-4over1-full24-inputs12-shared3of6-wide-tied")
# Layer 2 gives its keys and values to layers 4 and 6, layer 3 to layer 5.
CASES: dict[str, list[Table]] = {
    "at-the-embedding": [table(0, [MASSIVE_CHANNEL, 3], "position:0", "value")],
    "before": [table(1, "all", "position:1", "scale")],
    "between": [table(2, [MASSIVE_CHANNEL, 5], "argmax", "value")],
    "behind": [table(3, "all", "position:2", "scale")],
    "among-those-that-take": [table(5, [MASSIVE_CHANNEL], "all", "zero")],
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return make_inputs(MODEL, tmp_path_factory.mktemp("layer_inputs"), CASES)


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", CASES)
def test_streams_and_losses_agree_with_hooks(name: str, m: int, inputs: Inputs, program: Path) -> None:
    assert_as_hooks(inputs.sweep(program, name, m), inputs, name)


@pytest.mark.parametrize("m", RANKS)
def test_variants_have_the_bits_of_sweeps_of_their_own(m: int, inputs: Inputs, program: Path) -> None:
    assert_variants_are_sweeps_of_their_own(inputs, program, m)


@pytest.mark.parametrize(
    ("m", "replicas", "block", "weights"),
    [(1, 1, 160, "streamed"), (1, 2, 320, "resident"), (2, 2, 160, "streamed")],
)
def test_file_is_identical_for_any_arrangement(
    m: int, replicas: int, block: int, weights: str, inputs: Inputs, program: Path
) -> None:
    tables = [one | {"variant": name} for name, tables in CASES.items() for one in tables]
    keys = {"block_tokens": block, "weights": weights}
    output = {"path": str(inputs.folder / f"arranged-{m}-{replicas}-{weights}.h5")}
    job = inputs.job("arranged", m, tables, parallel=keys, output=output)
    assert_identical(inputs.sweep(program, "variants", m), Sweep(program, job, m * replicas).run())
