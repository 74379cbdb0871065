"""A corpus that was made with another tokenizer than the checkpoint's is swept with a warning.

The program computes the fingerprint of tokenizer.json itself, by the definition in data/README.md; for
an untouched corpus it must find what data/prepare_corpus.py stored.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import h5py
import pytest

ROOT = Path(__file__).resolve().parents[2]


def plan_of(program: Path, corpus: Path) -> str:
    command = [program, "plan", "jobs/quick.toml", "--ranks", "1", "--set", f"corpus.path={corpus}"]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout


@pytest.mark.parametrize("is_touched", [False, True])
def test_only_another_tokenizer_is_warned_of(program: Path, tmp_path: Path, is_touched: bool) -> None:
    corpus = Path(shutil.copy(ROOT / "corpora/demo.h5", tmp_path / "corpus.h5"))
    if is_touched:
        with h5py.File(corpus, "r+") as file:
            file.attrs["tokenizer_fingerprint"] = "0" * 64
    assert ("another tokenizer" in plan_of(program, corpus)) == is_touched
