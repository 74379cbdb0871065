"""Streamed weights cost little time where a block is large. Compares times: ctest runs it alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from large_models import HUGE, RANKS, drop_from_cache, large_job, waited_s
from running import run_well, write_job

pytestmark = pytest.mark.slow
PAIRS = 6  # at most

# 0.7 GB in bfloat16.
FITTING = {
    **HUGE,
    "hidden_size": 1536,
    "intermediate_size": 6144,
    "num_hidden_layers": 10,
    "num_attention_heads": 12,
    "num_key_value_heads": 4,
    "vocab_size": 8000,
}


def test_reads_hide_behind_a_large_block(folder: Path) -> None:
    """The fastest of interleaved runs: streamed takes at most a tenth longer.

    A disturbed run is slow, an undisturbed one not fast by chance: so pairs are run until one shows it.
    """
    model, job = large_job(folder, FITTING, 16384, "bfloat16", microbatch_tokens=2048)
    path = write_job(folder / "job.toml", job)
    taken_s: dict[str, list[float]] = {"resident": [], "streamed": []}
    for _ in range(PAIRS):
        for weights, times in taken_s.items():
            drop_from_cache(model)
            output = folder / f"{weights}-{len(times)}.h5"
            log = run_well(path, RANKS, f"parallel.weights={weights}", f"output.path={output}")
            assert (waited_s(log) == 0) == (weights == "resident")
            found = re.search(r"measured 16384 tokens in ([\d.]+) s", log)
            assert found, log
            times.append(float(found[1]))
            print(f"{weights}: {found[1]} s, of which waiting for weights {waited_s(log)} s")
        if len(times) > 1 and is_hidden(taken_s):
            break
    assert is_hidden(taken_s), taken_s


def is_hidden(taken_s: dict[str, list[float]]) -> bool:
    return min(taken_s["streamed"]) <= 1.1 * min(taken_s["resident"])
