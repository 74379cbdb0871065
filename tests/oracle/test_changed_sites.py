"""Interventions at sites inside a layer against transformers with hooks, and against numpy.

Of each model, site and action: the loss of a variant agrees with transformers at m = 1, 2, 3, 4, with
resident and with streamed weights. On the sweep itself the same intervention leaves the bits at its
site that numpy makes of the unchanged sweep's, and the bits of the variant's loss. In bfloat16 the
streams are no further from float64 than transformers' own are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from support.bounds import assert_losses_round_as_transformers, assert_no_worse, channel_scale, token_errors
from support.changed_sites import change_block, changed
from support.family_sweeps import run_jobs, swept
from support.interventions import Labels, Means, Table, intervene
from support.random_models import MASSIVE_IDS, MODELS, RandomModel, make_random, save
from support.sweeps import read_datasets, to_toml
from support.token_files import Corpus, Cut, Window, random_corpus, write_token_file
from support.transformers_oracle import BothPrecisions, Oracle, join
from support.transformers_oracle import Window as Passed

RANKS = (1, 2, 3, 4)
NAMES = (
    "llama-5over1-tied",
    "gpt2-7heads-unscaled-gelu-untied",
    "deepseek_v2-6-3of9-2of3groups-biases-bfloat16",
    "qwen3-6over3-head20-biases-upper-window13",
    "gptj-5heads-half-rotary",
    "mixtral-5over1-2of5",
)
SLOW = NAMES[3:]  # `make test-slow` has these alone
DOCUMENTS = (57, 1, 0, 40, 2, 83, 39)
CUT = Cut(40, "per_document")
PROMPTS = {"long": 60, "odd": 41}
HALF_PROMPTS = {f"half{i}": 96 for i in range(8)}
IN_DTYPE = ("attention_output", "mlp_output")  # of one rank; of several they are float32 sums
# What hangs on the largest or the middle of many values: rounding to bfloat16 chooses otherwise.
CHOSEN_BY_ROUNDING = ("argmax", "median")

Cases = dict[str, list[Table]]


def at(site: str, layer: int | str, tokens: str, action: str, **more: Any) -> Table:
    return {"site": site, "layer": layer, "tokens": tokens, "action": action, **more}


@dataclass(frozen=True)
class Place:
    """A site of a model."""

    site: str
    width: int
    layers: list[int]  # that have it, as in the file
    heads: int  # 0: it has none
    free: list[int]  # channels that transformers' hooks can change

    @property
    def channels(self) -> object:
        return "all" if len(self.free) == self.width else self.free


def cases_of(places: Sequence[Place]) -> Cases:
    """Every site with every action and choice of channels; several at once."""
    cases: Cases = {}
    for number, place in enumerate(places):
        one, other = (place.layers[(number + i) % len(place.layers)] for i in (0, 1))
        free = place.free
        few = sorted({free[1], free[len(free) // 2], free[-1]})
        make: dict[str, Table] = {
            "zero": at(place.site, one, "all", "zero", channels=few),
            "value": at(place.site, "all", "position:1", "value", value=0.75, channels=few[:2]),
            "scale": at(place.site, other, "class:other:first", "scale", value=-0.5, channels=place.channels),
            "mean": at(place.site, one, "position:2", "mean", channels=place.channels, **{"from": "BASE"}),
            "noise": at(place.site, other, "all", "noise", channels=few, seed=number, **{"from": "BASE"}),
        }
        if place.heads:
            make["heads"] = at(
                place.site, one, "all", "zero", heads=sorted({0, place.heads - 1}), of_heads=place.heads
            )
        if len(free) == place.width:
            make["random"] = at(place.site, other, "all", "zero", channels="random", count=5, seed=3)
            make["median"] = at(place.site, one, "position:3", "value", value=2.0, channels="median", count=3)
            make["argmax"] = at(place.site, other, "argmax", "zero", channels="all")
        cases |= {f"{place.site}-{name}": [table] for name, table in make.items()}
    layer = places[0].layers[0]
    cases["several"] = [
        {"layer": layer, "channels": [1, 2], "tokens": "all", "action": "scale", "value": -1.5},
        *(cases[f"{place.site}-zero"][0] for place in places if layer in place.layers),
        at(places[-1].site, layer, "all", "value", value=-0.25, channels=places[-1].free[:2]),
    ]  # fmt: skip
    return cases


@dataclass(frozen=True)
class Made:
    """A checkpoint, a token file, transformers, and the sweeps."""

    model: RandomModel
    folder: Path
    directory: Path
    corpus: Path
    content: Corpus
    prompts: dict[str, np.ndarray]
    both: BothPrecisions
    sweeps: dict[Any, dict[str, np.ndarray]] = field(default_factory=dict)

    @cached_property
    def windows(self) -> list[Window]:
        return self.content.windows(CUT)

    @cached_property
    def places(self) -> list[Place]:
        """The sites that transformers shows in a window, their widths and layers."""
        seen: dict[str, dict[int, int]] = {}
        handles = []
        for number, block in enumerate(self.both.single.blocks):

            def look(site: str, rows: torch.Tensor, layer: int = number + 1) -> torch.Tensor:
                seen.setdefault(site, {})[layer] = rows.shape[1]
                return rows

            handles += change_block(block, look)
        self.both.single.residual(self.windows[0].ids)
        for handle in handles:
            handle.remove()
        return [self._place(site, by_layer) for site, by_layer in seen.items()]

    def _place(self, site: str, by_layer: Mapping[int, int]) -> Place:
        (width,) = set(by_layer.values())
        config = self.both.single.module.config
        of_site = {"query": "num_attention_heads", "attention_heads": "num_attention_heads",
                   "key": "num_key_value_heads", "value": "num_key_value_heads"}  # fmt: skip
        key = of_site.get(site)
        heads = 0
        if key is not None:
            heads = getattr(config, key, None) or config.num_attention_heads
        free = list(range(width))
        if site == "key" and hasattr(config, "qk_nope_head_dim"):  # the others are one for all heads
            free = [c for c in free if c % (width // heads) < config.qk_nope_head_dim]
        return Place(site, width, list(by_layer), 0 if len(free) < width else heads, free)

    @cached_property
    def cases(self) -> Cases:
        return cases_of(self.places)

    @property
    def sites(self) -> list[str]:
        return [place.site for place in self.places]

    def labels_of(self, prompt: str) -> Labels:
        classes = self.content.classes[self.prompts[prompt]]
        classes[0] = 0
        return Labels(classes)

    def job(self, m: int, output: Path, tables: Sequence[Table], base: Path, **sections: Any) -> dict[str, Any]:
        written = []
        for table in tables:
            table = {key: value for key, value in table.items() if key != "of_heads"}
            written.append(table | {"from": str(base)} if "from" in table else table)
        job: dict[str, Any] = {
            "model": {"path": str(self.directory)},
            "corpus": {"path": str(self.corpus), **CUT.job_keys()},
            "parallel": {"tensor": m, "threads": 1, "microbatch_tokens": 160},
            "statistics": {"loss": True},
            "capture": {"prompts": list(PROMPTS), "sites": ["residual", *self.sites]},
            "output": {"path": str(output), "segment_tokens": 320},
        }
        for section, keys in sections.items():
            job[section] = job[section] | keys
        return job | {"intervention": written}

    def unchanged(self, dtype: str = "float32") -> Path:
        """Of one rank: the file of all means."""
        output = self.folder / f"unchanged-{dtype}.h5"
        if not output.exists():
            job = self.job(1, output, [], output, model={"dtype": dtype},
                           statistics={"sites": ["residual", *self.sites]})  # fmt: skip
            path = output.with_suffix(".toml")
            path.write_text(to_toml(job))
            messages = run_jobs([path], 1, self.folder / "log")
            assert not messages[path], messages[path]
        return output

    @cached_property
    def means(self) -> dict[str, Means]:
        return self.means_of("float32")

    def means_of(self, dtype: str) -> dict[str, Means]:
        datasets = read_datasets(self.unchanged(dtype))
        return {site: Means.of(datasets, site) for site in ["residual", *self.sites]}

    def sweep(
        self, names: Sequence[str], m: int, kind: str = "float32", **sections: Any
    ) -> dict[str, dict[str, np.ndarray]]:
        """The datasets of jobs of these names: a case, "unchanged", or "variants", all cases in one.
        `kind` names the sections."""
        variants = [t | {"variant": name} for name, tables in self.cases.items() for t in tables]
        tables = {"unchanged": [], "variants": variants} | self.cases
        base = self.unchanged(sections.get("model", {}).get("dtype", "float32"))
        wanted = [name for name in names if (name, m, kind) not in self.sweeps]
        folder = self.folder / kind
        folder.mkdir(exist_ok=True)
        made = swept(
            wanted, [m], folder,
            lambda name, m, output: self.job(m, output, tables[name], base, **sections),
        )  # fmt: skip
        self.sweeps.update({(name, m, kind): made[name, m] for name in wanted})
        return {name: self.sweeps[name, m, kind] for name in names}

    @cached_property
    def expected(self) -> dict[str, list[Passed]]:
        """By case, what transformers with hooks makes of the windows."""
        return {name: list(self._passes(tables)) for name, tables in self.cases.items()}

    def _passes(self, tables: Sequence[Table]) -> Iterator[Passed]:
        for number, window in enumerate(self.windows):
            labels = Labels(window.classes, number)
            with (
                changed(self.both.exact.blocks, tables, labels, self.means),
                changed(self.both.single.blocks, tables, labels, self.means),
            ):
                yield self.both.run_with_losses(window.ids)


@pytest.fixture(scope="module")
def made_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """Makes what a model's tests share, once."""
    made: dict[str, Made] = {}

    def make(name: str) -> Made:
        if name not in made:
            made[name] = make_one(name, tmp_path_factory.mktemp(name))
        return made[name]

    return make


def make_one(name: str, folder: Path) -> Made:
    torch.set_num_threads(1)
    (model,) = (model for model in MODELS if model.name == name)
    content = random_corpus(model.vocabulary, DOCUMENTS, seed=8, often=MASSIVE_IDS)
    lengths = PROMPTS | HALF_PROMPTS
    texts = random_corpus(model.vocabulary, list(lengths.values()), seed=9, often=MASSIVE_IDS)
    prompts = dict(zip(lengths, texts.documents, strict=True))
    directory = save(make_random(model), model, folder / "model")
    corpus = write_token_file(folder / "corpus.h5", content, prompts)
    return Made(model, folder, directory, corpus, content, prompts, BothPrecisions(directory))


def each_model() -> list[Any]:
    return [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in NAMES]


STREAMED = {"parallel": {"weights": "streamed", "block_tokens": 80}}


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", each_model())
def test_variants_lose_what_transformers_with_hooks_loses(
    name: str, m: int, made_of: Callable[[str], Made]
) -> None:
    made = made_of(name)
    found = made.sweep(["variants"], m)["variants"]
    rows = found["variants/token_nll"]
    ends = np.cumsum([len(window.ids) for window in made.windows])
    sure = 0
    for number, (case, passes) in enumerate(made.expected.items()):
        of_windows = np.split(rows[number], ends[:-1])
        kept = [i for i, window in enumerate(passes) if window.is_sure.all()]  # of the router's choice
        sure += len(kept)
        print(case, end=": ")
        losses = join(passes[i].losses for i in kept)
        assert_losses_round_as_transformers(np.concatenate([of_windows[i] for i in kept]), losses)
    assert sure > 0.8 * len(made.cases) * len(made.windows)
    assert len({row.tobytes() for row in (*rows, found["loss/token_nll"])}) == len(rows) + 1


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", each_model())
def test_streamed_weights_and_other_blocks_give_the_same_bits(
    name: str, m: int, made_of: Callable[[str], Made]
) -> None:
    made = made_of(name)
    resident = made.sweep(["variants"], m)["variants"]
    streamed = made.sweep(["variants"], m, "streamed", **STREAMED)["variants"]
    assert resident.keys() == streamed.keys()
    for dataset, values in resident.items():
        assert values.tobytes() == streamed[dataset].tobytes(), dataset


def rounded(x: np.ndarray, dtype: str) -> np.ndarray:
    return torch.from_numpy(x).to(getattr(torch, dtype)).float().numpy()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", each_model())
def test_a_site_has_the_bits_of_numpy_and_the_sweep_the_loss_of_the_variant(
    name: str, m: int, dtype: str, made_of: Callable[[str], Made]
) -> None:
    made = made_of(name)
    sections = {} if dtype == "float32" else {"model": {"dtype": dtype}}
    cases = {case: tables[0] for case, tables in made.cases.items() if len(tables) == 1}
    sweeps = made.sweep(["unchanged", "variants", *cases], m, dtype, **sections)
    unchanged, variants = sweeps["unchanged"], sweeps["variants"]
    means = made.means_of(dtype)
    for case, table in cases.items():
        site, found = table["site"], sweeps[case]
        is_wide = dtype == "float32" or (site in IN_DTYPE and m > 1)
        (place,) = (place for place in made.places if place.site == site)
        layer = min(place.layers) if table["layer"] == "all" else table["layer"]
        changes = 0
        for prompt in PROMPTS:
            before, after = (each[f"capture/{prompt}/{site}"] for each in (unchanged, found))
            x, _, _ = intervene(table, layer, before[layer], made.labels_of(prompt), means[site])
            expected = x if is_wide else rounded(x, dtype)
            assert after[layer].tobytes() == expected.tobytes(), (case, prompt)
            assert after[:layer].tobytes() == before[:layer].tobytes(), (case, prompt)
            streams = (each[f"capture/{prompt}/residual"] for each in (unchanged, found))
            assert np.array_equal(*(stream[:layer] for stream in streams)), (case, prompt)
            changes += (after[layer] != before[layer]).sum()
        assert changes > 0, case
        number = list(made.cases).index(case)
        assert found["loss/token_nll"].tobytes() == variants["variants/token_nll"][number].tobytes(), case
        assert_counts(made, table, place, found, case)


def assert_counts(made: Made, table: Table, place: Place, found: dict[str, np.ndarray], case: str) -> None:
    """Which token it is may depend on the rows, how many do not."""
    tokens = activations = 0
    for window in made.windows:
        x = np.zeros((len(window.ids), place.width), np.float32)
        _, matched, changed_ = intervene(table | {"action": "zero"}, 1, x, Labels(window.classes))
        tokens, activations = tokens + matched, activations + changed_
    times = len(place.layers) if table["layer"] == "all" else 1
    assert found["interventions/matched_tokens"].tolist() == [times * tokens], case
    assert found["interventions/changed_activations"].tolist() == [times * activations], case


def half_cases(made: Made) -> list[str]:
    return [case for case in made.cases if not case.endswith(CHOSEN_BY_ROUNDING)]


@pytest.mark.parametrize("m", RANKS)
@pytest.mark.parametrize("name", ["llama-5over1-tied", pytest.param(NAMES[4], marks=pytest.mark.slow)])
def test_bfloat16_is_no_further_from_float64_than_transformers(
    name: str, m: int, made_of: Callable[[str], Made]
) -> None:
    made = made_of(name)
    means = made.means_of("bfloat16")
    sections = {"model": {"dtype": "bfloat16"}, "capture": {"prompts": list(HALF_PROMPTS), "sites": ["residual"]}}
    names = half_cases(made)
    sweeps = made.sweep(names, m, "half", **sections)
    half = Oracle(made.directory, torch.bfloat16)
    mine, theirs = [], []
    for case in names:
        exact, single = ([], [])
        for prompt in HALF_PROMPTS:
            for oracle, streams in ((made.both.exact, exact), (half, single)):
                with changed(oracle.blocks, made.cases[case], made.labels_of(prompt), means):
                    streams.append(oracle.residual(made.prompts[prompt]))
        found = [sweeps[case][f"capture/{prompt}/residual"] for prompt in HALF_PROMPTS]
        scale = channel_scale(exact)
        mine.append(token_errors(found, exact, scale))
        theirs.append(token_errors(single, exact, scale))
    assert_no_worse(np.concatenate(mine, axis=1), np.concatenate(theirs, axis=1))
