"""Each rank of a model group writes the rows that it owns; together they lie in the order of the
corpus, whatever the group.

In windows of unlike lengths, dealt out in micro-batches that groups do not divide.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from running import Run, assert_same_files, dying_at, make_job, run_well, write_job

WINDOWS = {"windows": "per_document", "sequence_length": 24}
NEAR = {"rtol": 1e-3, "atol": 1e-3}  # float32 through four layers, in another order


def sweep(folder: Path, model: Path, corpus: Path, members: int, replicas: int = 1, **output: Any) -> Path:
    """A sweep of seven windows a micro-batch, as far as the members allow, two to a block."""
    folder.mkdir(parents=True)
    parallel = {"tensor": members, "microbatch_tokens": 7 * 24, "block_tokens": 14 * 24}
    keys = {"corpus": WINDOWS, "parallel": parallel, "output": {"segment_tokens": 700, **output}}
    job = write_job(folder / "job.toml", make_job(model, corpus, folder / "sweep.h5", **keys))
    run_well(job, members * replicas)
    return folder / "sweep.h5"


@pytest.fixture(scope="module")
def alone(model: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of one rank."""
    return sweep(tmp_path_factory.mktemp("alone") / "1", model, corpus, 1)


def assert_ordered(file: h5py.File) -> None:
    """Labels and events name each other, and neither goes back."""
    sequence, position = file["tokens/sequence"][()], file["tokens/position"][()]
    assert (np.diff(sequence) >= 0).all() and (position[1:][np.diff(sequence) == 0] > 0).all()
    assert (np.bincount(sequence) == file["sequences/length"][()]).all()
    token = file["massive/token"][()]
    assert len(token) > 0 and (np.diff(file["massive/sequence"][()]) >= 0).all()
    assert (file["massive/sequence"][()] == sequence[token]).all()
    assert (file["massive/position"][()] == position[token]).all()
    assert (file["massive/token_id"][()] == file["tokens/id"][()][token]).all()


@pytest.mark.parametrize("members", [2, 3, 4])
def test_rows_lie_as_one_rank_writes_them(
    members: int, model: Path, corpus: Path, alone: Path, tmp_path: Path
) -> None:
    path = sweep(tmp_path / "sweep", model, corpus, members)
    with h5py.File(path) as file, h5py.File(alone) as expected:
        assert_ordered(file)
        for name in [*(f"tokens/{label}" for label in expected["tokens"]), "sequences/length"]:
            assert (file[name][()] == expected[name][()]).all(), name
        compared = 0
        for name, values in expected["residual"].items():
            if values.attrs["merge"] != b"rows" and values.attrs["merge"] != "rows":
                continue
            if values.dtype.kind == "f":
                np.testing.assert_allclose(file["residual"][name][()], values[()], **NEAR, err_msg=name)
                compared += 1
        assert compared > 2


@pytest.mark.parametrize("members", [1, 2, 3, 4])
def test_kept_rows_are_those_of_tokens_with_an_event(
    members: int, model: Path, corpus: Path, tmp_path: Path
) -> None:
    whole = sweep(tmp_path / "all", model, corpus, members)
    path = sweep(tmp_path / "massive", model, corpus, members, per_token="massive")
    with h5py.File(path) as file, h5py.File(whole) as every:
        assert_ordered(file)
        kept = file["tokens/row_token"][()]
        assert (kept == np.unique(file["massive/token"][()])).all()
        for name in ("residual/token_norm", "residual/token_top_value"):
            assert (file[name][()] == every[name][:, kept]).all(), name


def test_replicas_of_two_members_end_with_the_same_file(
    model: Path, corpus: Path, tmp_path: Path
) -> None:
    for per_token in ("all", "massive"):
        one = sweep(tmp_path / per_token / "1", model, corpus, 2, per_token=per_token)
        two = sweep(tmp_path / per_token / "2", model, corpus, 2, 2, per_token=per_token)
        assert_same_files(two, one)


def test_resumed_group_of_three_ends_with_the_same_file(
    model: Path, corpus: Path, tmp_path: Path
) -> None:
    expected = sweep(tmp_path / "whole", model, corpus, 3)
    job = tmp_path / "whole" / "job.toml"
    again = tmp_path / "again.h5"
    run = Run(job, 3, f"output.path={again}", rank=2, under=dying_at("segment 1 part 2: renamed"))
    assert run.finish() == 137, run.log()
    folder = tmp_path / "again.h5.segments"
    assert not (folder / "segment-000001.h5").exists()
    assert (folder / "segment-000001.h5.part-2").exists()
    run_well(job, 3, f"output.path={again}")
    assert_same_files(again, expected)
    assert not folder.exists()
