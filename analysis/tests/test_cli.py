"""`python -m actsweep`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import pytest
from sample_sweep import Sample, write_sweep

from actsweep.cli import main

PACKAGE_FOLDER = Path(__file__).parent.parent


def test_pictures_writes_all_and_prints_their_paths(
    sweep_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pictures", str(sweep_path), "-o", str(tmp_path)]) == 0
    printed = [Path(line) for line in capsys.readouterr().out.splitlines()]
    stems = ("layer_curve", "magnitude_3d_quiet", "magnitude_3d_summer")
    expected = {tmp_path / f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")}
    assert set(printed) == expected == set(tmp_path.iterdir())


def test_pictures_of_one_prompt(sweep_path: Path, tmp_path: Path) -> None:
    assert main(["pictures", str(sweep_path), "-o", str(tmp_path), "--prompt", "summer"]) == 0
    assert sorted(path.stem for path in tmp_path.glob("*.svg")) == [
        "layer_curve",
        "magnitude_3d_summer",
    ]


def test_a_prompt_that_is_not_there_writes_nothing(
    sweep_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "pictures"
    assert main(["pictures", str(sweep_path), "-o", str(output), "--prompt", "fall"]) == 2
    assert "no captured prompt 'fall'; captured: quiet, summer" in capsys.readouterr().err
    assert not output.exists()


def test_a_sweep_without_captures_has_its_curve(
    sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_sweep(tmp_path / "plain.h5", Sample(**{**vars(sample), "captures": {}}))
    assert main(["pictures", str(path), "-o", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out").iterdir())) == 2
    assert "no captured prompts" in capsys.readouterr().err


def test_info_sums_up_the_file(sweep_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(sweep_path)]) == 0
    text = capsys.readouterr().out
    assert "sample_model (llama)" in text
    assert "4 layers, 24 channels" in text
    assert "36 tokens in 3 sequences" in text
    assert "7 events in 2 channels (> 100 and ≥ 1,000 × median; 0 more not listed" in text
    rows = [line.split() for line in text.splitlines()[-2:]]
    assert rows == [
        ["17", "2–3", "6", "100.0%", "2,900"],
        ["4", "3–3", "1", "0.0%", "1,500"],
    ]
    assert "NON-FINITE" not in text


def test_info_puts_non_finite_tokens_first(
    sweep_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "nonfinite.h5"
    path.write_bytes(sweep_path.read_bytes())
    with h5py.File(path, "r+") as file:
        file["residual/nonfinite_tokens"][3] = 5
    assert main(["info", str(path)]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.split(maxsplit=1) == ["NON-FINITE", "tokens left out by layer: 3: 5"]


def test_the_module_runs_and_refuses_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "unfinished.h5"
    with h5py.File(path, "w") as file:
        file.attrs.update(schema="actsweep", schema_version=1)
    command = [sys.executable, "-m", "actsweep", "info", str(path)]
    done = subprocess.run(command, cwd=PACKAGE_FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert f"{path}: expected root attribute complete = 1" in done.stderr
