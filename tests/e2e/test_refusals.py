"""Bad input gets one clear error and its own exit code, and leaves no rank hanging; nothing computed is lost."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.random_models import MASSIVE_IDS, MODELS, make_random, save
from support.sweeps import environment, read_datasets, to_toml
from support.token_files import random_corpus, write_token_file

RANKS = 2


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model and two corpora."""
    folder = tmp_path_factory.mktemp("inputs")
    save(make_random(MODELS[0]), MODELS[0], folder / "model")
    for name, seed in (("corpus.h5", 1), ("other.h5", 2)):
        corpus = random_corpus(MODELS[0].vocabulary, (57, 40, 83, 39, 95), seed=seed, often=MASSIVE_IDS)
        write_token_file(folder / name, corpus, {})
    return folder


def job_of(inputs: Path, output: Path) -> dict[str, dict[str, object]]:
    return {
        "model": {"path": str(inputs / "model")},
        "corpus": {"path": str(inputs / "corpus.h5"), "sequence_length": 20},
        "parallel": {"tensor": RANKS, "threads": 1, "microbatch_tokens": 80},
        "output": {"path": str(output), "segment_tokens": 80},
    }


def run(program: Path, job: dict[str, dict[str, object]], *extra: str) -> subprocess.CompletedProcess[str]:
    path = Path(str(job["output"]["path"])).with_suffix(".toml")
    path.write_text(to_toml(job))
    return subprocess.run(
        ["mpirun", "--oversubscribe", "-n", str(RANKS), program, "run", path, *extra],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
    )


def assert_refused(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert result.returncode == code, result.stderr
    errors = [line for line in result.stderr.splitlines() if " error: " in line]
    assert len(errors) == 1, result.stderr
    for word in words:
        assert word in result.stderr


def edit_header(path: Path, change: Callable[[dict[str, dict[str, object]]], None]) -> None:
    """Rewrites the header of a safetensors file in place of the old one."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def weight(header: dict[str, dict[str, object]], name: str = "model.norm.weight") -> dict[str, object]:
    return header[name]


def swap_offsets(header: dict[str, dict[str, object]]) -> None:
    entry = weight(header)
    begin, end = entry["data_offsets"]
    entry["data_offsets"] = [begin - 4, end - 4]


def pass_the_end(header: dict[str, dict[str, object]]) -> None:
    last = max((e for n, e in header.items() if n != "__metadata__"), key=lambda e: e["data_offsets"][1])
    last["data_offsets"] = [offset + 4096 for offset in last["data_offsets"]]


BROKEN_HEADERS = {
    "overlap": (swap_offsets, ("model.norm.weight", "overlaps")),
    "out of range": (pass_the_end, ("out of range",)),
    "wrong dtype": (lambda h: weight(h).update(dtype="I32"), ("model.norm.weight", "dtype", "I32")),
    "wrong shape": (lambda h: weight(h).update(shape=[3, 5]), ("model.norm.weight", "[3, 5]")),
    "missing": (lambda h: h.update(other=h.pop("model.norm.weight")), ("model.norm.weight", "missing")),
}


@pytest.mark.parametrize("name", BROKEN_HEADERS)
def test_a_broken_checkpoint_is_refused(program: Path, inputs: Path, tmp_path: Path, name: str) -> None:
    change, words = BROKEN_HEADERS[name]
    shutil.copytree(inputs / "model", tmp_path / "model")
    edit_header(tmp_path / "model" / "model.safetensors", change)
    job = job_of(inputs, tmp_path / "sweep.h5")
    job["model"]["path"] = str(tmp_path / "model")
    assert_refused(run(program, job), 4, "model.safetensors" if name != "missing" else "model", *words)


def test_a_truncated_checkpoint_is_refused(program: Path, inputs: Path, tmp_path: Path) -> None:
    shutil.copytree(inputs / "model", tmp_path / "model")
    path = tmp_path / "model" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    job = job_of(inputs, tmp_path / "sweep.h5")
    job["model"]["path"] = str(tmp_path / "model")
    assert_refused(run(program, job), 4, "model.safetensors", "truncated")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("model_type", "frog", ('"llama"', '"mistral"', '"qwen2"', '"frog"')),
        ("intermediate_size", 17, ("expected shape", "found")),
        ("hidden_act", "gelu", ("hidden_act", '"silu"', '"gelu"')),
    ],
)
def test_a_config_that_does_not_fit_is_refused(
    program: Path, inputs: Path, tmp_path: Path, key: str, value: object, words: tuple[str, ...]
) -> None:
    shutil.copytree(inputs / "model", tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    job = job_of(inputs, tmp_path / "sweep.h5")
    job["model"]["path"] = str(tmp_path / "model")
    assert_refused(run(program, job), 4, *words)


def test_all_mistakes_of_a_job_are_told_at_once(program: Path, inputs: Path, tmp_path: Path) -> None:
    job = job_of(inputs, tmp_path / "sweep.h5")
    job["corpus"]["sequence_lenght"] = 3
    job["parallel"]["threads"] = "two"
    assert_refused(run(program, job), 2, 'did you mean "sequence_length"', "threads")


def test_a_file_that_is_no_corpus_is_refused(program: Path, inputs: Path, tmp_path: Path) -> None:
    job = job_of(inputs, tmp_path / "sweep.h5")
    job["corpus"]["path"] = str(inputs / "model" / "config.json")
    assert_refused(run(program, job), 3, "config.json")


def test_a_world_that_the_group_does_not_divide_is_refused(
    program: Path, inputs: Path, tmp_path: Path
) -> None:
    job = job_of(inputs, tmp_path / "sweep.h5")
    assert_refused(run(program, job, "--set", "parallel.tensor=3"), 2, "tensor = 3")


def test_a_complete_file_is_left_alone_and_another_job_is_refused(
    program: Path, inputs: Path, tmp_path: Path
) -> None:
    job = job_of(inputs, tmp_path / "sweep.h5")
    assert run(program, job).returncode == 0
    before = (tmp_path / "sweep.h5").stat().st_mtime_ns
    again = run(program, job)
    assert again.returncode == 0 and "nothing to do" in again.stderr
    assert_refused(run(program, job, "--set", "statistics.top_k=2"), 6, "statistics.top_k")
    assert (tmp_path / "sweep.h5").stat().st_mtime_ns == before


def test_segments_of_another_job_are_refused_and_kept(program: Path, inputs: Path, tmp_path: Path) -> None:
    job = job_of(inputs, tmp_path / "sweep.h5")
    assert run(program, job, "--set", 'corpus.shard="0/2"').returncode == 0
    segments = sorted((tmp_path / "sweep.h5.segments").iterdir())
    assert segments
    assert_refused(run(program, job, "--set", "corpus.sequence_length=10"), 6, "corpus.sequence_length")
    assert sorted((tmp_path / "sweep.h5.segments").iterdir()) == segments
    assert run(program, job).returncode == 0
    assert len(read_datasets(tmp_path / "sweep.h5")["tokens/id"]) > 0


def test_an_output_path_that_cannot_be_made_is_refused(program: Path, inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    job = job_of(inputs, tmp_path / "sweep.h5")
    assert_refused(run(program, job, "--set", f"output.path={tmp_path}/file/sweep.h5"), 6, "file")
