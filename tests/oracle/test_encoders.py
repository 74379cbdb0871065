"""Encoders of text agree with transformers at m = 1, 2, 3, 4: residual streams of whole windows.

Every configuration of support/random_models/encoders, and for one of each type m = 6, streamed
weights and bfloat16. Windows of several lengths share a micro-batch: no query may see the padding of
the shorter ones.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from support.attention_reference import attention_references, class_first
from support.bounds import assert_near, assert_no_worse, assert_rounds_as_transformers
from support.family_cases import (
    HALF_PROMPTS,
    OFTEN,
    PROMPT_LENGTHS,
    Case,
    float_params,
    half_errors,
    half_params,
    model_params,
    random_prompts,
)
from support.family_sweeps import FamilySweeps, run_jobs, selected_cases
from support.inner_oracle import InnerOracle, run_in_both
from support.inner_references import assert_rows, row_references
from support.measured_errors import record
from support.random_models import ENCODERS, RandomModel, make_random, save
from support.slow_cases import pair_params
from support.sweeps import Sweep, read_datasets, to_toml
from support.token_files import Cut, Window, random_corpus, write_token_file
from support.transformers_oracle import BothPrecisions, InBothPrecisions, Oracle

TYPES = ("bert", "roberta", "xlm-roberta", "modernbert", "eurobert")
CUT = Cut(40, "per_document")
DOCUMENT_LENGTHS = (57, 1, 0, 40, 2, 83, 39)
FLOAT_CASES = float_params(ENCODERS)
HALF_CASES = half_params(ENCODERS)


@dataclasses.dataclass(frozen=True)
class Expected:
    """A checkpoint, a token file, and what transformers makes of its prompts and windows."""

    directory: Path
    corpus: Path
    cut_windows: list[Window]
    ids: dict[str, np.ndarray]  # by prompt
    prompts: InBothPrecisions  # of PROMPT_LENGTHS
    windows: InBothPrecisions

    def job(self, case: Case, output: Path) -> dict[str, dict[str, Any]]:
        return {
            "model": case.model_keys(self.directory),
            "corpus": {"path": str(self.corpus), **CUT.job_keys()},
            "parallel": case.parallel_keys(),
            "statistics": {"loss": False},
            "capture": {"prompts": case.prompts},
            "output": {"path": str(output)},
        }

    def half_streams(self, dtype: torch.dtype) -> list[np.ndarray]:
        oracle = Oracle(self.directory, dtype)
        return [oracle.residual(self.ids[name]) for name in HALF_PROMPTS]


def make_expected(model: RandomModel, folder: Path) -> Expected:
    torch.set_num_threads(1)
    number = ENCODERS.index(model)
    directory = save(make_random(model), model, folder / "model")
    corpus = random_corpus(model.vocabulary, DOCUMENT_LENGTHS, seed=number, often=OFTEN)
    ids = random_prompts(model.vocabulary, number)
    path = write_token_file(folder / "corpus.h5", corpus, ids)
    both = BothPrecisions(directory)
    windows = corpus.windows(CUT)
    return Expected(
        directory,
        path,
        windows,
        ids,
        both.streams([ids[name] for name in PROMPT_LENGTHS]),
        both.streams([window.ids for window in windows]),
    )


@pytest.fixture(scope="module")
def sweeps(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> FamilySweeps[Expected]:
    """Of the cases that pytest has selected."""
    folder = tmp_path_factory.mktemp("encoders")
    return FamilySweeps(folder, selected_cases(request), make_expected)


def test_every_type_has_three_configurations() -> None:
    counts = Counter(model.family for model in ENCODERS)
    assert set(counts) == set(TYPES) and min(counts.values()) >= 3, counts


@pytest.mark.parametrize("model", model_params(ENCODERS))
def test_reference_is_sane(model: RandomModel, sweeps: FamilySweeps[Expected]) -> None:
    """Finite, of order one; later tokens count for earlier ones."""
    expected = sweeps.expected(model)
    streams = expected.prompts.exact
    medians = np.median(np.abs(streams[0]), axis=(1, 2))
    assert all(np.isfinite(stream).all() for stream in streams)
    assert ((medians > 0.05) & (medians < 30)).all(), medians
    oracle, ids = Oracle(expected.directory), expected.ids["long"].copy()
    ids[1] = 2 + ids[1] % 7
    assert not np.allclose(oracle.residual(ids)[1, 0], streams[0][1, 0], rtol=1e-3)


@pytest.mark.parametrize("case", FLOAT_CASES)
def test_streams_agree(case: Case, sweeps: FamilySweeps[Expected]) -> None:
    expected = sweeps.expected(case.model)
    datasets = read_datasets(sweeps.path(case))
    found = [datasets[f"capture/{name}/residual"] for name in case.prompts]
    assert_rounds_as_transformers(case.name, found, expected.prompts.single, expected.prompts.exact)


@pytest.mark.parametrize("case", FLOAT_CASES)
def test_statistics_are_of_windows_without_their_padding(
    case: Case, sweeps: FamilySweeps[Expected]
) -> None:
    expected = sweeps.expected(case.model)
    exact, single = (
        np.concatenate(of, axis=1) for of in (expected.windows.exact, expected.windows.single)
    )
    classes = [window.classes for window in expected.cut_windows]
    references = row_references(exact, single.astype(np.float64), classes)
    assert_rows(read_datasets(sweeps.path(case)), "residual", references)


def test_a_loss_is_refused(tmp_path: Path) -> None:
    """Heads of encoders predict masked tokens."""
    model = ENCODERS[0]
    job = make_expected(model, tmp_path).job(Case(model, 1), tmp_path / "sweep.h5")
    job["statistics"]["loss"] = True
    path = tmp_path / "job.toml"
    path.write_text(to_toml(job))
    said = run_jobs([path], 1, tmp_path / "log")[path]
    assert "[statistics] loss = true: bert predicts masked tokens and no next one" in said


OF_ATTENTION = ("modernbert-5-window8", "eurobert-6over2-biases-head20")


@pytest.mark.parametrize(
    ("name", "m"), pair_params(OF_ATTENTION, (1, 3), {OF_ATTENTION[0]: (3,), OF_ATTENTION[1]: (1,)})
)
def test_attention_statistics_agree(name: str, m: int, program: Path, tmp_path: Path) -> None:
    """Windows of several lengths, and of layers with a window on both sides."""
    (model,) = (model for model in ENCODERS if model.name == name)
    expected = make_expected(model, tmp_path)
    sets = {"attention": ["position:0", "class:delimiter:first"], "value_updates": True}
    job = expected.job(Case(model, m), tmp_path / "sweep.h5")
    job["statistics"] |= sets
    found = read_datasets(Sweep(program, job, m).run())
    windows = expected.cut_windows
    inners = run_in_both(
        lambda patch, dtype: InnerOracle(expected.directory, patch, dtype),
        [window.ids for window in windows],
    )
    reach = [None] * model.config["num_hidden_layers"]
    if model.family == "modernbert":
        reach = [None if layer % 3 == 0 else 9 for layer in range(len(reach))]
    keys = [lambda _window, _layer: [0], class_first(windows, "delimiter")]
    references = attention_references(inners, keys, reach, is_causal=False)
    parts = [assert_near(path, found[path], reference) for path, reference in references.items()]
    record(f"{name}-m{m}", inside="attention", of_allowed=max(parts))


@pytest.mark.parametrize("case", HALF_CASES)
def test_bfloat16_is_no_worse_than_transformers(case: Case, sweeps: FamilySweeps[Expected]) -> None:
    expected = sweeps.expected(case.model)
    datasets = read_datasets(sweeps.path(case))
    exact = expected.half_streams(torch.float64)
    found = [datasets[f"capture/{name}/residual"] for name in HALF_PROMPTS]
    assert_no_worse(*half_errors(case, found, exact, expected.half_streams(torch.bfloat16)))
