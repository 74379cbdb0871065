"""A sequence with a value that is not finite enters nothing that is measured of attention."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from support.attention_reference import attention_references, class_first
from support.bounds import assert_near
from support.inner_oracle import InnerOracle, run_in_both
from support.inner_references import exact_reference, head_square_references
from support.random_models import MODELS, make_random, save
from support.sweeps import Sweep, read_datasets
from support.token_files import Cut, random_corpus, write_token_file

(MODEL,) = (model for model in MODELS if model.name == "mixtral-5over1-2of5")
INFINITE_ID = 9
CUT = Cut(64, "per_document")
LENGTHS = (64, 40, 64, 50, 64, 33, 20)  # windows of 64: two to a micro-batch
INFINITE = (5, 6)  # the last: random sets are drawn by a window's number


@pytest.mark.parametrize("m", (1, 3))
def test_sequences_with_an_infinite_token_are_left_out(
    m: int, program: Path, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    module = make_random(MODEL)
    corpus = random_corpus(MODEL.vocabulary, LENGTHS, seed=4)
    for number, ids in enumerate(corpus.documents):
        ids[ids == INFINITE_ID] = 2
        if number in INFINITE:
            ids[len(ids) // 2] = INFINITE_ID
    with torch.no_grad():
        module.get_input_embeddings().weight[INFINITE_ID, 3] = torch.inf
    directory = save(module, MODEL, tmp_path / "model")
    job = {
        "model": {"path": str(directory)},
        "corpus": {
            "path": str(write_token_file(tmp_path / "corpus.h5", corpus, {})),
            **CUT.job_keys(),
        },
        "parallel": {"tensor": m, "threads": 1, "microbatch_tokens": 128},
        "statistics": {
            "attention": ["position:0", "class:delimiter:first"],
            "value_updates": True,
            "query_key": True,
            "experts": True,
        },
        "output": {"path": str(tmp_path / "sweep.h5")},
    }
    datasets = read_datasets(Sweep(program, job, m).run())

    windows = corpus.windows(CUT)
    kept = [number for number in range(len(windows)) if number not in INFINITE]
    inners = run_in_both(
        lambda patch, dtype: InnerOracle(directory, patch, dtype),
        [windows[number].ids for number in kept],
    )
    layers = inners.num_layers
    sets = [lambda _window, _layer: [0], class_first(windows, "delimiter")]
    expected = attention_references(inners, sets, [None] * layers, numbers=kept)
    for site in ("query", "key"):
        expected[f"qk/rotated_{site}_square_sum"] = head_square_references(inners, site)
    tokens = sum(len(windows[number].ids) for number in kept)
    expected["qk/token_count"] = exact_reference(np.array([0] + [tokens] * layers))
    assert len(expected) > 20
    for name, reference in expected.items():
        assert_near(name, datasets[name], reference)
    # Of experts the tokens are left out, not their sequences.
    assert np.isfinite(datasets["experts/max_output"]).all()
    left_out = datasets["residual/nonfinite_tokens"][1:]
    routed = datasets["experts/token_count"][1:].sum(axis=1)
    every = sum(len(window.ids) for window in windows)
    assert left_out[0] > len(INFINITE)
    np.testing.assert_array_equal(routed, (every - left_out) * 2)
