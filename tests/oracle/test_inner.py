"""Inside the layers: every site, attention and value updates equal what transformers computes.

Tensors of transformers come from hooks (support/inner_oracle), statistics of them from numpy. At m =
1, 2, 3, 4; the fields are also held against each other over m. `pytest -k NAME` makes and sweeps
only what it selects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from transformers import AutoConfig

import actsweep
from actsweep.export import export_llm_compressor
from actsweep.linear_layers import linear_layers
from support.attention_reference import (
    Chunk,
    KeySet,
    Learned,
    attention_references,
    class_first,
    visible,
)
from support.bounds import TIMES, Reference, assert_near
from support.family_sweeps import run_jobs
from support.inner_models import InnerModel, make
from support.inner_oracle import InBoth, LayerAttention
from support.inner_references import (
    assert_expert_rows,
    assert_site,
    head_square_references,
    rows_of_site,
    square_reference,
)
from support.measured_errors import record
from support.measured_windows import Measured, Options
from support.number_formats import FORMATS
from support.second_look_reference import check_extrema, check_received
from support.statistics_reference import REFERENCES, compare
from support.sweeps import is_inner, read_datasets, schema, to_toml
from support.token_files import Cut

RANKS = (1, 2, 3, 4)
NAMES = (
    "llama-5over1-tied",
    "mistral-10over5-window16",
    "qwen3-6over3-head20-biases-upper-window13",
    "gemma2-4over2-head24-window16",
    "phi-6over2-normed-queries-old",
    "olmo2-6over2-biases-tied",
    "gpt2-7heads-unscaled-gelu-untied",
    "gpt_oss-5over1-head16-2of5-window16",
    "mixtral-5over1-2of5",
    "llama4_text-4over2-dense-chunks16",
    "falcon_h1-6over2-head24-states8of4-norm-biases-tied-old",
)
# `make test-slow` has these alone.
SLOW = (
    "mistral-10over5-window16",
    "phi-6over2-normed-queries-old",
    "olmo2-6over2-biases-tied",
    "mixtral-5over1-2of5",
    "llama4_text-4over2-dense-chunks16",
    "falcon_h1-6over2-head24-states8of4-norm-biases-tied-old",
)
CUT = Cut(80, "per_document")
LENGTHS = (80, 33, 70, 5, 80, 2, 64)
SETS = (
    "position:0", "class:delimiter:first", "class:weak_semantic:first", "class:other:first", "events",
)  # fmt: skip
# A criterion that several tokens of a window pass, in some layers and not in others.
CRITERION = {"criterion_magnitude": 4.0, "criterion_ratio": 4.0, "max_events": 6}
ALL_SITES = (
    "attention_input", "query", "key", "value", "attention_heads", "attention_output", "state_output",
    "mlp_input", "gate", "up", "mlp_hidden", "mlp_output", "final_norm",
)  # fmt: skip
WITHOUT_GATE = ("phi", "gpt2")
WITHOUT_DENSE = ("gpt_oss", "mixtral")
STATES_BESIDE = ("falcon_h1",)
EXPERT_NAMES = [name for name in NAMES if name.startswith(WITHOUT_DENSE)]
EXPERT_SUMS = {
    "experts/gate_sum": "expert_gates",
    "experts/output_norm_sum": "expert_norms",
    "experts/weighted_norm_sum": "expert_weighted",
}
NO_EXPERT = 2**32 - 1
EXPERTS = 5  # of both models that have any
PROMPT = 37  # tokens of the captured prompt


def each_of(names: Sequence[str]) -> list[Any]:
    """As parameters of pytest."""
    return [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in names]


class Made(InnerModel):
    @property
    def sites(self) -> list[str]:
        left_out = ["gate"] if self.model.family in (*WITHOUT_GATE, *WITHOUT_DENSE) else []
        left_out += ["up", "mlp_hidden"] if self.model.family in WITHOUT_DENSE else []
        left_out += [] if self.model.family in STATES_BESIDE else ["state_output"]
        return [site for site in ALL_SITES if site not in left_out]

    def module_config(self) -> Any:
        """As transformers reads it."""
        return AutoConfig.from_pretrained(self.directory)

    def layer_windows(self) -> list[int | Chunk | None]:
        """The sliding window or the chunk of each layer."""
        config = self.module_config()
        kinds = getattr(config, "layer_types", None)
        window = getattr(config, "sliding_window", None)
        if kinds is None:
            return [window] * config.num_hidden_layers
        chunk = Chunk(getattr(config, "attention_chunk_size", 0))
        seen = {"sliding_attention": window, "chunked_attention": chunk}
        return [seen.get(kind) for kind in kinds]

    def job(self, m: int, output: Path) -> dict[str, dict[str, Any]]:
        return {
            "model": {"path": str(self.directory), "dtype": "float32"},
            "corpus": {"path": str(self.directory / "corpus.h5"), **CUT.job_keys()},
            "parallel": {"tensor": m, "threads": 1, "microbatch_tokens": 240},
            "statistics": {
                "sites": ["residual", *self.sites],
                "attention": [*SETS, *(["learned"] if self.model.family == "gpt_oss" else [])],
                "attention_received": True,
                "score_extrema": True,
                "value_updates": True,
                "query_key": True,
                "quantisation": True,
                "channel_quantiles": True,
                "geometry": True,
                "event_updates": True,
                "lifecycle": True,
                "lifecycle_channels": [3, 0],
                "formats": list(FORMATS),
                "experts": self.model.family in WITHOUT_DENSE,
                "expert_inputs": self.model.family in WITHOUT_DENSE,
                "expert_rows": self.model.family in WITHOUT_DENSE,
                **CRITERION,
            },
            "capture": {"prompts": ["prompt"], "attention": True},
            "output": {"path": str(output)},
        }

    def job_of_one_window(self, m: int, output: Path) -> dict[str, dict[str, Any]]:
        """Its only window is the captured prompt, in products of the same shape."""
        job = self.job(m, output)
        job["corpus"]["max_sequences"] = 1
        job["capture"] = {"prompts": ["window"], "sites": ["residual", *self.sites]}
        return job


def selected_names(request: pytest.FixtureRequest) -> list[str]:
    """What the selected tests name, and what those without a name look at."""
    items = [item for item in request.session.items if item.path == request.path]
    parameters = [item.callspec.params if hasattr(item, "callspec") else {} for item in items]
    named = {each["name"] for each in parameters if "name" in each}
    if any("name" not in each for each in parameters):
        named |= {NAMES[0], EXPERT_NAMES[0]}
    return sorted(named)


@dataclass
class Sweeps:
    made: dict[str, Made]
    messages: dict[Path, str]
    folder: Path
    read: dict[Path, dict[str, np.ndarray]] = field(default_factory=dict)

    def datasets(self, name: str, m: int, windows: str = "all") -> dict[str, np.ndarray]:
        path = self.folder / f"{name}-{windows}-m{m}.h5"
        message = self.messages[path.with_suffix(".toml")]
        assert not message, message
        if path not in self.read:
            self.read[path] = read_datasets(path)
        return self.read[path]


@pytest.fixture(scope="module")
def sweeps(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sweeps]:
    folder = tmp_path_factory.mktemp("inner")
    torch.set_num_threads(1)
    names = selected_names(request)
    made = {name: make(Made, name, folder / name, CUT, LENGTHS, prompt=PROMPT) for name in names}
    messages: dict[Path, str] = {}
    for m in RANKS:
        jobs = []
        for name in names:
            for windows, job in (("all", made[name].job), ("one", made[name].job_of_one_window)):
                path = folder / f"{name}-{windows}-m{m}.toml"
                path.write_text(to_toml(job(m, path.with_suffix(".h5"))))
                jobs.append(path)
        messages |= run_jobs(jobs, m, folder / "sweeps.log")
    yield Sweeps(made, messages, folder)


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("site", ALL_SITES)
@pytest.mark.parametrize("name", each_of(NAMES))
def test_site(name: str, site: str, m: int, sweeps: Sweeps) -> None:
    made = sweeps.made[name]
    datasets = sweeps.datasets(name, m)
    if site not in made.sites:
        assert f"{site}/count" not in datasets
        return
    part = assert_site(datasets, site, made.inners, made.classes)
    record(f"{name}-m{m}", inside=site, of_allowed=part)
    tokens = datasets[f"{site}/count"][-1]
    channels = datasets[f"{site}/channel_sum"].shape[1]
    assert datasets[f"{site}/magnitude_histogram"][-1].sum() == tokens * channels
    for size in (16, 32):
        blocks = datasets[f"{site}/block{size}_histogram"][-1].sum()
        assert blocks == tokens * -(-channels // size)


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", each_of(NAMES))
def test_sites_reproduce_numpy_on_captured_tensors(name: str, m: int, sweeps: Sweeps) -> None:
    """Selections, medians, counts and histograms exactly, sums to 1e-12."""
    made = sweeps.made[name]
    datasets = sweeps.datasets(name, m, "one")
    for site in ("residual", *made.sites):
        rows = datasets[f"capture/window/{site}"]
        first = 0 if site in ("residual", "final_norm") else 1  # the embedding has no other site
        assert np.isnan(rows[:first]).all() and np.isfinite(rows[first:]).all()
        measured = Measured(made.corpus, made.windows[:1], [rows[first:]], Options())
        paths = [path for path in datasets if path.startswith(f"{site}/")]
        assert len(paths) == 30, paths
        for path in paths:
            reference = REFERENCES[path.replace(site, "residual", 1)](measured)
            difference = compare(datasets[path][first:], reference)
            assert not difference, f"{path}: {difference}"


def event_keys(made: Made, datasets: dict[str, np.ndarray]) -> KeySet:
    """The set "events", from the file's own events: selections have a test of their own."""
    places = set(
        zip(
            datasets["massive/sequence"],
            datasets["massive/layer"],
            datasets["massive/position"],
            strict=True,
        )
    )

    def positions(window: int, layer: int) -> list[int]:
        return sorted({p for s, l, p in places if (s, l) == (window, layer)})

    return positions


def sinks_of(made: Made) -> Learned:
    """A score for each head, from the checkpoint."""
    tensors = load_file(made.directory / "model.safetensors")

    def score(layer: int, attention: LayerAttention) -> np.ndarray:
        sinks = tensors[f"model.layers.{layer}.self_attn.sinks"].astype(np.float64)
        return np.broadcast_to(sinks[:, None], attention.probability.shape[:2])

    return Learned(score)


def attention_fields(made: Made, datasets: dict[str, np.ndarray]) -> dict[str, Reference]:
    sets: list[KeySet] = [
        lambda _window, _layer: [0],
        *(class_first(made.windows, name) for name in ("delimiter", "weak_semantic", "other")),
        event_keys(made, datasets),
    ]
    has_slot = made.model.family == "gpt_oss"
    if has_slot:
        sets.append(sinks_of(made))
    return attention_references(made.inners, sets, made.layer_windows(), has_slot=has_slot)


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", each_of(NAMES))
def test_attention_and_value_updates(name: str, m: int, sweeps: Sweeps) -> None:
    made = sweeps.made[name]
    datasets = sweeps.datasets(name, m)
    written = {path for path in datasets if path.startswith(("attention/", "value_update/"))}
    expected = attention_fields(made, datasets)
    assert expected.keys() == written
    assert datasets["attention/key_count"][1:, SETS.index("events")].max() > 0
    parts = [assert_near(path, datasets[path], values) for path, values in expected.items()]
    record(f"{name}-m{m}", inside="attention", of_allowed=max(parts))


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", each_of(NAMES))
def test_second_look_at_scores(name: str, m: int, sweeps: Sweeps) -> None:
    made = sweeps.made[name]
    part = check_received(sweeps.datasets(name, m), made.inners, made.layer_windows())
    record(f"{name}-m{m}", inside="attention_received", of_allowed=part)
    part = check_extrema(sweeps.datasets(name, m), made.inners, made.layer_windows())
    record(f"{name}-m{m}", inside="score_extrema", of_allowed=part)


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", each_of(NAMES))
def test_query_key_moments(name: str, m: int, sweeps: Sweeps) -> None:
    made = sweeps.made[name]
    datasets = sweeps.datasets(name, m)
    parts = []
    for site in ("query", "key"):
        path = f"qk/rotated_{site}_square_sum"
        references = head_square_references(made.inners, site)
        parts.append(assert_near(path, datasets[path], references))
    for site in ("query", "key", "value"):
        path = f"qk/{site}_square_sum"
        rows = (
            np.nan_to_num(rows_of_site(of, site)) for of in (made.inners.exact, made.inners.single)
        )
        found = datasets[path]
        squares = square_reference(*rows, axis=1)
        parts.append(assert_near(path, found.reshape(len(found), -1), squares))
    record(f"{name}-m{m}", inside="query_key", of_allowed=max(parts))
    tokens = sum(len(window.ids) for window in made.windows)
    expected = [0] + [tokens] * made.inners.num_layers
    np.testing.assert_array_equal(datasets["qk/token_count"], expected)


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", each_of(NAMES))
def test_captured_attention(name: str, m: int, sweeps: Sweeps) -> None:
    """In full: logits NaN and probabilities 0 where a key is hidden, NaN in the layer without."""
    made = sweeps.made[name]
    datasets = sweeps.datasets(name, m)
    logits, found = (datasets[f"capture/prompt/{x}"] for x in ("attention_logit", "attention"))
    assert np.isnan(logits[0]).all() and np.isnan(found[0]).all()
    (exact,), (single,) = made.prompt.exact, made.prompt.single
    for layer, pair in enumerate(zip(exact.attention, single.attention, strict=True)):
        seen = visible(pair[0], made.layer_windows()[layer])
        hidden = np.broadcast_to(~seen, found[layer + 1].shape)
        assert (np.isnan(logits[layer + 1]) == hidden).all()
        assert (found[layer + 1][hidden] == 0).all()
        shown = (np.where(hidden, np.nan, attention.logit)[None] for attention in pair)
        theirs, rounded = shown
        error = np.abs(rounded - theirs)
        assert_near("logit", logits[None, layer + 1], Reference(theirs, error, np.abs(theirs)))
        theirs, rounded = (attention.probability[None] for attention in pair)
        error = np.abs(rounded - theirs)
        assert_near("probability", found[None, layer + 1], Reference(theirs, error, theirs))


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", each_of(EXPERT_NAMES))
def test_experts(name: str, m: int, sweeps: Sweeps) -> None:
    """Tokens of each expert and its largest output, from what transformers' experts were given."""
    made = sweeps.made[name]
    datasets = sweeps.datasets(name, m)
    counts = datasets["experts/token_count"]
    chosen = made.module_config().num_experts_per_tok
    tokens = sum(len(window.ids) for window in made.windows)
    np.testing.assert_array_equal(counts[1:].sum(axis=1), tokens * chosen)
    assert (counts[0] == 0).all() and (counts[1:] > 0).any()
    assert ((datasets["experts/max_output"] > 0) == (counts > 0)).all()
    layers = len(counts) - 1
    theirs, rounded = (
        [sum(inner.expert_counts[i] for inner in of) for i in range(layers)]
        for of in (made.inners.exact, made.inners.single)
    )
    np.testing.assert_array_equal(rounded, theirs)  # no near tie of a router
    np.testing.assert_array_equal(counts[1:], theirs)
    exact, single = (
        np.stack([np.max([inner.expert_largest[i] for inner in of], axis=0) for i in range(layers)])
        for of in (made.inners.exact, made.inners.single)
    )
    error = np.abs(single - exact).max(axis=1, keepdims=True)  # a largest is one value
    name = "experts/max_output"
    assert_near(name, datasets[name][1:], Reference(exact, error + 0 * exact, exact))
    for name, field_name in EXPERT_SUMS.items():
        exact, single = (
            np.stack([sum(getattr(inner, field_name)[i] for inner in of) for i in range(layers)])
            for of in (made.inners.exact, made.inners.single)
        )
        assert (datasets[name][0] == 0).all()
        error = np.abs(single - exact).max(axis=1, keepdims=True)
        assert_near(name, datasets[name][1:], Reference(exact, error + 0 * exact, exact))
    for part in ("input", "hidden"):
        for layer in range(layers):
            assert_expert_rows(datasets, made.inners, part, layer)


@pytest.mark.parametrize("name", each_of(EXPERT_NAMES))
def test_ranges_of_experts_that_are_exported(name: str, sweeps: Sweeps, tmp_path: Path) -> None:
    """For llm-compressor: of all rows that each of transformers' experts is given, by its module."""
    made, path = sweeps.made[name], tmp_path / "ranges.safetensors"
    with actsweep.open(sweeps.folder / f"{name}-all-m2.h5") as sweep:
        export_llm_compressor(sweep, path)
        listed = {one: linear_layers(sweep).reading(f"expert_{one}", 2) for one in ("input", "hidden")}
    tensors = load_file(path)
    for part, modules in listed.items():
        assert len(modules) > 0
        exact, single = (
            [np.concatenate([inner.expert_rows[1][e][part] for inner in of]) for e in range(EXPERTS)]
            for of in (made.inners.exact, made.inners.single)
        )
        for module, (word, end) in product(modules, (("min", np.min), ("max", np.max))):
            names = [module.format(e) for e in range(EXPERTS)] if "{}" in module else [module]
            found = np.vstack([tensors[f"{one}.input_channel_{word}_vals"] for one in names])
            theirs, rounded = (
                np.stack([end(x, axis=0) if len(x) else np.zeros(x.shape[1]) for x in of])[None]
                for of in (exact, single)
            )
            reference = Reference(theirs, np.abs(rounded - theirs), np.abs(theirs))
            assert_near(f"{module}: {word}", found[None], reference)


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", each_of(EXPERT_NAMES))
def test_experts_of_tokens(name: str, m: int, sweeps: Sweeps) -> None:
    """Which experts each token chose, and their weights, as transformers' router gives them."""
    made, datasets = sweeps.made[name], sweeps.datasets(name, m)
    found, gates = datasets["experts/token_experts"], datasets["experts/token_gates"]
    assert (found[0] == NO_EXPERT).all() and np.isnan(gates[0]).all()
    order = np.argsort(found[1:], axis=2)
    mine, weights = (np.take_along_axis(x[1:], order, axis=2) for x in (found, gates))
    for of in (made.inners.exact, made.inners.single):  # no near tie of a router
        theirs = np.concatenate([np.stack(inner.expert_chosen) for inner in of], axis=1)
        np.testing.assert_array_equal(mine, theirs)
    exact, single = (
        np.concatenate([np.stack(inner.expert_weights) for inner in of], axis=1)
        for of in (made.inners.exact, made.inners.single)
    )
    error = np.abs(single - exact)
    part = assert_near("experts/token_gates", weights, Reference(exact, error, exact))
    record(f"{name}-m{m}", inside="expert_rows", of_allowed=part)
    if made.model.family == "mixtral":  # the softmax over all, renormed
        np.testing.assert_allclose(weights.sum(axis=2), 1, rtol=1e-6)


def test_file_holds_what_the_schema_lists(sweeps: Sweeps, program: Path) -> None:
    """The dense model's file has everything but experts, which the others' have, and the store, which
    oracle.store has."""
    listed = {path: kind for path, kind in schema(program).items() if is_inner(path)}
    listed = {path: kind for path, kind in listed.items() if not path.startswith("store/")}
    assert len(listed) > 60
    dense, routed = (sweeps.datasets(name, 1) for name in (NAMES[0], EXPERT_NAMES[0]))
    for path, kind in listed.items():
        datasets = routed if path.startswith("experts/") else dense
        assert str(datasets[path.replace("NAME", "prompt")].dtype) == kind, path


@pytest.mark.parametrize("m", RANKS)
def test_super_weights_are_those_of_the_checkpoint(m: int, sweeps: Sweeps) -> None:
    """Largest input and output of each down projection, and the weight between them."""
    made = sweeps.made[NAMES[0]]
    found = sweeps.datasets(NAMES[0], m)
    weights = load_file(made.directory / "model.safetensors")
    assert found["super_weights/neuron"][0] == -1 and np.isnan(found["super_weights/weight"][0])
    for layer in range(1, len(found["super_weights/neuron"])):
        matrix = weights[f"model.layers.{layer - 1}.mlp.down_proj.weight"]
        (neuron, of_neuron), (channel, of_channel) = (
            largest_of(made.inners, site, layer) for site in ("mlp_hidden", "mlp_output")
        )
        assert found["super_weights/neuron"][layer] == neuron
        assert found["super_weights/channel"][layer] == channel
        assert found["super_weights/weight"][layer] == matrix[channel, neuron]
        assert_near("super_weights/input", found["super_weights/input"][None, layer], of_neuron)
        assert_near("super_weights/output", found["super_weights/output"][None, layer], of_channel)


def largest_of(inners: InBoth, site: str, layer: int) -> tuple[int, Reference]:
    """The channel of a site's largest magnitude, beyond rounding, and that magnitude."""
    exact, single = (rows_of_site(of, site)[layer] for of in (inners.exact, inners.single))
    by_channel = np.abs(exact).max(axis=0)
    error = np.abs(single - exact).max()
    second, first = np.sort(by_channel)[-2:]
    assert first - second > 2 * TIMES * error, (site, layer)
    largest = np.array([first])
    return int(by_channel.argmax()), Reference(largest, error + 0 * largest, largest)


@pytest.mark.parametrize("name", each_of(NAMES))
def test_all_m_agree(name: str, sweeps: Sweeps) -> None:
    """Counts exactly, sums to the rounding of activations."""
    alone = sweeps.datasets(name, 1)
    groups = (*sweeps.made[name].sites, "attention", "value_update", "qk")
    for m in RANKS[1:]:
        datasets = sweeps.datasets(name, m)
        assert datasets.keys() == alone.keys()
        for path, values in alone.items():
            if path.split("/")[0] not in groups or values.dtype.kind not in "iu":
                continue
            if path.endswith(("_count", "count", "_rows", "_sequences", "_tokens")):
                np.testing.assert_array_equal(datasets[path], values, err_msg=f"{path}, m = {m}")
