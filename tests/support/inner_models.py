"""Random models by name, each with a token file, what transformers computes inside of it, and its sweeps:
what tests of the sites inside layers share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from .family_sweeps import swept
from .inner_oracle import InBoth, InnerOracle, run_in_both
from .random_models import MASSIVE_IDS, MODELS, SMALL_ID, RandomModel, make_random, save
from .token_files import Corpus, Cut, Window, random_corpus, write_token_file


@dataclass(frozen=True)
class InnerModel:
    """A checkpoint in a directory that has its corpus.h5, too."""

    model: RandomModel
    directory: Path
    corpus: Corpus
    windows: list[Window]
    inners: InBoth  # of each window
    prompt: InBoth | None  # of "prompt" in the token file, if one was asked for

    @property
    def classes(self) -> list[np.ndarray]:
        """Of the tokens of each window."""
        return [window.classes for window in self.windows]


Made = TypeVar("Made", bound=InnerModel)


@dataclass(frozen=True)
class Sweeps(Generic[Made]):
    made: dict[str, Made]
    folder: Path
    datasets: dict[tuple[str, int], dict[str, np.ndarray]]  # by name and m


def make(
    kind: type[Made],
    name: str,
    folder: Path,
    cut: Cut,
    lengths: Sequence[int],
    *,
    prompt: int = 0,
    oracle: Callable[[Path, Any, torch.dtype], Any] = InnerOracle,
) -> Made:
    """`lengths`: of the documents; `prompt`: tokens of the captured one. The first window is a prompt, too."""
    (model,) = (model for model in MODELS if model.name == name)
    directory = save(make_random(model), model, folder)
    corpus = random_corpus(model.vocabulary, lengths, seed=7, often=(*MASSIVE_IDS, SMALL_ID))
    windows = corpus.windows(cut)
    prompts = {"window": windows[0].ids}
    if prompt:
        prompts["prompt"] = random_corpus(model.vocabulary, [prompt], seed=8).documents[0]
    write_token_file(folder / "corpus.h5", corpus, prompts)

    def inside(texts: Sequence[np.ndarray]) -> InBoth:
        return run_in_both(lambda patch, dtype: oracle(directory, patch, dtype), texts)

    inners = inside([window.ids for window in windows])
    captured = inside([prompts["prompt"]]) if prompt else None
    return kind(model, directory, corpus, windows, inners, captured)


def make_and_sweep(
    kind: type[Made], names: Sequence[str], ranks: Sequence[int], folder: Path, *cut: Any, **options: Any
) -> Sweeps[Made]:
    """Each at each m, by the job that `kind` makes; `cut` and `options` are those of `make`."""
    torch.set_num_threads(1)
    made = {name: make(kind, name, folder / name, *cut, **options) for name in names}
    datasets = swept(names, ranks, folder, lambda name, m, output: made[name].job(m, output))
    return Sweeps(made, folder, datasets)
