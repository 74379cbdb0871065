"""A whole sweep over the NCCL backend and a fake NCCL on host memory equals the sweep over MPI to the bit.

Where a GPU is, the real NCCL has its own tests (label gpu); here the very same nccl_backend.cpp runs.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from support.random_models import MASSIVE_IDS, MODELS, make_random, save
from support.sweeps import Sweep, environment, read_datasets, to_toml
from support.token_files import random_corpus, write_token_file
from support.watching import run

LENGTHS = (57, 1, 0, 40, 2, 83, 39, 95, 5)
BUILD = Path(os.environ.get("ACTSWEEP_BUILD", Path(__file__).resolve().parents[2] / "build"))
OVER_NCCL = BUILD / "tests" / "fakes" / "actsweep_over_fake_nccl"


def job_of(folder: Path, m: int) -> dict[str, dict[str, object]]:
    model = MODELS[0]
    directory = folder / "model"
    if not directory.exists():
        save(make_random(model), model, directory)
        corpus = random_corpus(model.vocabulary, LENGTHS, seed=3, often=MASSIVE_IDS)
        write_token_file(folder / "corpus.h5", corpus, {})
    return {
        "model": {"path": str(directory)},
        "corpus": {
            "path": str(folder / "corpus.h5"),
            "sequence_length": 40,
            "windows": "per_document",
        },
        "parallel": {"tensor": m, "threads": 1, "microbatch_tokens": 160},
        "statistics": {"loss": True},
        "output": {"path": str(folder / "sweep.h5")},
    }


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_a_sweep_over_nccl_equals_one_over_mpi(program: Path, tmp_path: Path, m: int) -> None:
    job = job_of(tmp_path, m)
    over_mpi = read_datasets(Sweep(program, job, m).run())
    job["output"]["path"] = str(tmp_path / "nccl.h5")
    over_nccl = read_datasets(Sweep(OVER_NCCL, job, m).run())
    assert over_mpi.keys() == over_nccl.keys()
    for name, values in over_mpi.items():
        np.testing.assert_array_equal(over_nccl[name], values, err_msg=name)


def run_two_ranks(
    folder: Path, job: dict[str, dict[str, object]], **variables: str
) -> subprocess.CompletedProcess[str]:
    path = folder / "job.toml"
    path.write_text(to_toml(job))
    command = ["mpirun", "--oversubscribe", "-n", "2", OVER_NCCL, "run", path]
    return run(command, [folder], env={**environment(), **variables})


def test_a_failing_nccl_ends_all_ranks_with_exit_code_5(tmp_path: Path) -> None:
    job = job_of(tmp_path, 2)
    result = run_two_ranks(tmp_path, job, ACTSWEEP_FAKE_NCCL_FAIL="all_to_all:3")
    assert result.returncode == 5, result.stderr
    assert "NCCL reduce_scatter on rank" in result.stderr
    assert not Path(job["output"]["path"]).exists()


def test_nothing_is_committed_once_the_last_operation_has_failed(tmp_path: Path) -> None:
    """It fails after it was enqueued, so no call after it could report that."""
    job = job_of(tmp_path, 2)
    result = run_two_ranks(tmp_path, job, ACTSWEEP_FAKE_NCCL_REPORT="1")
    assert result.returncode == 0, result.stderr
    output = Path(job["output"]["path"])
    output.unlink()
    report = re.search(r"fake NCCL: rank 0 of 2 did (.*)", result.stderr)
    counts = dict(entry.split("=") for entry in report[1].split())
    assert counts.pop("init") == counts.pop("finalize") == "1"
    last = sum(int(count) for count in counts.values())
    result = run_two_ranks(tmp_path, job, ACTSWEEP_FAKE_NCCL_FAIL=f"late:{last}")
    assert result.returncode == 5, result.stderr
    assert "NCCL check on rank" in result.stderr
    assert not output.exists()
    assert not list(Path(f"{output}.segments").glob("*.h5"))
