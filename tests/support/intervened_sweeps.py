"""Sweeps with interventions, each alone and all as variants of one, and transformers with hooks beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .bounds import (
    assert_losses_round_as_transformers,
    assert_perplexities_round_as_transformers,
    assert_rounds_as_transformers,
)
from .family_sweeps import run_jobs
from .interventions import Labels, Means, Table, intervened
from .random_models import MASSIVE_IDS, RandomModel, make_random, save
from .sweeps import read_attributes, read_datasets, to_toml
from .token_files import Corpus, Cut, Window, random_corpus, write_token_file
from .transformers_oracle import BothPrecisions, Oracle, join, losses_of

DOCUMENTS = (57, 1, 0, 40, 2, 83, 39, 95, 5)
CUT = Cut(40, "per_document")
PROMPTS = {"long": 60, "odd": 41, "pair": 2}
VALUES = {"zero": {}, "value": {"value": -41.5}, "mean": {"value": 3.25}, "scale": {"value": -0.5}}
RANKS = (1, 2, 3)


def table(layer: int | str, channels: object, tokens: str, action: str, **more: Any) -> Table:
    keys = {"layer": layer, "channels": channels, "tokens": tokens, "action": action}
    return keys | VALUES.get(action, {}) | more


def from_means(layer: int | str, channels: object, tokens: str) -> Table:
    """`job_tables` puts the path of the unchanged sweep there."""
    keys = {"layer": layer, "channels": channels, "tokens": tokens, "action": "mean"}
    return keys | {"from": "BASE"}


@dataclass(frozen=True)
class Inputs:
    """A checkpoint, a token file, transformers."""

    folder: Path
    model: Path
    corpus: Path
    content: Corpus
    oracles: BothPrecisions
    prompts: dict[str, np.ndarray]
    cases: Mapping[str, Sequence[Table]]
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
        variants = [t | {"variant": name} for name, tables in self.cases.items() for t in tables]
        of_name = {"unchanged": [], **self.cases, "variants": variants}
        for m in RANKS:
            jobs = {}
            for name, tables in of_name.items():
                job = self.job(name, m, tables)
                path = Path(job["output"]["path"]).with_suffix(".toml")
                path.write_text(to_toml(job))
                jobs[path] = name
            for path, message in run_jobs(list(jobs), m, self.folder / "log").items():
                assert not message, message
                self.swept[jobs[path], m] = path.with_suffix(".h5")


def make_inputs(model: RandomModel, folder: Path, cases: Mapping[str, Sequence[Table]]) -> Inputs:
    torch.set_num_threads(1)
    content = random_corpus(model.vocabulary, DOCUMENTS, seed=6, often=MASSIVE_IDS)
    texts = random_corpus(model.vocabulary, list(PROMPTS.values()), seed=7, often=MASSIVE_IDS)
    prompts = dict(zip(PROMPTS, texts.documents, strict=True))
    directory = save(make_random(model), model, folder / "model")
    corpus = write_token_file(folder / "corpus.h5", content, prompts)
    oracles = BothPrecisions(directory)
    return Inputs(folder, directory, corpus, content, oracles, prompts, cases)


def assert_as_hooks(path: Path, inputs: Inputs, name: str, means: Means | None = None) -> None:
    """Streams of the prompts and losses of the windows are transformers' with the case's hooks."""
    found = read_datasets(path)
    streams: list[list[np.ndarray]] = []
    likelihoods: list[list[np.ndarray]] = []
    for oracle in inputs.oracles.of_both:
        of_oracle = hooked(oracle, inputs.cases[name], inputs, means)
        streams.append(of_oracle[0])
        likelihoods.append(of_oracle[1])
    exact, single = streams
    mine = [found[f"capture/{prompt}/residual"] for prompt in inputs.prompts]
    assert_rounds_as_transformers(name, mine, single, exact)
    ids = [window.ids for window in inputs.windows]
    losses = join(map(losses_of, ids, *likelihoods))
    assert_losses_round_as_transformers(found["loss/token_nll"], losses)
    assert_perplexities_round_as_transformers(read_attributes(path)["loss/token_nll"], losses)


def hooked(
    oracle: Oracle, tables: Sequence[Table], inputs: Inputs, means: Means | None
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


def assert_variants_are_sweeps_of_their_own(inputs: Inputs, program: Path, m: int) -> None:
    """Bit for bit, beside the unchanged original."""
    path = inputs.sweep(program, "variants", m)
    found = read_datasets(path)
    for number, name in enumerate(inputs.cases):
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
    count = len(inputs.cases) + 1
    assert len({row.tobytes() for row in (*nll, found["loss/token_nll"])}) == count
