"""The cases of the families: a configuration, a number of ranks, a mode; and what is expected.

Making a reference takes tens of milliseconds, so each is made when the first case asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from .bounds import Losses, channel_scale, median_ratios, token_errors
from .measured_errors import record
from .random_models import (
    MASSIVE_IDS,
    MODELS,
    SMALL_ID,
    SMALL_POSITIONS,
    RandomModel,
    make_random,
    save,
)
from .slow_cases import slow_unless
from .token_files import Cut, random_corpus, write_token_file
from .transformers_oracle import BothPrecisions, Oracle, Window
from .vision_models import VisionModel

AnyModel = RandomModel | VisionModel
Mode = Literal["float32", "streamed", "bfloat16"]
Streams = Sequence[np.ndarray]  # of each text [layers + 1, tokens, channels]

OFTEN = (*MASSIVE_IDS, SMALL_ID)
PROMPT_LENGTHS = {"long": 96, "odd": 41, "pair": 2}
HALF_PROMPTS = {f"half{i}": 96 for i in range(48)}  # for quantiles over 4,608 tokens
DOCUMENT_LENGTHS = (57, 1, 0, 40, 2, 83, 39, 95, 5)
CUTS = (
    Cut(40, "packed"),
    Cut(40, "per_document"),
    Cut(40, "per_document", bos="each_window"),
)


@dataclass(frozen=True)
class Case:
    """One sweep of one configuration."""

    model: AnyModel
    m: int
    mode: Mode = "float32"

    @property
    def name(self) -> str:
        return f"{self.model.name}-m{self.m}" + ("" if self.mode == "float32" else f"-{self.mode}")

    @property
    def prompts(self) -> list[str]:
        return list(HALF_PROMPTS if self.mode == "bfloat16" else PROMPT_LENGTHS)

    def model_keys(self, directory: Path) -> dict[str, Any]:
        """The job's section [model]."""
        return {"path": str(directory), "dtype": "bfloat16" if self.mode == "bfloat16" else "float32"}

    def parallel_keys(self) -> dict[str, Any]:
        weights = "streamed" if self.mode == "streamed" else "resident"
        return {"tensor": self.m, "threads": 1, "microbatch_tokens": 160, "weights": weights}


# One family of each kind. Of these `make test` has each number of ranks, streamed weights, bfloat16, and
# every configuration; of every other family its first configuration at m = 2 or 3.
IN_EVERY_WAY = (
    "gpt2", "llama", "gemma2", "mixtral", "gpt_oss", "deepseek_v2", "qwen3_next", "mamba", "bert",
    "clip_vision_model", "llada",
)  # fmt: skip


def float_params(models: Sequence[AnyModel] = MODELS) -> list[Any]:
    """Those that compute in float32, as pytest's parameters."""
    return [param for param in parameters(models) if param.values[0].mode != "bfloat16"]


def half_params(models: Sequence[AnyModel] = MODELS) -> list[Any]:
    """Those that compute in bfloat16."""
    return [param for param in parameters(models) if param.values[0].mode == "bfloat16"]


def model_params(models: Sequence[AnyModel] = MODELS) -> list[Any]:
    """The models themselves, slow where all of their cases are."""
    quick = {case.model.name for case, is_quick in cases_and_speeds(models) if is_quick}
    return [slow_unless(model.name in quick, model, id=model.name) for model in models]


def parameters(models: Sequence[AnyModel]) -> list[Any]:
    return [slow_unless(is_quick, case, id=case.name) for case, is_quick in cases_and_speeds(models)]


def cases_and_speeds(models: Sequence[AnyModel]) -> Iterator[tuple[Case, bool]]:
    """Every configuration at m = 1, 2, 3, 4. One of each family at 6 too, where it has fewer heads,
    with streamed weights, and in bfloat16. And whether `make test` has the case."""
    seen, seen_at_6 = set(), set()
    for number, model in enumerate(models):
        is_first, is_of_kind = model.family not in seen, model.family in IN_EVERY_WAY
        is_whole = is_first and is_of_kind
        for m in (1, 2, 3, 4):
            yield Case(model, m), is_whole or ((is_first or is_of_kind) and m == 2 + number % 2)
        if model.heads < 6 and model.family not in seen_at_6:
            seen_at_6.add(model.family)
            yield Case(model, 6), False
        if is_first:
            seen.add(model.family)
            for m in (1, 3):
                yield Case(model, m, "streamed"), is_whole and m == 3
            for m in (1, 2):
                yield Case(model, m, "bfloat16"), is_whole and m == 2


def half_errors(
    case: Case, found: Streams, exact: Streams, rounded: Streams
) -> tuple[np.ndarray, np.ndarray]:
    """The tokens' errors in bfloat16, ours and transformers', and the ratio of their medians recorded."""
    scale = channel_scale(exact)
    mine, theirs = (token_errors(streams, exact, scale) for streams in (found, rounded))
    ratio = median_ratios(mine, theirs)
    record(case.name, half=ratio.max())
    print(f"{case.name}: median errors {ratio.min():.3f} to {ratio.max():.3f} times transformers'")
    return mine, theirs


@dataclass(frozen=True)
class Expected:
    """A checkpoint, a token file, and what transformers makes of them."""

    model: RandomModel
    directory: Path
    corpus: Path
    cut: Cut
    ids: dict[str, np.ndarray]  # by prompt
    passes: dict[str, Window]  # of PROMPT_LENGTHS
    window_losses: list[Losses]  # by window of the corpus
    is_window_sure: list[bool]  # no router of it was near a tie

    def job(self, case: Case, output: Path) -> dict[str, dict[str, Any]]:
        """The job file of one of its cases."""
        is_half = case.mode == "bfloat16"
        corpus = {"sequence_length": 64, "max_sequences": 1} if is_half else self.cut.job_keys()
        return {
            "model": case.model_keys(self.directory),
            "corpus": {"path": str(self.corpus), **corpus},
            "parallel": case.parallel_keys(),
            "statistics": {"loss": not is_half},
            "capture": {"prompts": case.prompts},
            "output": {"path": str(output)},
        }

    def half_streams(self, dtype: str) -> list[np.ndarray]:
        """What transformers makes of the half-precision prompts."""
        oracle = Oracle(self.directory, getattr(torch, dtype))
        return [oracle.residual(self.ids[name]) for name in HALF_PROMPTS]


def random_prompts(vocabulary: int, number: int) -> dict[str, np.ndarray]:
    """Ids of all prompts; `number` chooses them."""
    lengths = PROMPT_LENGTHS | HALF_PROMPTS
    texts = random_corpus(vocabulary, list(lengths.values()), seed=100 + number, often=OFTEN)
    return dict(zip(lengths, texts.documents, strict=True))


def make_expected(model: RandomModel, folder: Path) -> Expected:
    """Stores the checkpoint and the token file; asks transformers."""
    directory = save(make_random(model), model, folder / "model")
    return expected_of(model, MODELS.index(model), directory, folder)


def expected_of(model: RandomModel, number: int, directory: Path, folder: Path) -> Expected:
    """The same of a checkpoint that is stored; `number` chooses tokens and windows."""
    torch.set_num_threads(1)
    cut = CUTS[number % len(CUTS)]
    corpus = random_corpus(model.vocabulary, DOCUMENT_LENGTHS, seed=number, often=OFTEN)
    ids = random_prompts(model.vocabulary, number)
    ids["long"][: len(MASSIVE_IDS)] = MASSIVE_IDS
    ids["long"][list(SMALL_POSITIONS)] = SMALL_ID
    path = write_token_file(folder / "corpus.h5", corpus, ids)
    both = BothPrecisions(directory)
    passes = {name: both.run(ids[name]) for name in PROMPT_LENGTHS}
    windows = [both.run_with_losses(window.ids) for window in corpus.windows(cut)]
    is_window_sure = [bool(window.is_sure.all()) for window in windows]
    losses = [window.losses for window in windows]
    return Expected(model, directory, path, cut, ids, passes, losses, is_window_sure)
