"""`python -m actsweep sweep`: a model and texts become a corpus, a job, a sweep file and a report."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import h5py
import pytest
from running import PROGRAM, ROOT, environment

from actsweep.sweep_command import launcher

MODEL = ROOT / "models/smollm2-135m-instruct"
TEXTS = ["The fox is quick.\n" * 40, "Summer is warm, and winter is not.\n" * 40]


def sweep(folder: Path, *options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "actsweep", "sweep", "--model", MODEL, "--text", folder / "*.txt"]
    command += ["-o", folder / "out/sweep.h5", "--program", PROGRAM, "--data", ROOT / "data", *options]
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, env=environment(), cwd=folder
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, text in enumerate(TEXTS):
        (tmp_path / f"{number}.txt").write_text(text)
    return tmp_path


def test_one_command_makes_everything(folder: Path) -> None:
    options = ("--sequence-length", 32, "--windows", 4, "--ranks", 2)
    done = sweep(folder, *options, "--set", "parallel.tensor=2")
    assert done.returncode == 0, done.stderr
    out = folder / "out"
    with h5py.File(out / "sweep.h5") as file, h5py.File(out / "sweep-corpus.h5") as corpus:
        assert file["tokens/id"].shape == (128,) and file.attrs["model_group_size"] == 2
        assert file.attrs["corpus_fingerprint"] == corpus.attrs["corpus_fingerprint"]
        assert corpus.attrs["num_documents"] == len(TEXTS)
    assert "<html" in (out / "sweep-report/index.html").read_text()
    job = tomllib.loads((out / "sweep.toml").read_text())
    assert job["corpus"] == {
        "path": str(out / "sweep-corpus.h5"), "sequence_length": 32, "max_sequences": 4,
    }  # fmt: skip
    last = done.stdout.strip().splitlines()[-1]
    assert all(str(out / name) in last for name in ("sweep.h5", "sweep-report/index.html", "sweep.toml"))
    assert "mpirun --bind-to none -n 2" in done.stdout


def test_the_same_command_keeps_the_corpus(folder: Path) -> None:
    """Until a text is newer than it, or the command is another: then the sweep file is another job's."""
    text, options = folder / "0.txt", ["--sequence-length", 32, "--windows", 2]
    corpus = folder / "out/sweep-corpus.h5"

    def made(*more: object, code: int = 0) -> int:
        done = sweep(folder, "--text", text, *options, *more)
        assert done.returncode == code, done.stderr
        return corpus.stat().st_mtime_ns

    first = made()
    assert made() == first
    os.utime(text, (corpus.stat().st_mtime + 10,) * 2)
    second = made()
    assert second > first
    os.utime(text, (1, 1))
    assert made() == second and made("--prepare=--special bos", code=6) > second


def test_a_mistake_ends_with_the_programs_exit_code(folder: Path) -> None:
    done = sweep(folder, "--prepare=--text-field")
    assert done.returncode == 2 and "prepare_corpus.py: error" in done.stderr
    done = sweep(folder, "--set", "parallel.tensor=0")
    assert done.returncode == 2 and "parallel.tensor=0: expected an integer" in done.stdout + done.stderr
    assert not (folder / "out/sweep-report").exists()


def test_ranks_are_started_by_what_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert launcher(1) == [] and launcher(3) == ["mpirun", "--bind-to", "none", "-n", "3"]
    (tmp_path / "srun").write_text("#!/bin/sh\n")
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert launcher(2) == ["srun", "--mpi=pmix", "--ntasks=2", "--kill-on-bad-exit=1"]
