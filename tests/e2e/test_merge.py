"""Finished files over two corpora merge into the file of both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from support.random_models import MASSIVE_IDS, MODELS, make_random, save
from support.sweeps import Sweep, environment, read_datasets
from support.token_files import random_corpus, write_token_file
from support.watching import run

LENGTHS = (57, 40, 83, 39, 95)


# Random tokens are others in a merge than in one sweep: they follow from their numbers.
STORES = {
    "all": {"layers": [2, 0], "dtype": "bfloat16"},
    "events": {"tokens": "events"},
}


@pytest.mark.parametrize("stored", STORES)
def test_a_merge_equals_one_sweep_over_both_corpora(
    stored: str, program: Path, tmp_path: Path
) -> None:
    model = MODELS[0]
    save(make_random(model), model, tmp_path / "model")
    parts = [random_corpus(model.vocabulary, LENGTHS, seed=seed, often=MASSIVE_IDS) for seed in (1, 2)]
    parts[1] = replace(parts[1], classes=parts[0].classes)
    both = replace(parts[0], documents=[*parts[0].documents, *parts[1].documents])
    paths = []
    for name, corpus in zip(("a", "b", "both"), (*parts, both), strict=True):
        write_token_file(tmp_path / f"{name}-corpus.h5", corpus, {})
        job = {
            "model": {"path": str(tmp_path / "model")},
            "corpus": {
                "path": str(tmp_path / f"{name}-corpus.h5"),
                "sequence_length": 40,
                "windows": "per_document",
            },
            "parallel": {"threads": 1, "microbatch_tokens": 40},
            "statistics": {
                "loss": True,
                "quantisation": True,
                "criterion_magnitude": 3.0,
                "criterion_ratio": 4.0,
            },
            "store": {"sites": ["residual", "key"], **STORES[stored]},
            "output": {"path": str(tmp_path / f"{name}.h5"), "segment_tokens": 120},
        }
        paths.append(Sweep(program, job).run())
    merged = tmp_path / "merged.h5"
    result = run([program, "merge", *paths[:2], "-o", merged], [tmp_path], env=environment())
    assert result.returncode == 0, result.stderr
    mine, expected = read_datasets(merged), read_datasets(paths[2])
    assert mine.keys() == expected.keys() and len(mine["store/token"])
    is_in_second = expected["residual/channel_max_token"] >= sum(LENGTHS)
    assert is_in_second.any() and not is_in_second.all()
    for name, values in expected.items():
        if values.dtype == np.float64:
            np.testing.assert_allclose(mine[name], values, rtol=1e-12, err_msg=name)
        else:
            np.testing.assert_array_equal(mine[name], values, err_msg=name)
