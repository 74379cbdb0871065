"""Decoders that predict masked tokens, LLaDA and Dream, agree with transformers' Llama and Qwen2 under a
mask that hides nothing, at m = 1, 2, 3, 4: prompts as they stand, windows with masked tokens.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from support import masked_diffusion
from support.bounds import assert_no_worse, assert_rounds_as_transformers
from support.compatibility import Compatibility
from support.family_cases import (
    HALF_PROMPTS,
    OFTEN,
    PROMPT_LENGTHS,
    Case,
    float_params,
    half_errors,
    half_params,
    random_prompts,
)
from support.family_sweeps import FamilySweeps, run_jobs, selected_cases
from support.inner_references import assert_rows, row_references
from support.masked_diffusion import (
    MASK_ID,
    MODELS,
    Directories,
    UnmaskedOracle,
    UnmaskedPrecisions,
    masked,
)
from support.random_models import RandomModel
from support.sweeps import read_datasets, to_toml
from support.token_files import Corpus, Cut, Window, random_corpus, write_token_file
from support.transformers_oracle import InBothPrecisions

FLOAT_CASES = float_params(MODELS)
HALF_CASES = half_params(MODELS)
CUT = Cut(40, "per_document")
KIND = "Jobs and launches"
DOCUMENT_LENGTHS = (57, 1, 0, 40, 2, 83, 39)
RATIO, SEED = 0.3, 11


@dataclasses.dataclass(frozen=True)
class Expected:
    directories: Directories
    corpus: Path
    windows: list[Window]  # with their masks
    ids: dict[str, np.ndarray]  # by prompt
    prompts: InBothPrecisions
    streams: InBothPrecisions  # of the windows

    def job(self, case: Case, output: Path) -> dict[str, dict[str, Any]]:
        return {
            "model": case.model_keys(self.directories.published),
            "corpus": {
                "path": str(self.corpus), **CUT.job_keys(), "mask_ratio": RATIO, "mask_seed": SEED,
            },
            "parallel": case.parallel_keys(),
            "statistics": {"loss": False},
            "capture": {"prompts": case.prompts},
            "output": {"path": str(output)},
        }  # fmt: skip

    def half_streams(self, dtype: torch.dtype) -> list[np.ndarray]:
        oracle = UnmaskedOracle(self.directories.relative, dtype)
        return [oracle.residual(self.ids[name]) for name in HALF_PROMPTS]


def with_masks(corpus: Corpus) -> Corpus:
    """A token's place follows from its number in the corpus."""
    first = np.cumsum([0, *map(len, corpus.documents)])
    documents = [
        masked(ids, int(begin), RATIO, SEED).astype("<u4")
        for ids, begin in zip(corpus.documents, first, strict=False)
    ]
    return dataclasses.replace(corpus, documents=documents)


def make_expected(model: RandomModel, folder: Path) -> Expected:
    torch.set_num_threads(1)
    number = MODELS.index(model)
    directories = masked_diffusion.make(model, folder)
    corpus = random_corpus(model.vocabulary, DOCUMENT_LENGTHS, seed=number, often=OFTEN)
    ids = random_prompts(model.vocabulary, number)
    path = write_token_file(folder / "corpus.h5", corpus, ids)
    both = UnmaskedPrecisions(directories.relative)
    windows = with_masks(corpus).windows(CUT)
    prompts = both.streams([ids[name] for name in PROMPT_LENGTHS])
    streams = both.streams([window.ids for window in windows])
    return Expected(directories, path, windows, ids, prompts, streams)


@pytest.fixture(scope="module")
def sweeps(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> FamilySweeps[Expected]:
    folder = tmp_path_factory.mktemp("masked")
    return FamilySweeps(folder, selected_cases(request), make_expected)


def test_every_type_has_three_configurations() -> None:
    assert Counter(model.family for model in MODELS) == {"llada": 3, "Dream": 3}


@pytest.mark.parametrize("case", FLOAT_CASES)
def test_streams_of_prompts_agree(case: Case, sweeps: FamilySweeps[Expected]) -> None:
    expected = sweeps.expected(case.model)
    datasets = read_datasets(sweeps.path(case))
    found = [datasets[f"capture/{name}/residual"] for name in case.prompts]
    assert_rounds_as_transformers(case.name, found, expected.prompts.single, expected.prompts.exact)


@pytest.mark.parametrize("case", FLOAT_CASES)
def test_windows_have_their_masks(case: Case, sweeps: FamilySweeps[Expected]) -> None:
    expected = sweeps.expected(case.model)
    windows, streams = expected.windows, expected.streams
    part = np.mean(np.concatenate([window.ids for window in windows]) == MASK_ID)
    assert 0.15 < part < 0.45
    exact, single = (np.concatenate(of, axis=1) for of in (streams.exact, streams.single))
    classes = [window.classes for window in windows]
    references = row_references(exact, single.astype(np.float64), classes)
    datasets = read_datasets(sweeps.path(case))
    assert_rows(datasets, "residual", references)
    ids = np.concatenate([window.ids for window in windows])
    np.testing.assert_array_equal(datasets["tokens/id"], ids)


@pytest.mark.parametrize("case", HALF_CASES)
def test_bfloat16_is_no_worse_than_transformers(case: Case, sweeps: FamilySweeps[Expected]) -> None:
    expected = sweeps.expected(case.model)
    datasets = read_datasets(sweeps.path(case))
    exact = expected.half_streams(torch.float64)
    found = [datasets[f"capture/{name}/residual"] for name in HALF_PROMPTS]
    assert_no_worse(*half_errors(case, found, exact, expected.half_streams(torch.bfloat16)))


@pytest.fixture(scope="module")
def llada(tmp_path_factory: pytest.TempPathFactory) -> Expected:
    return make_expected(MODELS[0], tmp_path_factory.mktemp("llada"))


@pytest.mark.parametrize(
    ("section", "key", "value", "words"),
    [
        ("statistics", "loss", True, "llada predicts masked tokens and no next one"),
        ("corpus", "mask_ratio", 1.5, "[corpus] mask_ratio = 1.5: expected at most 1"),
    ],
)
def test_what_has_no_meaning_is_refused(
    section: str,
    key: str,
    value: Any,
    words: str,
    llada: Expected,
    tmp_path: Path,
    compatibility: Compatibility,
) -> None:
    job = llada.job(Case(MODELS[0], 1), tmp_path / "sweep.h5")
    job[section][key] = value
    said = answer_to(job, tmp_path)
    assert words in said
    what = f"`{key} = {json.dumps(value)}` and a model that predicts masked tokens"
    compatibility(KIND, what, "refused", said)


def test_a_seed_without_a_ratio_is_refused(
    llada: Expected, tmp_path: Path, compatibility: Compatibility
) -> None:
    job = llada.job(Case(MODELS[0], 1), tmp_path / "sweep.h5")
    del job["corpus"]["mask_ratio"]
    said = answer_to(job, tmp_path)
    assert "[corpus] mask_seed = 11: expected mask_ratio beside it" in said
    compatibility(KIND, "`mask_seed` without `mask_ratio`", "refused", said)


def test_a_model_without_a_mask_is_refused(
    llada: Expected, tmp_path: Path, compatibility: Compatibility
) -> None:
    job = llada.job(Case(MODELS[0], 1), tmp_path / "sweep.h5")
    job["model"]["path"] = str(llada.directories.relative)
    said = answer_to(job, tmp_path)
    assert 'llama has no "mask_token_id"' in said
    compatibility(KIND, "`mask_ratio` and a model that predicts the next token", "refused", said)


def test_a_corpus_without_the_mask_is_refused(
    llada: Expected, tmp_path: Path, compatibility: Compatibility
) -> None:
    path = write_token_file(tmp_path / "corpus.h5", random_corpus(MASK_ID, [40]), {})
    job = llada.job(Case(MODELS[0], 1), tmp_path / "sweep.h5")
    job["corpus"]["path"] = str(path)
    job["capture"] = {}
    said = answer_to(job, tmp_path)
    assert "vocabulary: expected the id of the model's mask, 9, found 9 ids" in said
    compatibility(KIND, "`mask_ratio` and a corpus whose tokenizer has no mask", "refused", said)


LLADA_SWITCHES = (
    ("block_type", "sequential"), ("layer_norm_type", "default"), ("layer_norm_with_affine", False),
    ("bias_for_layer_norm", True), ("attention_layer_norm", True), ("include_bias", True),
    ("input_emb_norm", True), ("scale_logits", True), ("alibi", True), ("rope", False),
    ("multi_query_attention", True), ("activation_type", "mish"), ("mask_token_id", 251),
    ("rope_scaling", {"rope_type": "linear", "factor": 2.0}), ("clip_qkv", 8.0),
)  # fmt: skip
DREAM_SWITCHES = (
    ("use_mrope", True), ("use_sliding_window", True), ("mask_token_id", -1), ("hidden_act", "mish"),
    ("layer_types", ["sliding_attention"] * 3),
)  # fmt: skip
SWITCHES = [
    *((MODELS[0], key, value) for key, value in LLADA_SWITCHES),
    *((MODELS[3], key, value) for key, value in DREAM_SWITCHES),
]


def test_switches_are_refused_by_name(tmp_path: Path) -> None:
    """One world for all."""
    jobs = {}
    models = (MODELS[0], MODELS[3])
    made = {model.name: make_expected(model, fresh(tmp_path / model.name)) for model in models}
    for number, (model, key, value) in enumerate(SWITCHES):
        expected = made[model.name]
        folder = fresh(tmp_path / str(number))
        for file in expected.directories.published.iterdir():
            (folder / file.name).symlink_to(file)
        config = json.loads((folder / "config.json").read_text()) | {key: value}
        (folder / "config.json").unlink()
        (folder / "config.json").write_text(json.dumps(config))
        job = expected.job(Case(model, 1), folder / "sweep.h5")
        job["model"]["path"] = str(folder)
        (folder / "job.toml").write_text(to_toml(job))
        jobs[folder / "job.toml"] = key
    said = run_jobs(list(jobs), 1, tmp_path / "log")
    for path, key in jobs.items():
        assert "config.json" in said[path] and f'{key}"' in said[path], (key, said[path])


def fresh(folder: Path) -> Path:
    folder.mkdir()
    return folder


def answer_to(job: dict[str, dict[str, Any]], folder: Path) -> str:
    path = folder / "job.toml"
    path.write_text(to_toml(job))
    return run_jobs([path], 1, folder / "log")[path]
