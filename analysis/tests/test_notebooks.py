"""The notebooks run from top to bottom and show what they promise."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from sample_sweep import Sample, write_sweep

FOLDER = Path(__file__).parents[1] / "notebooks"
PICTURES = {"first-look-at-a-sweep": 2, "compare-two-models": 1}


def test_every_notebook_is_run() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(PICTURES)


@pytest.mark.filterwarnings("default")  # of the kernel's own machinery
@pytest.mark.parametrize("name", PICTURES)
def test_a_notebook_runs(
    name: str, sample: Sample, study_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write_sweep(
        tmp_path / "other.h5", Sample(**{**vars(sample), "model_name": "other_model"})
    )
    monkeypatch.setenv("ACTSWEEP_SWEEP_FILE", str(study_path))
    monkeypatch.setenv("ACTSWEEP_TWO_SWEEP_FILES", f"{study_path}:{other}")
    monkeypatch.setenv("PYTHONPATH", str(FOLDER.parent))
    path = Path(shutil.copy(FOLDER / f"{name}.ipynb", tmp_path))
    notebook = nbformat.read(path, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)  # stored without their outputs
    NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [one for one in outputs if one.output_type in ("error", "stream")]
    pictures = [one for one in outputs if "image/png" in one.get("data", {})]
    assert len(pictures) == PICTURES[name]
    shown = "".join(one.get("data", {}).get("text/plain", "") for one in outputs)
    assert "sample_model" in shown and ("17" in shown)
