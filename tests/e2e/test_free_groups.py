"""Segments are measured by the model group that is free: one that stands still keeps only its own."""

import os
import signal
from pathlib import Path

import pytest
from running import Run, assert_same_files, make_job, run_well, segments_of, write_job

UNITS = 11


@pytest.fixture(scope="module")
def expected(model: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of one group."""
    folder = tmp_path_factory.mktemp("expected")
    run_well(write_job(folder / "job.toml", make_job(model, corpus, folder / "sweep.h5")), 2)
    return folder / "sweep.h5"


@pytest.mark.parametrize("weights", ["resident", "streamed"])
def test_a_group_that_stands_still_leaves_the_work_to_the_other(
    weights: str, model: Path, corpus: Path, expected: Path, tmp_path: Path
) -> None:
    """Held in its first segment until all others are committed; the file is the same."""
    output = tmp_path / "sweep.h5"
    job = make_job(model, corpus, output, parallel={"weights": weights})
    path = write_job(tmp_path / "job.toml", job)
    run = Run(path, 4, rank=2, under=["env", "ACTSWEEP_HOLD_AT=segment 1: layer 2"])
    run.wait_until(lambda: len(segments_of(output)) == UNITS - 1)
    assert "segment-000001.h5" not in segments_of(output)
    os.kill(run.pids()[2], signal.SIGCONT)
    assert run.finish() == 0, run.log()
    assert_same_files(output, expected)
