"""Interventions and variants against transformers with hooks, and against themselves.

Of each case at m = 1, 2, 3: captured streams and losses agree with transformers; the first layer
that is changed has the bits that numpy makes of the unchanged sweep's; counts are numpy's. The same
interventions as variants give the same bits of loss in one run, beside the unchanged original.
"""

from __future__ import annotations

from collections.abc import Sequence

import h5py
import numpy as np
import pytest

from support.intervened_sweeps import (
    RANKS,
    Inputs,
    assert_as_hooks,
    assert_variants_are_sweeps_of_their_own,
    from_means,
    make_inputs,
    table,
)
from support.interventions import Labels, Means, Table, applies, intervene
from support.random_models import MASSIVE_CHANNEL, MODELS
from support.sweeps import Sweep, assert_identical, read_attributes, read_datasets

MODEL = MODELS[0]  # 80 channels, 3 layers, 5 heads
LAYERS, CHANNELS = 3, 80

# Every selector, every choice of channels, every action; several at once, at one layer and at many.
CASES: dict[str, list[Table]] = {
    "zero-position": [table(1, [MASSIVE_CHANNEL, 3], "position:0", "zero")],
    "value-argmax": [table(2, [MASSIVE_CHANNEL], "argmax", "value")],
    "value-argmax-of-all": [table(0, "all", "argmax", "value")],
    "scale-delimiter": [table(1, [0, 79, 11], "class:delimiter:first", "scale")],
    "mean-weak-semantic": [table(3, [5], "class:weak_semantic:first", "mean")],
    "value-other": [table(1, [1, 2], "class:other:first", "value")],
    "scale-all": [table(2, "all", "all", "scale")],
    "mean-from": [from_means(1, [MASSIVE_CHANNEL, 8], "all")],
    "mean-from-everywhere": [from_means("all", [MASSIVE_CHANNEL], "argmax")],
    "noise": [from_means(1, [MASSIVE_CHANNEL, 8], "all") | {"action": "noise"}],
    "noise-everywhere": [from_means("all", "all", "position:2") | {"action": "noise", "seed": 7}],
    "median": [table(1, "median", "all", "value")],
    "median-5": [table(0, "median", "argmax", "zero", count=5)],
    "random": [table(1, "random", "all", "value")],
    "random-everywhere": [table("all", "random", "position:7", "zero", count=7, seed=12345)],
    "several": [
        table(1, [MASSIVE_CHANNEL], "argmax", "zero"),
        table(1, [MASSIVE_CHANNEL], "argmax", "value"),
        from_means(2, "all", "position:3"),
        table("all", [9, 4], "position:1", "scale"),
    ],
}  # fmt: skip
IDS = list(CASES)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return make_inputs(MODEL, tmp_path_factory.mktemp("interventions"), CASES)


@pytest.fixture
def means(inputs: Inputs, program: Path, m: int) -> Means:
    return Means.of(read_datasets(inputs.sweep(program, "unchanged", m)))


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", IDS)
def test_streams_and_losses_agree_with_hooks(
    name: str, m: int, inputs: Inputs, program: Path, means: Means
) -> None:
    assert_as_hooks(inputs.sweep(program, name, m), inputs, name, means)


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", IDS)
def test_first_changed_layer_has_the_bits_of_numpy(
    name: str, m: int, inputs: Inputs, program: Path, means: Means
) -> None:
    """On actsweep's own captured streams, so that selections can be compared exactly."""
    unchanged = read_datasets(inputs.sweep(program, "unchanged", m))
    found = read_datasets(inputs.sweep(program, name, m))
    first = min(0 if t["layer"] == "all" else t["layer"] for t in CASES[name])
    changes = 0
    for prompt in inputs.prompts:
        mine, theirs = (d[f"capture/{prompt}/residual"] for d in (found, unchanged))
        assert mine[:first].tobytes() == theirs[:first].tobytes()
        x = theirs[first]
        for one in CASES[name]:
            if applies(one, first, LAYERS):
                x, _, _ = intervene(one, first, x, inputs.labels_of(prompt), means)
        assert mine[first].tobytes() == x.tobytes(), prompt
        changes += (x != theirs[first]).sum()
    assert changes > 0


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", IDS)
def test_counts_and_attribute(name: str, m: int, inputs: Inputs, program: Path) -> None:
    path = inputs.sweep(program, name, m)
    found = read_datasets(path)
    for number, one in enumerate(CASES[name]):
        tokens = activations = 0
        times = LAYERS if one["layer"] == "all" else 1
        one = one | {"from": "", "action": "zero"}
        for window in inputs.windows:
            # Which token it is depends on the stream, how many do not.
            x = np.zeros((len(window.ids), CHANNELS), np.float32)
            _, matched, changed = intervene(one, 0, x, Labels(window.classes))
            tokens, activations = tokens + times * matched, activations + times * changed
        assert found["interventions/matched_tokens"][number] == tokens > 0
        assert found["interventions/changed_activations"][number] == activations > 0
    with h5py.File(path) as file:
        text = file.attrs["intervention"]
        assert text.count("[[intervention]]") == len(CASES[name])
        assert f'tokens = "{CASES[name][0]["tokens"]}"' in text and str(inputs.folder) not in text
        assert "variants" not in file.attrs and "variants" not in file
    assert "intervention" not in read_attributes(inputs.sweep(program, "unchanged", m))["/"]


@pytest.mark.parametrize("m", RANKS)
def test_variants_have_the_bits_of_sweeps_of_their_own(
    m: int, inputs: Inputs, program: Path
) -> None:
    attributes = read_attributes(inputs.sweep(program, "variants", m))["/"]
    assert attributes["variants"] == str(IDS).replace("'", '"').replace(", ", ",")
    assert "intervention" not in attributes
    assert_variants_are_sweeps_of_their_own(inputs, program, m)


BASE_CASE = "scale-delimiter"  # an intervention on the sweep itself, beside variants
MIXED = [
    *({"variant": "a"} | one for one in CASES["value-argmax"]),
    *CASES[BASE_CASE],
    *({"variant": "b"} | one for one in CASES["zero-position"]),
]


@pytest.mark.parametrize("per_token", ["massive", "none"])
@pytest.mark.parametrize("m", [1, 2])
def test_variants_follow_interventions_on_the_sweep_and_per_token(
    m: int, per_token: str, inputs: Inputs, program: Path
) -> None:
    """A variant has the sweep's own interventions too, in the order of the file."""

    def run(name: str, tables: Sequence[Table]) -> dict[str, np.ndarray]:
        sections = {
            "output": {
                "path": str(inputs.folder / f"{name}-{per_token}-{m}.h5"), "per_token": per_token,
            },
            "statistics": {"criterion_magnitude": 3.0, "criterion_ratio": 4.0},
        }  # fmt: skip
        return read_datasets(Sweep(program, inputs.job(name, m, tables, **sections), m).run())

    found = run("mixed", MIXED)
    original = run("mixed-original", CASES[BASE_CASE])
    assert found["loss/nll_sum"] == original["loss/nll_sum"]
    for number, without in enumerate(("b", "a")):
        own = [t for t in MIXED if t.get("variant") != without]
        own = run(f"mixed-{number}", [{k: t[k] for k in t if k != "variant"} for t in own])
        assert found["variants/nll_sum"][number] == own["loss/nll_sum"]
        assert own["loss/nll_sum"] != original["loss/nll_sum"]
        if per_token == "none":
            assert "variants/token_nll" not in found
            continue
        # Rows are those of the original's events.
        kept = np.isin(found["tokens/row_token"], own["tokens/row_token"])
        theirs = np.isin(own["tokens/row_token"], found["tokens/row_token"])
        assert 0 < kept.sum() and len(found["tokens/row_token"]) < len(found["tokens/id"])
        mine = found["variants/token_nll"][number][kept]
        assert mine.tobytes() == own["loss/token_nll"][theirs].tobytes()


@pytest.mark.parametrize(
    ("m", "replicas", "block", "weights"),
    [(1, 1, 160, "streamed"), (1, 2, 320, "resident"), (2, 2, 160, "streamed")],
)
def test_file_is_identical_for_any_arrangement(
    m: int, replicas: int, block: int, weights: str, inputs: Inputs, program: Path
) -> None:
    for name, tables in {"random": CASES["random"], "mixed": MIXED}.items():
        paths = []
        for keys in ({}, {"block_tokens": block, "weights": weights}):
            number = replicas if keys else 1
            output = str(inputs.folder / f"arranged-{name}-{m}-{number}-{block}-{weights}{len(keys)}.h5")
            sections = {"parallel": keys, "output": {"path": output}}
            paths.append(Sweep(program, inputs.job(name, m, tables, **sections), m * number).run())
        assert_identical(*paths)
