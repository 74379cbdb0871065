"""bfloat16 and float16 on a machine without instructions for their products.

Every run here is held to AVX2 by the variables that oneDNN, MKL and ATen read, so that products are
taken in float32 of widened pieces whatever this machine has.
"""

from __future__ import annotations

import re
import resource
import signal
from pathlib import Path

import pytest
from memory import PeakMemory, planned_bytes
from running import (
    Run,
    assert_same_files,
    dying_at,
    make_corpus,
    make_job,
    make_model,
    run_alone,
    run_well,
    write_job,
)

RANKS = 2
HELD_TO_AVX2 = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
}
DTYPES = ("bfloat16", "float16")
ROUTED = {"model_type": "mixtral", "num_local_experts": 5, "num_experts_per_tok": 2}
# 200 million weights: 0.4 GB.
MIDDLING = {
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 3,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "vocab_size": 4000,
    "initializer_range": 0.02,
}
# SmolLM2's widths.
NARROW = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 12,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "initializer_range": 0.02,
}


@pytest.fixture(autouse=True)
def held_to_avx2(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in HELD_TO_AVX2.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module", params=["dense", "routed"])
def either_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = ROUTED if request.param == "routed" else {}
    return make_model(tmp_path_factory.mktemp("models") / request.param, **config)


@pytest.mark.parametrize("dtype", DTYPES)
def test_plan_and_run_say_that_products_are_widened(
    dtype: str, model: Path, corpus: Path, tmp_path: Path
) -> None:
    sections = {"model": {"dtype": dtype}, "statistics": {"loss": False}}
    job = make_job(model, corpus, tmp_path / "sweep.h5", **sections)
    path = write_job(tmp_path / "job.toml", job)
    words = f"products      in float32, of widened {dtype}: this CPU has no instructions for"
    assert words in run_alone("plan", path, "--ranks", RANKS).stdout
    assert words in run_well(path, RANKS)
    assert "widened" not in run_alone("plan", path, "--ranks", RANKS, "--set",
                                      "model.dtype=float32").stdout  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_blocks_weight_modes_replicas_and_kills_change_no_bit(
    dtype: str, either_model: Path, corpus: Path, tmp_path: Path
) -> None:
    job = make_job(either_model, corpus, tmp_path / "sweep.h5", model={"dtype": dtype})
    path = write_job(tmp_path / "job.toml", job)
    expected = tmp_path / "sweep.h5"
    run_well(path, RANKS)
    for name, ranks, sets in (
        ("streamed", RANKS, ["parallel.weights=streamed"]),
        ("small-blocks", RANKS, ["parallel.block_tokens=64"]),
        ("streamed-large-blocks", RANKS, ["parallel.weights=streamed", "parallel.block_tokens=256"]),
        ("replicas", 2 * RANKS, []),
    ):
        found = tmp_path / f"{name}.h5"
        run_well(path, ranks, f"output.path={found}", *sets)
        assert_same_files(found, expected)
    found = tmp_path / "killed.h5"
    killed = Run(path, RANKS, f"output.path={found}", under=dying_at("segment 3: layer 2"))
    assert killed.finish() == 128 + signal.SIGKILL, killed.log()
    log = run_well(path, RANKS, f"output.path={found}")
    assert re.search(r"([89]|10) of 11 units of work are pending", log), log
    assert_same_files(found, expected)


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.mark.slow
def test_sweeps_reach_the_rate_of_float32(folder: Path) -> None:
    """0.85 of it, by processor time beyond that of a sweep of one window, the least of three."""
    model = make_model(folder / "model", "bfloat16", **NARROW)
    corpus = make_corpus(folder / "corpus.h5", 4096)
    job = make_job(
        model,
        corpus,
        folder / "sweep.h5",
        corpus={"sequence_length": 256},
        parallel={"tensor": 1, "microbatch_tokens": 4096, "block_tokens": 4096},
        statistics={"loss": False},
        capture={"prompts": []},
        output={"segment_tokens": 4096},
    )
    path = write_job(folder / "job.toml", job)

    def seconds(*sets: str) -> float:
        before_s = cpu_s()
        run_well(path, 1, *sets)
        (folder / "sweep.h5").unlink()
        return cpu_s() - before_s

    for mode in ("resident", "streamed"):
        taken: dict[str, list[float]] = {}
        for _ in range(3):
            for dtype in ("float32", *DTYPES):
                sets = (f"parallel.weights={mode}", f"model.dtype={dtype}")
                start_s = seconds(*sets, "corpus.max_sequences=1")
                taken.setdefault(dtype, []).append(seconds(*sets) - start_s)
        rates = {dtype: min(taken["float32"]) / min(taken[dtype]) for dtype in DTYPES}
        print(mode, rates, taken)
        assert min(rates.values()) >= 0.85, (mode, taken)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["resident", "streamed"])
def test_memory_is_what_plan_says(mode: str, folder: Path) -> None:
    model = make_model(folder / "model", "bfloat16", **MIDDLING)
    corpus = make_corpus(folder / "corpus.h5", 4096, vocabulary=MIDDLING["vocab_size"])
    job = make_job(
        model,
        corpus,
        folder / "sweep.h5",
        model={"dtype": "bfloat16"},
        corpus={"sequence_length": 256},
        parallel={"microbatch_tokens": 2048, "block_tokens": 4096, "weights": mode},
        statistics={"loss": True},
        output={"segment_tokens": 4096},
        capture={"prompts": []},
    )
    path = write_job(folder / "job.toml", job)
    planned = planned_bytes(run_alone("plan", path, "--ranks", RANKS).stdout)["memory"]
    run = Run(path, RANKS)
    memory = PeakMemory(run)
    assert run.finish() == 0, run.log()
    own = memory.own_bytes()
    print(f"{mode}: own {own}, planned {planned}")
    assert all(abs(each - planned) <= 0.1 * planned for each in own)
