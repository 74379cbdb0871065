"""Models of which some layers have another mixer than attention: there queries, keys, values and heads
are absent, and what is measured of attention is 0; elsewhere all of it equals what transformers
computes, behind the gate of the heads' outputs too.

Tensors of transformers come from hooks (support/inner_oracle), statistics of them from numpy.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoConfig

from support.attention_reference import KeySet, attention_references, class_first
from support.bounds import Reference, assert_near
from support.compatibility import Compatibility
from support.family_sweeps import run_jobs
from support.inner_models import InnerModel, Sweeps, make_and_sweep
from support.inner_oracle import InBoth, Inner
from support.inner_references import assert_site, head_square_references
from support.measured_errors import record
from support.random_models import MODELS, make_random, save
from support.second_look_reference import check_extrema, check_received
from support.sweeps import to_toml
from support.token_files import Cut, random_corpus, write_token_file

RANKS = (1, 3)
NAMES = (
    "qwen3_next-5over1-head24-delta3over6-2of6",
    "qwen3_5_text-3over3-delta2over6-linear-bfloat16",
    "lfm2-5over1-3taps-untied",
    "nemotron_h-5over1-head16-states6of2-dense",
)
CUT = Cut(80, "per_document")
LENGTHS = (80, 33, 70, 5, 80, 2, 64)
SETS = ("position:0", "class:delimiter:first", "class:other:first")
OF_ATTENTION = ("query", "key", "value", "attention_heads")
NOTHING = {
    "scores/largest": -np.inf, "scores/query_position": -1, "scores/key_position": -1,
}  # fmt: skip
OF_MIXERS, OF_MLPS = ("attention_input", "attention_output"), ("mlp_input", "mlp_output")
OF_ALL = (*OF_MIXERS, *OF_MLPS)
PROMPT = 37  # tokens of the captured prompt


class Made(InnerModel):
    @property
    def kinds(self) -> list[str]:
        return AutoConfig.from_pretrained(self.directory).layer_types

    @property
    def layers(self) -> list[int]:
        """Those with attention, in the numbers of the file."""
        return [layer + 1 for layer, kind in enumerate(self.kinds) if kind == "full_attention"]

    def layers_with(self, site: str) -> list[int]:
        """A block has a mixer and an MLP; where kinds of MLPs are named, one of them."""
        has_one = "mlp" in self.kinds
        wanted = ("mlp",) if site in OF_MLPS else ("linear_attention", "full_attention")
        return [i + 1 for i, kind in enumerate(self.kinds) if not has_one or kind in wanted]

    def job(self, m: int, output: Path) -> dict[str, dict[str, Any]]:
        sites = ["residual", *OF_ATTENTION, *OF_ALL]
        return {
            "model": {"path": str(self.directory), "dtype": "float32"},
            "corpus": {"path": str(self.directory / "corpus.h5"), **CUT.job_keys()},
            "parallel": {"tensor": m, "threads": 1, "microbatch_tokens": 240},
            "statistics": {"sites": sites, "attention": list(SETS), "attention_received": True,
                           "score_extrema": True, "value_updates": True, "query_key": True},
            "capture": {"prompts": ["prompt"], "attention": True, "sites": sites},
            "output": {"path": str(output)},
        }  # fmt: skip


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> Sweeps[Made]:
    folder = tmp_path_factory.mktemp("hybrids")
    return make_and_sweep(Made, NAMES, RANKS, folder, CUT, LENGTHS, prompt=PROMPT)


def is_of_attention(path: str) -> bool:
    groups = ("attention/", "attention_received/", "scores/", "value_update/", "qk/")
    return path.startswith((*groups, *(f"{s}/" for s in OF_ATTENTION)))


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", NAMES)
def test_layers_without_attention_have_none_of_it(name: str, m: int, sweeps: Sweeps[Made]) -> None:
    made, datasets = sweeps.made[name], sweeps.datasets[name, m]
    others = [i for i in range(len(datasets["residual/count"])) if i not in made.layers]
    assert len(others) > 1
    paths = [path for path in datasets if is_of_attention(path)]
    assert len(paths) > 70
    for path in paths:
        if path.endswith(("top_channel", "top_position")):  # of values that are NaN
            continue
        values = datasets[path][others]
        is_row = path.split("/")[1].startswith(("token_", "sequence_", "top_")) and values.dtype.kind == "f"
        nothing = NOTHING.get(path, 0)
        assert np.isnan(values).all() if is_row else (values == nothing).all(), path
    for site in (*OF_ATTENTION, "attention", "attention_logit"):
        assert np.isnan(datasets[f"capture/prompt/{site}"][others]).all(), site


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", NAMES)
def test_sites(name: str, m: int, sweeps: Sweeps[Made]) -> None:
    """Of attention where it is; of mixers and MLPs where a layer has them, and absent elsewhere."""
    made, datasets = sweeps.made[name], sweeps.datasets[name, m]
    here = of_layers(datasets, made.layers)
    for site in OF_ATTENTION:
        part = assert_site(here, site, made.inners, made.classes)
        record(f"{name}-m{m}", inside=site, of_allowed=part)
    for site in OF_ALL:
        layers = [0, *made.layers_with(site)]
        of_site = {path: x for path, x in datasets.items() if path.startswith(f"{site}/")}
        of_layers_with = {path: x[layers] for path, x in of_site.items()}
        part = assert_site(of_layers_with, site, made.inners, made.classes)
        record(f"{name}-m{m}", inside=site, of_allowed=part)
        elsewhere = np.setdiff1d(np.arange(len(of_site[f"{site}/count"])), layers)
        assert (of_site[f"{site}/count"][elsewhere] == 0).all()
        assert np.isnan(of_site[f"{site}/token_norm"][elsewhere]).all()


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", NAMES)
def test_attention_and_value_updates(name: str, m: int, sweeps: Sweeps[Made]) -> None:
    made = sweeps.made[name]
    here = of_layers(sweeps.datasets[name, m], made.layers)
    sets: list[KeySet] = [
        lambda _window, _layer: [0],
        *(class_first(made.windows, name) for name in ("delimiter", "other")),
    ]
    inners = with_outputs_of_attention(made)
    expected = attention_references(inners, sets, [None] * len(made.layers))
    assert expected.keys() == {p for p in here if p.startswith(("attention/", "value_update/"))}
    parts = [assert_near(path, here[path], values) for path, values in expected.items()]
    record(f"{name}-m{m}", inside="attention", of_allowed=max(parts))
    part = check_received(here, inners, [None] * len(made.layers))
    record(f"{name}-m{m}", inside="attention_received", of_allowed=part)
    part = check_extrema(here, inners, [None] * len(made.layers))
    record(f"{name}-m{m}", inside="score_extrema", of_allowed=part)
    for site in ("query", "key"):
        path = f"qk/rotated_{site}_square_sum"
        part = assert_near(path, here[path], head_square_references(made.inners, site))
        record(f"{name}-m{m}", inside="query_key", of_allowed=part)


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", NAMES)
def test_captured_attention(name: str, m: int, sweeps: Sweeps[Made]) -> None:
    made = sweeps.made[name]
    found = sweeps.datasets[name, m]["capture/prompt/attention"]
    (exact,), (single,) = made.prompt.exact, made.prompt.single
    for layer, pair in zip(made.layers, zip(exact.attention, single.attention, strict=True), strict=True):
        theirs, rounded = (attention.probability[None] for attention in pair)
        error = np.abs(rounded - theirs)
        assert_near("probability", found[None, layer], Reference(theirs, error, theirs))


def of_layers(datasets: dict[str, np.ndarray], layers: list[int]) -> dict[str, np.ndarray]:
    """What is of attention, in the embedding's layer and in those with attention."""
    return {path: x[[0, *layers]] for path, x in datasets.items() if is_of_attention(path)}


def with_outputs_of_attention(made: Made) -> InBoth:
    """The attention output of the layers with attention alone."""

    def kept(inner: Inner) -> Inner:
        outputs = inner.sites["attention_output"]
        of_mixers = dict(zip(made.layers_with("attention_output"), outputs, strict=True))
        return replace(inner, sites={"attention_output": [of_mixers[layer] for layer in made.layers]})

    inners = made.inners
    exact, single, *more = (
        [kept(inner) for inner in of] for of in (inners.exact, inners.single, *inners.more)
    )
    return InBoth(exact, single, more)


LOOKS_INTO_ATTENTION = {
    "statistics.sites": ["query"],
    "statistics.attention": ["position:0"],
    "statistics.query_key": True,
    "capture.attention": True,
}


def test_without_any_attention_what_looks_into_it_is_refused(
    tmp_path: Path, compatibility: Compatibility
) -> None:
    model = next(model for model in MODELS if model.name == NAMES[0])
    config = {**model.config, "layer_types": ["linear_attention"] * 4}
    directory = save(make_random(replace(model, config=config)), model, tmp_path / "model")
    corpus = random_corpus(model.vocabulary, [40])
    path = write_token_file(tmp_path / "corpus.h5", corpus, {"p": corpus.documents[0]})
    for key, value in LOOKS_INTO_ATTENTION.items():
        job: dict[str, dict[str, Any]] = {
            "model": {"path": str(directory)},
            "corpus": {"path": str(path), "sequence_length": 20},
            "parallel": {"threads": 1},
            "capture": {"prompts": ["p"]},
            "output": {"path": str(tmp_path / f"{key}.h5")},
        }
        section, name = key.split(".")
        job.setdefault(section, {})[name] = value
        job_path = tmp_path / f"{key}.toml"
        job_path.write_text(to_toml(job))
        message = run_jobs([job_path], 1, tmp_path / "sweeps.log")[job_path]
        assert "qwen3_next has no layer with softmax attention" in message
        what = f"a model without softmax attention: `[{section}] {name} = {json.dumps(value)}`"
        compatibility("Jobs and launches", what, "refused", message)
