"""Comparing two files: every dataset of one model, or a table of two."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from sample_sweep import Sample, add_dataset, add_scale, write_sweep

import actsweep
from actsweep.cli import main
from actsweep.compare import differences


@pytest.fixture
def changed(study_path: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the study's file with one element of one dataset changed by `change`."""

    def change_one(dataset: str, place: tuple[int, ...], change: Callable[[float], float]) -> Path:
        path = Path(shutil.copy(study_path, tmp_path / "changed.h5"))
        with h5py.File(path, "r+") as file:
            file[dataset][place] = change(file[dataset][place])
        return path

    return change_one


def _by_name(a: Path, b: Path, tolerance: float | None = None) -> dict[str, object]:
    return {one.dataset: one for one in differences(a, b, tolerance)}


def test_a_file_equals_itself(study_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = differences(study_path, study_path)
    with h5py.File(study_path) as file:
        assert {"residual/channel_sum", "capture/summer/attention", "loss/nll_sum"} <= {
            one.dataset for one in found
        }
        assert "layer" in file and "layer" not in {one.dataset for one in found}
    assert all(one.passes and one.found == 0 for one in found)
    assert main(["compare", str(study_path), str(study_path)]) == 0
    assert f"{len(found)} datasets: {len(found)} equal" in capsys.readouterr().out


def test_counts_ids_and_selections_are_exact(study_path: Path, tmp_path: Path) -> None:
    places = {
        "residual/count": (2,),
        "tokens/id": (3,),
        "residual/token_top_channel": (1, 4, 0),
        "massive/layer": (0,),
        "attention/sink_count": (3, 1, 0),
    }
    path = Path(shutil.copy(study_path, tmp_path / "changed.h5"))
    with h5py.File(path, "r+") as file:
        for dataset, place in places.items():
            file[dataset][place] += 1
    for tolerance in (None, 0.5):
        found = _by_name(study_path, path, tolerance)
        assert {name for name, one in found.items() if not one.passes} == places.keys()
        assert all(found[dataset].found == 1 for dataset in places)
    assert main(["compare", str(study_path), str(path)]) == 1


def test_sums_are_bounded_by_their_layer(study_path: Path, changed: Callable[..., Path]) -> None:
    name, place = "residual/channel_sum", (3, 5)
    with h5py.File(study_path) as file:
        largest = np.abs(file[name][3]).max()
        assert largest > 100 * np.abs(file[name][0]).max()
    within = changed(name, place, lambda value: value + 0.5e-12 * largest)
    one = _by_name(study_path, within)[name]
    assert one.passes and one.found == pytest.approx(0.5e-12, rel=0.2)
    beyond = changed(name, place, lambda value: value + 3e-12 * largest)
    assert not _by_name(study_path, beyond)[name].passes
    elsewhere = changed(name, (0, 5), lambda value: value + 0.5e-12 * largest)
    assert not _by_name(study_path, elsewhere)[name].passes


def test_values_are_exact_unless_a_tolerance_is_given(
    study_path: Path, changed: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = changed("residual/token_norm", (2, 7), lambda value: value * (1 + 1e-6))
    assert main(["compare", str(study_path), str(path)]) == 1
    assert "residual/token_norm: " in capsys.readouterr().out
    assert main(["compare", str(study_path), str(path), "--tolerance", "1e-5"]) == 0
    assert "1 within their bounds, 0 beyond" in capsys.readouterr().out


def test_nan_equals_nan_alone(study_path: Path, changed: Callable[..., Path]) -> None:
    path = changed("loss/token_nll", (5,), lambda _: np.nan)
    one = _by_name(study_path, path, 1e-3)["loss/token_nll"]
    assert one.found == np.inf and not one.passes


def test_datasets_of_another_form_or_missing_are_beyond(
    study_path: Path, sweep_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(study_path), str(sweep_path)]) == 1
    assert f"qk/token_count: not in {sweep_path}" in capsys.readouterr().out
    path = Path(shutil.copy(study_path, tmp_path / "other.h5"))
    with h5py.File(path, "r+") as file:
        del file["qk/token_count"]
        scale = {"seven": add_scale(file, "seven", 7)}
        add_dataset(file["qk"], "token_count", np.arange(7), scale)
        file.attrs["identity"] = '{"parallel.tensor": 2}'
    assert main(["compare", str(study_path), str(path)]) == 1
    printed = capsys.readouterr().out
    assert "qk/token_count: differ in form: int64 [5] and int64 [7]" in printed
    assert "the jobs differ in parallel.tensor: absent, 2" in printed


def test_two_models_make_a_table(
    study_path: Path, sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calm = Sample(**{**vars(sample), "criterion": (1e6, 1000.0), "model_name": "calm"})
    path = write_sweep(tmp_path / "calm.h5", calm)
    with h5py.File(path, "r+") as file:
        file.attrs["model_fingerprint"] = "n" * 64
    assert main(["compare", str(study_path), str(path)]) == 0
    lines = {line[:22].strip(): line[22:].split() for line in capsys.readouterr().out.splitlines()}
    rows = {name: values for name, values in lines.items() if name}
    with actsweep.open(study_path) as sweep:
        assert rows["perplexity"] == [f"{sweep.perplexity:.4g}", "–"]
    assert rows["massive channels"] == ["17,", "4", "none"]
    assert rows["massive activations"] == ["7", "0"]
    share = 3 / 4 * 2 / 4  # of heads and of blocks, in study_sample.py
    assert rows["sink metric, ε = 0.3"] == [f"{share:g}", "–"]


def test_files_that_are_no_sweeps_are_one_line(
    study_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.h5"
    text.write_text("no HDF5")
    assert main(["compare", str(study_path), str(text)]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "text.h5: expected an HDF5 file" in printed.err
