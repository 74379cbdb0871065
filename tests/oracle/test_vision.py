"""Every Vision Transformer agrees with transformers at m = 1, 2, 3, 4: residual streams, labels;
alone, or as the tower of a model of several parts.

Every configuration of support/vision_models, and for one of each model type m = 6, streamed weights
and bfloat16. `pytest -k NAME` makes and sweeps only what it selects.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from support.bounds import assert_no_worse, assert_rounds_as_transformers
from support.family_cases import Case, float_params, half_errors, half_params, model_params
from support.family_sweeps import FamilySweeps, selected_cases
from support.inner_references import assert_rows, row_references
from support.random_models import MASSIVE_CHANNEL
from support.sweeps import read_attributes, read_datasets
from support.vision_cases import ExpectedImages, make_expected_images
from support.vision_models import MODELS, TOWERS, VisionModel

FAMILIES = (
    "clip_vision_model", "clip", "vit", "vit_mae", "vit_msn", "deit", "ijepa", "dinov2",
    "dinov2_with_registers", "dinov3_vit", "siglip_vision_model", "siglip", "aimv2_vision_model",
    "aimv2",
)  # fmt: skip
ALL = (*MODELS, *TOWERS)
FLOAT_CASES = float_params(ALL)
HALF_CASES = half_params(ALL)


@pytest.fixture(scope="module")
def sweeps(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> FamilySweeps[ExpectedImages]:
    """Of the cases that pytest has selected."""
    folder = tmp_path_factory.mktemp("vision")
    return FamilySweeps(folder, selected_cases(request), make_expected_images)


def test_every_model_type_has_three_configurations() -> None:
    counts = Counter(model.family for model in MODELS)
    assert set(counts) == set(FAMILIES)
    assert min(counts.values()) >= 3, counts
    assert len({model.name for model in MODELS}) == len(MODELS)
    for family in FAMILIES:  # with positions as they are, and interpolated to oblong images
        models = [model for model in MODELS if model.family == family]
        assert not all(model.is_interpolated for model in models), family
        assert any(m.is_interpolated and m.grid[0] != m.grid[1] for m in models), family


def test_every_tower_has_a_configuration() -> None:
    families = {model.family for model in TOWERS}
    assert families == {"gemma3", "paligemma", "llava", "llava_next", "llava_onevision", "internvl"}
    assert len({model.name for model in ALL}) == len(ALL)


@pytest.mark.parametrize("model", model_params(ALL))
def test_reference_is_sane(model: VisionModel, sweeps: FamilySweeps[ExpectedImages]) -> None:
    """transformers itself: finite, of order one but for the massive channel."""
    streams = np.stack(sweeps.expected(model).exact)  # [images, layers + 1, T, C]
    medians = np.median(np.abs(streams), axis=(0, 2, 3))
    assert np.isfinite(streams).all()
    assert ((medians > 0.1) & (medians < 30)).all(), medians
    assert np.abs(streams[..., MASSIVE_CHANNEL]).max() > 2000
    assert streams.shape[2] == model.tokens <= 96 and streams.shape[3] <= 160


@pytest.mark.parametrize("case", FLOAT_CASES)
def test_streams_and_labels_agree(case: Case, sweeps: FamilySweeps[ExpectedImages]) -> None:
    expected = sweeps.expected(case.model)
    path = sweeps.path(case)
    datasets = read_datasets(path)
    assert read_attributes(path)["/"]["corpus_kind"] == "images"
    assert_labels(datasets, expected)
    prompts = expected.prompts(case)
    found = [datasets[f"capture/{name}/residual"] for name in prompts]
    for name in prompts:
        ids = np.arange(case.model.tokens)
        np.testing.assert_array_equal(datasets[f"capture/{name}/id"], ids)
    single, exact = (
        [streams[int(name)] for name in prompts] for streams in (expected.single, expected.exact)
    )
    assert_rounds_as_transformers(case.name, found, single, exact)
    assert_swept(datasets, expected)


def assert_labels(datasets: dict[str, np.ndarray], expected: ExpectedImages) -> None:
    """/tokens: every image in order, the columns of each the same."""
    images, count = len(expected.pixels), expected.model.tokens
    for name, values in expected.labels().items():
        found = datasets[f"tokens/{name}"]
        np.testing.assert_array_equal(found, np.tile(values, images), err_msg=name)
        assert found.dtype == values.dtype, name
    numbers = np.repeat(np.arange(images), count)
    np.testing.assert_array_equal(datasets["tokens/document"], numbers)
    np.testing.assert_array_equal(datasets["tokens/sequence"], numbers)
    np.testing.assert_array_equal(datasets["sequences/length"], np.full(images, count))


def assert_swept(datasets: dict[str, np.ndarray], expected: ExpectedImages) -> None:
    """The statistics are of the same streams, of all images."""
    kinds = expected.labels()["class"]
    classes = [kinds] * len(expected.pixels)
    exact, single = (np.concatenate(of, axis=1) for of in (expected.exact, expected.single))
    assert_rows(datasets, "residual", row_references(exact, single.astype(np.float64), classes))
    for kind in np.unique(kinds):
        count = (np.concatenate(classes) == kind).sum()
        assert (datasets["residual/class_count"][:, kind] == count).all()


@pytest.mark.parametrize("case", HALF_CASES)
def test_bfloat16_is_no_worse_than_transformers(
    case: Case, sweeps: FamilySweeps[ExpectedImages]
) -> None:
    expected = sweeps.expected(case.model)
    datasets = read_datasets(sweeps.path(case))
    found = [datasets[f"capture/{name}/residual"] for name in expected.prompts(case)]
    assert_no_worse(*half_errors(case, found, expected.exact, expected.rounded_streams()))
