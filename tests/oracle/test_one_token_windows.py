"""Windows of one token: every site, attention, what keys receive and the largest scores equal what
transformers computes of the tokens one by one. At m = 1, 2.

A token alone has no key but itself, and a learned sink: nothing is received, no loss follows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from support.attention_reference import attention_references
from support.bounds import assert_near
from support.inner_oracle import InBoth, InnerOracle, run_in_both
from support.inner_references import assert_site
from support.random_models import MODELS, make_random, save
from support.second_look_reference import check_extrema, check_received
from support.sweeps import Sweep, read_datasets
from support.token_files import Cut, Window, random_corpus, write_token_file

CUT = Cut(1)
NAMES = ("gemma2-4over2-head24-window16", "gpt_oss-5over1-head16-2of5-window16")
SITES = ("attention_input", "query", "key", "value", "attention_output", "mlp_output", "final_norm")


@dataclass(frozen=True)
class Made:
    folder: Path
    windows: list[Window]
    inners: InBoth

    def datasets(self, m: int, program: Path) -> dict[str, np.ndarray]:
        job: dict[str, dict[str, Any]] = {
            "model": {"path": str(self.folder / "model")},
            "corpus": {"path": str(self.folder / "corpus.h5"), **CUT.job_keys()},
            "parallel": {"tensor": m, "threads": 1, "microbatch_tokens": 8},
            "statistics": {
                "sites": ["residual", *SITES],
                "attention": ["position:0"],
                "attention_received": True,
                "score_extrema": True,
                "value_updates": True,
                "query_key": True,
                "loss": True,
            },
            "capture": {"prompts": ["alone"], "attention": True},
            "output": {"path": str(self.folder / f"sweep-{m}.h5")},
        }
        return read_datasets(Sweep(program, job, m).run())


@pytest.fixture(scope="module", params=NAMES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    torch.set_num_threads(1)
    (model,) = (model for model in MODELS if model.name == request.param)
    folder = tmp_path_factory.mktemp(model.name)
    directory = save(make_random(model), model, folder / "model")
    corpus = random_corpus(model.vocabulary, (60, 1, 0, 60), seed=4)
    windows = corpus.windows(CUT)
    write_token_file(folder / "corpus.h5", corpus, {"alone": windows[0].ids})
    inners = run_in_both(
        lambda patch, dtype: InnerOracle(directory, patch, dtype), [window.ids for window in windows]
    )
    return Made(folder, windows, inners)


def one_rounding(inners: InBoth) -> float:
    """Of a score. transformers divides exp(s) by itself, which has none; exp(s - lse) has that of s."""
    largest = max(np.abs(a.logit).max() for inner in inners.exact for a in inner.attention)
    return float(np.finfo(np.float32).eps * largest)


@pytest.mark.parametrize("m", [1, 2])
def test_tokens_alone_are_those_of_transformers(m: int, made: Made, program: Path) -> None:
    found = made.datasets(m, program)
    inners, none = made.inners, [None] * made.inners.num_layers
    assert found["tokens/sequence"].tolist() == list(range(len(made.windows)))
    for site in SITES:
        assert_site(found, site, inners, [window.classes for window in made.windows])
    has_slot = "gpt_oss" in made.folder.name
    for path, values in attention_references(inners, [lambda *_: [0]], none, has_slot=has_slot).items():
        if path in ("attention/sink_sum", "attention/mass_sum"):
            values = replace(values, error=values.error + one_rounding(inners) * values.size)
        assert_near(path, found[path], values)
    check_received(found, inners, none)
    assert np.isnan(found["attention_received/token_mean"]).all()
    check_extrema(found, inners, none)
    assert np.isnan(found["loss/token_nll"]).all()
    assert found["capture/alone/attention"].shape[-2:] == (1, 1)
