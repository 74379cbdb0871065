"""Texts with images agree with transformers at m = 1, 2, 3, 4 and with streamed weights: the tower, the
projector, and the language model that reads their rows in the place of image tokens.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.family_sweeps import swept
from support.image_texts import IMAGE_ID, MODELS, ExpectedImageTexts, make_expected, streams_of

NAMES = [model.name for model in MODELS]
TOLERANCE = 2e-5  # of the largest value of a layer


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ExpectedImageTexts]:
    folder = tmp_path_factory.mktemp("image_texts")
    return {model.name: make_expected(model, folder / model.name) for model in MODELS}


@pytest.fixture(scope="module")
def resident(
    expected: dict[str, ExpectedImageTexts], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, int], dict[str, np.ndarray]]:
    def job(name: str, m: int, output: Path) -> dict[str, Any]:
        return expected[name].job(m, output)

    return swept(NAMES, (1, 2, 3, 4), tmp_path_factory.mktemp("resident"), job)


@pytest.fixture(scope="module")
def streamed(
    expected: dict[str, ExpectedImageTexts], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, int], dict[str, np.ndarray]]:
    def job(name: str, m: int, output: Path) -> dict[str, Any]:
        return expected[name].job(m, output, "streamed")

    return swept(NAMES, (1, 3), tmp_path_factory.mktemp("streamed"), job)


def assert_streams(found: dict[str, np.ndarray], wanted: ExpectedImageTexts) -> None:
    lengths = [stream.shape[1] for stream in wanted.streams]
    assert found["sequences/length"].tolist() == lengths
    streams = streams_of(found, lengths, wanted.channels)
    for mine, theirs in zip(streams, wanted.streams, strict=True):
        for layer in range(len(theirs)):
            scale = np.abs(theirs[layer]).max()
            error = np.abs(mine[layer] - theirs[layer]).max() / scale
            assert error < TOLERANCE, f"layer {layer}: {error:.2e} of {scale:.3g}"


@pytest.mark.parametrize("m", [1, 2, 3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_streams_are_those_of_transformers(name: str, m: int, expected: Any, resident: Any) -> None:
    assert_streams(resident[name, m], expected[name])


@pytest.mark.parametrize("m", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_streamed_weights_give_the_same_bits(name: str, m: int, resident: Any, streamed: Any) -> None:
    for path in ("residual/token_top_value", "residual/token_top_channel"):
        assert streamed[name, m][path].tobytes() == resident[name, m][path].tobytes(), path


def test_images_are_seen(expected: dict[str, ExpectedImageTexts], resident: Any) -> None:
    """Rows of one image differ, and so do those of two, although their ids are one."""
    name = NAMES[0]
    found = resident[name, 1]
    is_image = found["tokens/id"] == IMAGE_ID
    assert 2 * 81 <= is_image.sum() < len(is_image)
    rows = streams_of(found, [len(is_image)], expected[name].channels)[0][0][is_image]
    assert len(np.unique(rows, axis=0)) == len(rows)
