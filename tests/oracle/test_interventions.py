"""Interventions and variants against transformers with hooks, and against themselves.

Of each case at m = 1, 2, 3: captured streams and losses agree with transformers; the first layer
that is changed has the bits that numpy makes of the unchanged sweep's; counts are numpy's. The same
interventions as variants give the same bits of loss in one run, beside the unchanged original.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from support.bounds import (
    assert_losses_round_as_transformers,
    assert_perplexities_round_as_transformers,
    assert_rounds_as_transformers,
)
from support.family_sweeps import run_jobs
from support.interventions import Labels, Means, Table, applies, intervene, intervened
from support.random_models import MASSIVE_CHANNEL, MASSIVE_IDS, MODELS, make_random, save
from support.sweeps import Sweep, assert_identical, read_attributes, read_datasets, to_toml
from support.token_files import Corpus, Cut, Window, random_corpus, write_token_file
from support.transformers_oracle import BothPrecisions, Oracle, join, losses_of

MODEL = MODELS[0]  # 80 channels, 3 layers, 5 heads
LAYERS, CHANNELS = 3, 80
DOCUMENTS = (57, 1, 0, 40, 2, 83, 39, 95, 5)
CUT = Cut(40, "per_document")
PROMPTS = {"long": 60, "odd": 41, "pair": 2}
VALUES = {"zero": {}, "value": {"value": -41.5}, "mean": {"value": 3.25}, "scale": {"value": -0.5}}
M = (1, 2, 3)


def table(layer: int | str, channels: object, tokens: str, action: str, **more: Any) -> Table:
    keys = {"layer": layer, "channels": channels, "tokens": tokens, "action": action}
    return keys | VALUES.get(action, {}) | more


def from_means(layer: int | str, channels: object, tokens: str) -> Table:
    """`job_tables` puts the path of the unchanged sweep there."""
    keys = {"layer": layer, "channels": channels, "tokens": tokens, "action": "mean"}
    return keys | {"from": "BASE"}


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


@dataclass(frozen=True)
class Inputs:
    """A checkpoint, a token file, transformers."""

    folder: Path
    model: Path
    corpus: Path
    content: Corpus
    oracles: BothPrecisions
    prompts: dict[str, np.ndarray]
    swept: dict[tuple[str, int], Path] = field(default_factory=dict)

    def job(self, name: str, m: int, tables: Sequence[Table], **sections: Any) -> dict[str, Any]:
        base = str(self.folder / f"unchanged-{m}.h5")
        tables = [t | {"from": base} if "from" in t else t for t in tables]
        job: dict[str, Any] = {
            "model": {"path": str(self.model)},
            "corpus": {"path": str(self.corpus), **CUT.job_keys()},
            "parallel": {"tensor": m, "threads": 1, "microbatch_tokens": 160},
            "statistics": {"loss": True},
            "capture": {"prompts": list(self.prompts)},
            "output": {"path": str(self.folder / f"{name}-{m}.h5"), "segment_tokens": 320},
        }
        for section, keys in sections.items():
            job[section] = job[section] | keys
        return job | {"intervention": tables}

    @cached_property
    def windows(self) -> list[Window]:
        return self.content.windows(CUT)

    def labels_of(self, prompt: str) -> Labels:
        classes = self.content.classes[self.prompts[prompt]]
        classes[0] = 0
        return Labels(classes)

    def sweep(self, program: Path, name: str, m: int) -> Path:
        """The file of a case, of "unchanged", or of "variants": all cases in one."""
        if not self.swept:
            self._sweep_all(program)
        return self.swept[name, m]

    def _sweep_all(self, program: Path) -> None:
        variants = [t | {"variant": name} for name, tables in CASES.items() for t in tables]
        of_name = {"unchanged": []} | CASES | {"variants": variants}
        for m in M:
            jobs = {}
            for name, tables in of_name.items():
                job = self.job(name, m, tables)
                path = Path(job["output"]["path"]).with_suffix(".toml")
                path.write_text(to_toml(job))
                jobs[path] = name
            for path, message in run_jobs(list(jobs), m, self.folder / "log").items():
                assert not message, message
                self.swept[jobs[path], m] = path.with_suffix(".h5")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("interventions")
    content = random_corpus(MODEL.vocabulary, DOCUMENTS, seed=6, often=MASSIVE_IDS)
    texts = random_corpus(MODEL.vocabulary, list(PROMPTS.values()), seed=7, often=MASSIVE_IDS)
    prompts = dict(zip(PROMPTS, texts.documents, strict=True))
    model = save(make_random(MODEL), MODEL, folder / "model")
    corpus = write_token_file(folder / "corpus.h5", content, prompts)
    return Inputs(folder, model, corpus, content, BothPrecisions(model), prompts)


@pytest.fixture
def means(inputs: Inputs, program: Path, m: int) -> Means:
    return Means.of(read_datasets(inputs.sweep(program, "unchanged", m)))


@pytest.mark.parametrize("m", M)
@pytest.mark.parametrize("name", IDS)
def test_streams_and_losses_agree_with_hooks(
    name: str, m: int, inputs: Inputs, program: Path, means: Means
) -> None:
    found = read_datasets(inputs.sweep(program, name, m))
    streams: list[list[np.ndarray]] = []
    likelihoods: list[list[np.ndarray]] = []
    for oracle in inputs.oracles.of_both:
        of_oracle = hooked(oracle, CASES[name], inputs, means)
        streams.append(of_oracle[0])
        likelihoods.append(of_oracle[1])
    exact, single = streams
    mine = [found[f"capture/{prompt}/residual"] for prompt in inputs.prompts]
    assert_rounds_as_transformers(name, mine, single, exact)
    ids = [window.ids for window in inputs.windows]
    losses = join(map(losses_of, ids, *likelihoods))
    assert_losses_round_as_transformers(found["loss/token_nll"], losses)
    attributes = read_attributes(inputs.sweep(program, name, m))["loss/token_nll"]
    assert_perplexities_round_as_transformers(attributes, losses)


def hooked(
    oracle: Oracle, tables: Sequence[Table], inputs: Inputs, means: Means
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """transformers' streams of the prompts, and log-likelihoods [T - 1, V] of the windows."""
    streams, likelihoods = [], []
    for prompt, ids in inputs.prompts.items():
        with intervened(oracle.blocks, tables, inputs.labels_of(prompt), means):
            streams.append(oracle.residual(ids))
    for number, window in enumerate(inputs.windows):
        with intervened(oracle.blocks, tables, Labels(window.classes, number), means):
            likelihoods.append(oracle.log_likelihoods(window.ids))
    return streams, likelihoods


@pytest.mark.parametrize("m", M)
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


@pytest.mark.parametrize("m", M)
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


@pytest.mark.parametrize("m", M)
def test_variants_have_the_bits_of_sweeps_of_their_own(
    m: int, inputs: Inputs, program: Path
) -> None:
    path = inputs.sweep(program, "variants", m)
    found, attributes = read_datasets(path), read_attributes(path)["/"]
    assert attributes["variants"] == str(IDS).replace("'", '"').replace(", ", ",")
    assert "intervention" not in attributes
    assert found["variants/token_nll"].shape == (len(IDS), found["loss/token_nll"].size)
    for number, name in enumerate(IDS):
        own_path = inputs.sweep(program, name, m)
        own = read_datasets(own_path)
        for column in ("token_nll", "nll_sum", "target_count", "window_mean_sum", "window_count"):
            mine, theirs = found[f"variants/{column}"][number], own[f"loss/{column}"]
            assert mine.tobytes() == theirs.tobytes(), (name, column)
        for column in ("matched_tokens", "changed_activations"):
            assert found[f"variants/{column}"][number] == own[f"interventions/{column}"].sum()
        loss = read_attributes(own_path)["loss/token_nll"]
        for column in ("perplexity", "windows_perplexity"):
            assert found[f"variants/{column}"][number] == loss[column], name
    unchanged = read_datasets(inputs.sweep(program, "unchanged", m))
    for name, values in unchanged.items():
        assert found[name].tobytes() == values.tobytes(), name
    nll = found["variants/token_nll"]
    assert len({row.tobytes() for row in (*nll, found["loss/token_nll"])}) == len(IDS) + 1


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
