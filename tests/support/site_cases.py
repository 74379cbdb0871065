"""Models of which activations inside the layers are changed: the places, what changes them, the sweeps,
and what transformers with hooks makes of the windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .bounds import assert_losses_round_as_transformers
from .changed_sites import change_block, changed
from .family_sweeps import run_jobs, swept
from .interventions import Labels, Means, Table
from .random_models import MASSIVE_IDS, MODELS, RandomModel, make_random, save
from .sweeps import read_datasets, to_toml
from .token_files import Corpus, Cut, Window, random_corpus, write_token_file
from .transformers_oracle import BothPrecisions, Oracle, join
from .transformers_oracle import Window as Passed

DOCUMENTS = (57, 1, 0, 40, 2, 83, 39)
CUT = Cut(40, "per_document")
PROMPTS = {"long": 60, "odd": 41}
HALF_PROMPTS = {f"half{i}": 96 for i in range(8)}

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
            # In the first layer a token that stands twice has two rows that rounding alone tells apart,
            # and so are massive activations behind a norm in every layer.
            make["argmax"] = at(place.site, place.layers[-1], "argmax", "zero", channels=few)
        cases |= {f"{place.site}-{name}": [table] for name, table in make.items()}
    layer = places[0].layers[0]
    cases["several"] = [
        {"layer": layer, "channels": [1, 2], "tokens": "all", "action": "scale", "value": -1.5},
        *(cases[f"{place.site}-zero"][0] for place in places if layer in place.layers),
        at(places[-1].site, layer, "all", "value", value=-0.25, channels=places[-1].free[:2]),
    ]  # fmt: skip
    return cases


def as_variants(cases: Cases) -> list[Table]:
    """All cases in one sweep, each a variant of its name."""
    return [table | {"variant": name} for name, tables in cases.items() for table in tables]


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

    def output(self, m: int, name: str) -> Path:
        return self.folder / f"{name}-{m}.h5"

    def run(self, m: int, name: str, tables: Sequence[Table], **sections: Any) -> Path:
        """The file of one sweep with tables that take nothing from another."""
        output = self.output(m, name)
        path = output.with_suffix(".toml")
        path.write_text(to_toml(self.job(m, output, tables, output, **sections)))
        messages = run_jobs([path], m, self.folder / "log")
        assert not messages[path], messages[path]
        return output

    def unchanged(self, dtype: str = "float32") -> Path:
        """Of one rank: the file of all means."""
        name = f"unchanged-{dtype}"
        if not self.output(1, name).exists():
            sites = {"sites": ["residual", *self.sites]}
            self.run(1, name, [], model={"dtype": dtype}, statistics=sites)
        return self.output(1, name)

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
        tables = {"unchanged": [], "variants": as_variants(self.cases)} | self.cases
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


class Sweeps:
    """Sweeps of one model under tables of interventions: all cases as variants, or tables of their own."""

    def __init__(self, made: Made, cases: Cases) -> None:
        self.made = made
        self.cases = cases

    def run(self, m: int, name: str, tables: Sequence[Table], **sections: Any) -> dict[str, np.ndarray]:
        return read_datasets(self.made.run(m, name, tables, **sections))

    def variants(self, m: int, name: str = "variants", **sections: Any) -> dict[str, np.ndarray]:
        return self.run(m, name, as_variants(self.cases), **sections)


class Variants(Sweeps):
    """And what transformers loses in some of the cases."""

    def __init__(
        self,
        made: Made,
        cases: Cases,
        compared: Sequence[str],
        change: Callable[[Oracle, str, Labels], AbstractContextManager[None]],
    ) -> None:
        """`change` makes transformers' model that of a case, for one window."""
        super().__init__(made, cases)
        self.expected = {name: list(self._passes(name, change)) for name in compared}

    def _passes(self, name: str, change: Any) -> Iterator[Passed]:
        for number, window in enumerate(self.made.windows):
            labels = Labels(window.classes, number)
            with ExitStack() as stack:
                for oracle in self.made.both.of_both:
                    stack.enter_context(change(oracle, name, labels))
                yield self.made.both.run_with_losses(window.ids)

    def assert_losses(self, m: int) -> None:
        """In windows whose experts rounding does not choose; with streamed weights the same bits."""
        found = self.variants(m)
        ends = np.cumsum([len(window.ids) for window in self.made.windows])
        for number, name in enumerate(self.cases):
            if name not in self.expected:
                continue
            of_windows = np.split(found["variants/token_nll"][number], ends[:-1])
            kept = [i for i, one in enumerate(self.expected[name]) if one.is_sure.all()]
            assert len(kept) > 0.7 * len(self.made.windows), name
            print(name, end=": ")
            losses = join(self.expected[name][i].losses for i in kept)
            assert_losses_round_as_transformers(np.concatenate([of_windows[i] for i in kept]), losses)
            assert not np.array_equal(
                found["variants/token_nll"][number], found["loss/token_nll"], equal_nan=True
            )
        streamed = self.variants(m, "streamed", parallel={"weights": "streamed", "block_tokens": 160})
        for dataset, values in found.items():
            assert values.tobytes() == streamed[dataset].tobytes(), dataset


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
