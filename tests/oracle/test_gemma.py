"""The real Gemma 3 270M agrees with transformers on real text at m = 1 and 2.

The checkpoint is that of `make study-weights`, the text the Debian Reference, tokenised here. The
prompts begin with a BOS, without which the model is another; one is longer than its window of 512.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest

from support.bounds import Losses
from support.real_models import assert_streams_and_losses_agree
from support.sweeps import Sweep
from support.transformers_oracle import BothPrecisions, InBothPrecisions

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "gemma-3-270m"
BOS = 2
WINDOWS, LENGTH = 4, 256
PROMPT_TOKENS = {"long": (20_000, 700), "short": (50_000, 90)}  # begin and number


@dataclass(frozen=True)
class Expected:
    """The token file, and what transformers makes of it."""

    corpus: Path
    streams: InBothPrecisions  # by prompt
    losses: Losses


def write_corpus(path: Path) -> np.ndarray:
    """The Debian Reference, and prompts that begin with a BOS; the text's ids."""
    fetch = [str(ROOT / "data" / "fetch_demo_corpus.sh"), str(ROOT / "corpora")]
    text = subprocess.run(fetch, check=True, capture_output=True, text=True).stdout.strip()
    prepare = [sys.executable, str(ROOT / "data" / "prepare_corpus.py"), "--tokenizer", str(MODEL)]
    subprocess.run([*prepare, "--output", str(path), text], check=True, capture_output=True)
    with h5py.File(path, "r+") as file:
        assert file.attrs["bos_id"] == BOS
        ids = file["ids"][()]
        for name, (begin, number) in PROMPT_TOKENS.items():
            file[f"prompts/{name}"] = with_bos(ids[begin : begin + number])
    return ids


def with_bos(ids: np.ndarray) -> np.ndarray:
    return np.insert(ids, 0, BOS).astype("<u4")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Expected:
    assert MODEL.exists(), f"{MODEL}: expected the checkpoint of `make study-weights`"
    corpus = tmp_path_factory.mktemp("gemma") / "corpus.h5"
    ids = write_corpus(corpus)
    oracles = BothPrecisions(MODEL)
    prompts = [with_bos(ids[begin : begin + count]) for begin, count in PROMPT_TOKENS.values()]
    step = LENGTH - 1
    windows = [with_bos(ids[i * step : (i + 1) * step]) for i in range(WINDOWS)]
    return Expected(corpus, oracles.streams(prompts), oracles.losses(windows))


@pytest.mark.parametrize("m", [1, 2])
def test_streams_and_losses_agree(
    m: int, program: Path, expected: Expected, tmp_path: Path
) -> None:
    job = {
        "model": {"path": str(MODEL)},
        "corpus": {
            "path": str(expected.corpus),
            "sequence_length": LENGTH,
            "bos": "each_window",
            "max_sequences": WINDOWS,
        },
        "parallel": {"tensor": m, "threads": 1},
        "statistics": {"loss": True},
        "capture": {"prompts": list(PROMPT_TOKENS)},
        "output": {"path": str(tmp_path / "sweep.h5")},
    }
    path = Sweep(program, job, m).run()
    assert_streams_and_losses_agree(path, list(PROMPT_TOKENS), expected.streams, expected.losses)
