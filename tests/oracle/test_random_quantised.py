"""data/prepare_model.py random, of a config.json with a quantisation: what it writes is packed as the
config says, planned, and swept as transformers runs the numbers that it stands for.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from support.bounds import assert_rounds_as_transformers
from support.family_cases import Case, Expected, expected_of
from support.family_sweeps import FamilySweeps, selected_cases
from support.quantised import FORMS, Form, QuantisedModel, Tensors, model_of
from support.quantised.unpack import numbers_of
from support.slow_cases import slow_unless
from support.sweeps import read_attributes, read_datasets, run_program, to_toml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "data"))

from preparation.random_checkpoint import Settings, create  # noqa: E402

PROGRAM = Path(os.environ.get("ACTSWEEP_PROGRAM", ROOT / "build" / "actsweep"))
DEVIATION = 0.05

# What stands in files beside config.json is no part of it.
MODELS = [model_of(form) for form in FORMS if form.section]
# Of each one, in turn; the others are slow.
CASES = [
    slow_unless(at == number % 2, Case(model, m), id=f"{model.name}-m{m}")
    for number, model in enumerate(MODELS)
    for at, m in enumerate((1, 3))
]


def config_of(form: Form) -> dict[str, object]:
    config = {**form.model.config, "model_type": form.model.family, "initializer_range": DEVIATION}
    return config | {"quantization_config": dict(form.section)}


def unpacked(form: Form, packed: Tensors, shapes: dict[str, tuple[int, ...]]) -> Tensors:
    """The numbers of every tensor, and that those and only those that the form packs are packed."""
    method = str(form.section["quant_method"])
    rest, numbers = dict(packed), {}
    for name, shape in shapes.items():
        start = name.removesuffix(".weight") + form.separator
        parts = {key.removeprefix(start): rest.pop(key) for key in list(rest) if key.startswith(start)}
        if not form.packs(name):
            assert list(parts) == [name.removeprefix(start)] or not form.separator, name
            numbers[name] = packed[name].float()
            rest.pop(name, None)
            continue
        found = numbers_of(method, form.section, parts, shape)
        assert abs(found.std() / DEVIATION - 1) < 0.4, (name, found.std())
        numbers[name] = torch.from_numpy(found.copy())
    assert not rest, list(rest)
    return numbers


def make_expected(model: QuantisedModel, folder: Path) -> Expected:
    form = model.form
    assert form is not None
    (folder / "config.json").write_text(json.dumps(config_of(form)))
    create(PROGRAM, folder / "config.json", folder / "packed", Settings())
    facts = run_program(PROGRAM, "tensors", folder / "config.json").splitlines()
    shapes = {line["name"]: tuple(line["shape"]) for line in map(json.loads, facts[1:])}
    numbers = folder / "numbers"
    numbers.mkdir()
    save_file(
        unpacked(form, load_file(folder / "packed" / "model.safetensors"), shapes),
        numbers / "model.safetensors", {"format": "pt"},
    )  # fmt: skip
    config = config_of(form)
    del config["quantization_config"]
    (numbers / "config.json").write_text(json.dumps(config))
    expected = expected_of(model, MODELS.index(model), numbers, folder)
    return dataclasses.replace(expected, directory=folder / "packed")


@pytest.fixture(scope="module")
def sweeps(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> FamilySweeps[Expected]:
    folder = tmp_path_factory.mktemp("random-quantised")
    return FamilySweeps(folder, selected_cases(request), make_expected)


@pytest.mark.parametrize("case", CASES)
def test_random_checkpoints_are_swept_as_their_numbers(
    case: Case, sweeps: FamilySweeps[Expected]
) -> None:
    expected = sweeps.expected(case.model)
    path = sweeps.path(case)
    datasets = read_datasets(path)
    mine, theirs, exact = [], [], []
    for name, reference in expected.passes.items():
        found = datasets[f"capture/{name}/residual"]
        mine.append(reference.where_sure(found).astype(found.dtype))
        theirs.append(reference.where_sure(reference.single.stream))
        exact.append(reference.exact.stream)
    assert_rounds_as_transformers(case.name, mine, theirs, exact)
    assert read_attributes(path)["/"]["quantisation"] == case.model.form.text


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_random_checkpoints_are_planned(model: QuantisedModel, sweeps: FamilySweeps[Expected]) -> None:
    expected = sweeps.expected(model)
    path = expected.directory.parent / "plan.toml"
    path.write_text(to_toml(expected.job(Case(model, 1), path.with_suffix(".h5"))))
    assert model.form is not None
    assert model.form.text in run_program(PROGRAM, "plan", path, "--ranks", 1)


def test_a_matrix_that_does_not_fill_words_stays_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (form,) = (form for form in FORMS if form.name == "awq")
    config = config_of(form) | {"intermediate_size": 212}
    (tmp_path / "config.json").write_text(json.dumps(config))
    create(PROGRAM, tmp_path / "config.json", tmp_path / "model", Settings())
    tensors = load_file(tmp_path / "model" / "model.safetensors")
    kinds = defaultdict(set)
    for name, tensor in tensors.items():
        if found := re.search(r"(\w+_proj)\.(\w+)$", name):
            kinds[found[1]].add((found[2], tensor.dtype))
    assert ("weight", torch.float32) in kinds["down_proj"] and ("qweight", torch.int32) in kinds["q_proj"]
    assert "stay numbers, which awq does not pack" in capsys.readouterr().out


def test_the_same_seed_makes_the_same_checkpoint(tmp_path: Path) -> None:
    (form,) = (form for form in FORMS if form.name == "bitsandbytes-nf4")
    (tmp_path / "config.json").write_text(json.dumps(config_of(form)))
    made = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        create(PROGRAM, tmp_path / "config.json", tmp_path / name, Settings(seed=seed))
        made.append(load_file(tmp_path / name / "model.safetensors"))
    name = "model.layers.0.mlp.down_proj.weight"
    same, other = (np.array_equal(made[0][name], made[i][name]) for i in (1, 2))
    assert same and not other
