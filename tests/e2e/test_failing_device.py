"""A device that fails for good: the error is in the log with its step, all ranks end with 5, none by abort.

The program is linked to a fake device that throws LibTorch's errors, in its destructor too, as a GPU's memory
does after an error that stays.
"""

import os
import re
from pathlib import Path

import pytest
from running import Run, make_job, run_well, segments_of, write_job

BUILD = Path(os.environ.get("ACTSWEEP_BUILD", Path(__file__).resolve().parents[2] / "build"))
ON_FAILING_DEVICE = BUILD / "tests" / "fakes" / "actsweep_on_failing_device"
DEVICE_ERROR = 5
STAGES = 5  # of 4 layers and the head
PASS = 5  # waits of one block


@pytest.fixture
def job(model: Path, corpus: Path, tmp_path: Path) -> Path:
    return write_job(tmp_path / "job.toml", make_job(model, corpus, tmp_path / "sweep.h5"))


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize(
    ("waits", "step"),
    [
        (3, "reading the weights"),  # which the store does not outlive
        (STAGES + 5 * PASS, r"segment \d+: layer \d"),  # in the third segment
    ],
)
def test_error_that_stays_ends_all_ranks(ranks: int, waits: int, step: str, job: Path) -> None:
    sets = [f"parallel.tensor={min(ranks, 2)}"]
    run = Run(
        job, ranks, *sets, program=ON_FAILING_DEVICE, ACTSWEEP_FAKE_DEVICE_FAIL=str(waits)
    )
    assert run.finish() == DEVICE_ERROR, run.log()
    errors = [line for line in run.lines if "] error: " in line]
    assert errors, run.log()
    for line in errors:
        found = re.search(rf"CUDA error: an illegal memory access .*\(at {step}", line)
        assert found, line
    assert "terminate called" not in run.log() and "signal 6" not in run.log(), run.log()
    output = job.parent / "sweep.h5"
    committed = len(segments_of(output))
    log = run_well(job, ranks, *sets)
    assert f"{11 - committed} of 11 units of work are pending" in log


def test_device_that_does_not_fail_sweeps(job: Path) -> None:
    run = Run(job, 2, program=ON_FAILING_DEVICE)
    assert run.finish() == 0, run.log()
