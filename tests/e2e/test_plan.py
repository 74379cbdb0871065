"""`actsweep plan` says what a run takes, refuses what cannot fit, and is right about the memory."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from memory import PeakMemory, planned_bytes
from running import GIB, Job, Run, make_corpus, make_job, make_model, run_alone, run_well, write_job

JOB_ERROR = 2
# 2.1 GB in bfloat16: 15 layers of 63 million weights, two tables of 66 million.
LARGE = {
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 15,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "vocab_size": 32000,
    "initializer_range": 0.02,
}
# Wide enough that weights, micro-batches and groups all count, and quick to write.
MIDDLING = {**LARGE, "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 4}


def plan(job: Path, ranks: int, *options: object) -> tuple[int, str]:
    """The exit code, and the table or the refusal."""
    result = run_alone("plan", job, "--ranks", ranks, *options)
    return result.returncode, result.stdout + result.stderr


def test_table_is_what_the_run_prints(model: Path, corpus: Path, tmp_path: Path) -> None:
    job = write_job(tmp_path / "job.toml", make_job(model, corpus, tmp_path / "sweep.h5"))
    code, table = plan(job, 4)
    assert code == 0
    log = run_well(job, 4)
    for words in (
        "model         tiny (llama, 4 layers, 48 channels, 6 heads), float32",
        "corpus        2496 tokens in 156 windows of 16",
        "ranks         4 = 2 replicas x 2 model ranks, 1 threads each",
        "work          10 segments of 256 tokens, blocks of 128, micro-batches of 64",
    ):
        assert words in table and words in log
    bytes_by_purpose = planned_bytes(table)
    assert bytes_by_purpose == planned_bytes(log) and len(bytes_by_purpose) == 5
    assert re.search(r"disk +segments at most [\d.]+ GiB, final file at most [\d.]+ GiB, free", table)
    assert re.search(r"time +(about|unknown)", table)


def test_plan_of_what_cannot_be_swept(model: Path, corpus: Path, tmp_path: Path) -> None:
    job = write_job(tmp_path / "job.toml", make_job(model, corpus, tmp_path / "sweep.h5"))
    assert plan(job, 3)[0] == JOB_ERROR
    assert plan(job, 2, "--set", "corpus.path=nowhere.h5")[0] == 3
    assert plan(job, 2, "--set", "model.path=nowhere")[0] == 4
    assert not (tmp_path / "sweep.h5.segments").exists()


@pytest.fixture(scope="module")
def middling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "middling", "bfloat16", **MIDDLING)


def middling_job(folder: Path, model: Path, **parallel: object) -> Path:
    corpus = make_corpus(folder / "corpus.h5", 20_000)
    job = make_job(
        model,
        corpus,
        folder / "sweep.h5",
        corpus={"sequence_length": 64},
        parallel={"tensor": 1, "microbatch_tokens": 4096, "block_tokens": 4096, **parallel},
        statistics={"loss": False},
        output={"segment_tokens": 16384},
    )
    return write_job(folder / "job.toml", job)


@pytest.mark.parametrize(
    ("memory_gib", "parallel", "proposal"),
    [
        (
            0.22,
            {"block_tokens": 16384, "weights": "streamed", "microbatch_tokens": 1024},
            "--set parallel.block_tokens=",
        ),
        (0.2, {"microbatch_tokens": 256}, "--set parallel.weights=streamed"),
        (
            0.25,
            {"weights": "streamed"},
            "--set parallel.weights=streamed --set parallel.microbatch_tokens=64",
        ),
        (
            0.05,
            {"block_tokens": 16384},
            "--set parallel.weights=streamed --set parallel.microbatch_tokens=256 "
            "--set parallel.tensor=4 --set parallel.block_tokens=",
        ),
    ],
    ids=["smaller block", "streamed", "smaller micro-batch", "wider group"],
)
def test_what_is_proposed_fits(
    memory_gib: float, parallel: dict[str, object], proposal: str, middling: Path, tmp_path: Path
) -> None:
    job = middling_job(tmp_path, middling, **parallel)
    limit = ("--memory", memory_gib)
    code, text = plan(job, 4, *limit)
    assert code == JOB_ERROR, text
    assert f"the job does not fit: expected at most {memory_gib:.2f} GiB a rank" in text
    options = re.search(r"; (--set .*) would fit$", text, re.M)
    assert options and options[1].startswith(proposal), text
    code, table = plan(job, 4, *limit, *shlex.split(options[1]))
    assert code == 0, table
    assert planned_bytes(table)["memory"] <= (memory_gib + 0.005) * GIB


def test_memory_that_is_proposed_is_enough(middling: Path, tmp_path: Path) -> None:
    job = middling_job(tmp_path, middling)
    code, text = plan(job, 4, "--memory", 0.01)
    assert code == JOB_ERROR
    found = re.search(r"; (--set .*) and ([\d.]+) GiB a rank would fit, or more ranks", text)
    assert found, text
    options = shlex.split(found[1])
    assert plan(job, 4, "--memory", found[2], *options)[0] == 0
    assert plan(job, 4, "--memory", float(found[2]) - 0.02, *options)[0] == JOB_ERROR


def test_run_refuses_what_does_not_fit(middling: Path, tmp_path: Path) -> None:
    """The same words from `run`, once, before anything is computed."""
    job = middling_job(tmp_path, middling, microbatch_tokens=1 << 24)
    corpus = make_corpus(tmp_path / "long.h5", 1 << 23)
    run = Run(job, 2, f"corpus.path={corpus}", "output.segment_tokens=8388608")
    assert run.finish() == JOB_ERROR, run.log()
    errors = [line for line in run.lines if "] error: " in line]
    assert len(errors) == 1 and "the job does not fit" in errors[0]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkpoint that does not outlive the tests."""
    directory = tmp_path_factory.mktemp("models") / "large"
    yield make_model(directory, "bfloat16", **LARGE)
    shutil.rmtree(directory)


def large_job(folder: Path, model: Path, weights: str, loss: bool) -> Job:
    return make_job(
        model,
        make_corpus(folder / "corpus.h5", 2048, vocabulary=LARGE["vocab_size"]),
        folder / "sweep.h5",
        model={"dtype": "bfloat16"},
        corpus={"sequence_length": 256},
        parallel={"weights": weights, "microbatch_tokens": 1024, "block_tokens": 2048},
        statistics={"loss": loss},
        output={"segment_tokens": 2048},
    )


@pytest.mark.slow
@pytest.mark.parametrize("loss", [False, True], ids=["states", "loss"])
@pytest.mark.parametrize("weights", ["resident", "streamed"])
def test_memory_is_what_plan_says(weights: str, loss: bool, large: Path, tmp_path: Path) -> None:
    """Within 10 % on every rank of two."""
    job = write_job(tmp_path / "job.toml", large_job(tmp_path, large, weights, loss))
    code, table = plan(job, 2)
    assert code == 0
    planned = planned_bytes(table)["memory"]
    run = Run(job, 2)
    memory = PeakMemory(run)
    assert run.finish() == 0, run.log()
    for rank, own in enumerate(memory.own_bytes()):
        print(f"rank {rank}: {own / GIB:.3f} GiB, planned {planned / GIB:.3f} GiB")
        assert abs(own - planned) <= 0.1 * planned
