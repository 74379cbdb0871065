"""Quantised checkpoints: widened as they are loaded, they are swept as transformers runs the numbers
that they stand for, at m = 1, 2, 3, and streamed.

Those numbers are computed from the stored codes by formulas in NumPy (support/quantised), which are
compared with transformers' own where it has the method without a GPU.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.integrations.finegrained_fp8 import Fp8Dequantize
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from support.bounds import (
    assert_losses_round_as_transformers,
    assert_rounds_as_transformers,
)
from support.family_cases import Case, Expected, expected_of
from support.family_sweeps import FamilySweeps, selected_cases
from support.measured_errors import record
from support.quantised import FORMS, FP8, MXFP4, Form, QuantisedModel, model_of, save_both
from support.slow_cases import slow_unless
from support.sweeps import Sweep, read_attributes, read_datasets, run_program, to_toml
from support.token_files import random_corpus, write_token_file
from support.transformers_oracle import Window, join

MODELS = [model_of(form) for form in FORMS]
# Of each form one, in turn; the others are slow.
FLOAT_CASES = [
    slow_unless(at == number % 3, case, id=case.name)
    for number, model in enumerate(MODELS)
    for at, case in enumerate((Case(model, 1), Case(model, 2, "streamed"), Case(model, 3)))
]


def make_expected(model: QuantisedModel, folder: Path) -> Expected:
    """Sweeps read the packed weights; transformers the numbers."""
    assert model.form is not None
    stored = save_both(model.form, folder)
    expected = expected_of(model, MODELS.index(model), stored.numbers, folder)
    return dataclasses.replace(expected, directory=stored.packed)


@pytest.fixture(scope="module")
def sweeps(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> FamilySweeps[Expected]:
    """Of the cases that pytest has selected."""
    return FamilySweeps(tmp_path_factory.mktemp("quantised"), selected_cases(request), make_expected)


def streams(
    datasets: dict[str, np.ndarray], passes: dict[str, Window]
) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Ours, transformers', the exact ones, where no near tie of a router reaches."""
    mine, theirs, exact = [], [], []
    for name, reference in passes.items():
        found = datasets[f"capture/{name}/residual"]
        assert reference.is_sure.mean() > 0.5
        mine.append(reference.where_sure(found).astype(found.dtype))
        theirs.append(reference.where_sure(reference.single.stream))
        exact.append(reference.exact.stream)
    return mine, theirs, exact


@pytest.mark.parametrize("case", FLOAT_CASES)
def test_streams_and_losses_are_those_of_the_numbers(
    case: Case, sweeps: FamilySweeps[Expected]
) -> None:
    expected = sweeps.expected(case.model)
    path = sweeps.path(case)
    datasets = read_datasets(path)
    assert_rounds_as_transformers(case.name, *streams(datasets, expected.passes))
    if all(expected.is_window_sure):
        losses = join(expected.window_losses)
        record(case.name, loss=assert_losses_round_as_transformers(datasets["loss/token_nll"], losses))
    form = next(form for form in FORMS if form.name == case.model.name)
    assert read_attributes(path)["/"]["quantisation"] == form.text


@pytest.mark.parametrize("form", [form for form in FORMS if form.name == "fp8-blocks-128"])
def test_half_precision_has_the_bits_of_the_numbers(
    form: Form, program: Path, tmp_path: Path
) -> None:
    stored = save_both(form, tmp_path)
    corpus = random_corpus(form.model.vocabulary, [60, 40])
    path = write_token_file(tmp_path / "corpus.h5", corpus, {"p": corpus.documents[0]})
    found = []
    for directory, weights in ((stored.packed, "streamed"), (stored.numbers, "resident")):
        job = {
            "model": {"path": str(directory), "dtype": "bfloat16"},
            "corpus": {"path": str(path), "sequence_length": 20},
            "parallel": {"tensor": 2, "threads": 1, "weights": weights},
            "capture": {"prompts": ["p"]},
            "output": {"path": str(tmp_path / f"{directory.name}.h5")},
        }
        found.append(read_datasets(Sweep(program, job, 2).run())["capture/p/residual"])
    np.testing.assert_array_equal(*found)


def test_mxfp4_numbers_are_those_of_transformers(tmp_path: Path) -> None:
    for form in MXFP4:
        stored = save_both(form, tmp_path / form.name)
        packed = load_file(stored.packed / "model.safetensors")
        numbers = load_file(stored.numbers / "model.safetensors")
        names = list(filter(form.packs, numbers))
        assert len(names) == 2 * form.model.config["num_hidden_layers"]
        for name in names:
            blocks, scales = packed[name + "_blocks"], packed[name + "_scales"]
            theirs = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
            torch.testing.assert_close(theirs, numbers[name], rtol=0, atol=0)


def test_fp8_numbers_are_those_of_transformers(tmp_path: Path) -> None:
    """Where the blocks divide the matrix: it takes their size from the number of scales."""
    for form in FP8:
        stored = save_both(form, tmp_path / form.name)
        packed = load_file(stored.packed / "model.safetensors")
        numbers = load_file(stored.numbers / "model.safetensors")
        compared = 0
        for name in filter(form.packs, numbers):
            codes, scales = packed[name], packed[form.tensor_name(name, "weight_scale_inv")]
            block = form.section["weight_block_size"] or codes.shape
            if any(size % of_block for size, of_block in zip(codes.shape, block, strict=True)):
                continue
            theirs = Fp8Dequantize(None)._dequantize_one(codes, scales, torch.float32)
            torch.testing.assert_close(theirs, numbers[name], rtol=0, atol=0)
            compared += 1
        assert compared >= 3 or form.name == "fp8-blocks-128", form.name


def test_scales_may_lie_in_another_shard_and_are_of_the_fingerprint(
    program: Path, tmp_path: Path
) -> None:
    """`plan` and `show` say what weights are stored as."""
    form = FP8[0]
    stored = save_both(form, tmp_path / "whole")
    split, other = tmp_path / "split", tmp_path / "other"
    tensors = load_file(stored.packed / "model.safetensors")
    for directory in (split, other):
        directory.mkdir()
        shutil.copy(stored.packed / "config.json", directory)
    shards = {name: f"{'scale' in name}.safetensors" for name in tensors}
    (split / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    for shard in set(shards.values()):
        save_file({name: tensors[name] for name in tensors if shards[name] == shard}, split / shard)
    tensors["model.layers.1.self_attn.k_proj.weight_scale_inv"] *= 2
    save_file(tensors, other / "model.safetensors")
    corpus = random_corpus(form.model.vocabulary, [60])
    path = write_token_file(tmp_path / "corpus.h5", corpus, {"p": corpus.documents[0]})
    sweeps = []
    for directory in (stored.packed, split, other):
        job = {
            "model": {"path": str(directory)},
            "corpus": {"path": str(path), "sequence_length": 20},
            "parallel": {"threads": 1},
            "capture": {"prompts": ["p"]},
            "output": {"path": str(directory / "sweep.h5")},
        }
        sweeps.append(Sweep(program, job, 1).run())
    whole, of_shards, of_others = (read_datasets(sweep)["capture/p/residual"] for sweep in sweeps)
    prints = [read_attributes(sweep)["/"]["model_fingerprint"] for sweep in sweeps]
    assert prints[0] == prints[1] != prints[2]
    np.testing.assert_array_equal(whole, of_shards)
    assert (whole[1] == of_others[1]).all() and (whole[2] != of_others[2]).any()
    assert f"widened from {form.text}" in run_program(program, "show", sweeps[0])
    job_file = tmp_path / "job.toml"
    job_file.write_text(to_toml(job))
    stored_bytes = sum(tensor.nbytes for tensor in tensors.values())
    text = run_program(program, "plan", job_file, "--ranks", 1)
    assert f"{stored_bytes / 2**30:.2f} GiB, {form.text}" in text
