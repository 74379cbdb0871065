"""Sweeps of checkpoints of gigabytes, whose reads are reads from the disk."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from running import make_corpus, make_job, make_model

RANKS = 2
# 8.4 GB in bfloat16: 18 layers of 218 million weights, two tables of 131 million.
HUGE = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 18,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 32000,
    "initializer_range": 0.02,
}


def large_job(
    folder: Path, sizes: dict[str, Any], tokens: int, dtype: str, **parallel: Any
) -> tuple[Path, dict[str, Any]]:
    """A bfloat16 checkpoint of these sizes, and a job over one segment of a corpus."""
    model = make_model(folder / "model", "bfloat16", **sizes)
    corpus = make_corpus(folder / "corpus.h5", tokens, vocabulary=sizes["vocab_size"])
    job = make_job(
        model,
        corpus,
        folder / "sweep.h5",
        model={"dtype": dtype},
        corpus={"sequence_length": 256},
        parallel={"block_tokens": tokens, **parallel},
        statistics={"loss": False},
        output={"segment_tokens": tokens},
        capture={"prompts": []},
    )
    return model, job


def drop_from_cache(model: Path) -> None:
    for path in model.iterdir():
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def waited_s(log: str) -> float:
    found = re.search(r"waiting for weights ([\d.]+) s \((streamed|resident)\)", log)
    assert found, log
    return float(found[1])
