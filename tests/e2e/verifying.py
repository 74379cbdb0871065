"""Jobs for `python -m actsweep verify`, and what it says of them: what its tests share."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from running import write_job
from safetensors.torch import load_file, save_file
from support.random_models import MODELS, make_random, save
from support.token_files import Corpus, Cut, random_corpus, write_token_file

from actsweep.cli import main

LLAMA = next(model for model in MODELS if model.family == "llama")
DOCUMENTS = (57, 1, 0, 40, 2, 83)
CUT = Cut(40, "per_document", bos="each_window")
WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Verified:
    """How a verification ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def layers(self) -> list[list[str]]:
        """The rows of the table: number, difference, own error, norms, place …"""
        rows = [line.split() for line in self.out.splitlines()]
        return [row for row in rows if row and row[0].isdigit()]

    @property
    def verdict(self) -> str:
        return self.out.splitlines()[-1]

    @property
    def line(self) -> str:
        """The one line of an error."""
        (line,) = self.err.strip().splitlines()
        return line.removeprefix("actsweep: ")


Verify = Callable[..., Verified]


@pytest.fixture
def verify(program: Path) -> Verify:
    """Runs the command on a job file."""
    torch.set_num_threads(1)

    def run(job: Path, *options: object) -> Verified:
        out, err = io.StringIO(), io.StringIO()
        command = ["verify", str(job), "--program", str(program), *map(str, options)]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(command)
        return Verified(code, out.getvalue(), err.getvalue())

    return run


def text_corpus(model: Any) -> Corpus:
    return random_corpus(model.vocabulary, DOCUMENTS, seed=5, often=[10])


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint and a token file."""
    folder = tmp_path_factory.mktemp("llama")
    save(make_random(LLAMA), LLAMA, folder / "model")
    write_token_file(folder / "corpus.h5", text_corpus(LLAMA), {})
    return folder


def job_of(folder: Path, path: Path, **sections: Any) -> Path:
    """A job that has to fall back on nothing: its dtype, ranks and statistics are not the tool's."""
    job = {
        "model": {"path": str(folder / "model"), "dtype": "bfloat16"},
        "corpus": {"path": str(folder / "corpus.h5"), **CUT.job_keys(), "shard": "0/2"},
        "parallel": {"tensor": 2, "threads": 1},
        "statistics": {"sites": ["mlp_input"]},
        "output": {"path": str(path.with_suffix(".h5"))},
    }
    for name, keys in sections.items():
        job[name] = keys if isinstance(keys, list) else {**job.get(name, {}), **keys}
    return write_job(path, job)


def with_tensors(folder: Path, into: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> Path:
    """A copy of a checkpoint, its tensors changed."""
    copy = Path(shutil.copytree(folder / "model", into))
    tensors = load_file(copy / WEIGHTS)
    change(tensors)
    save_file(tensors, copy / WEIGHTS, metadata={"format": "pt"})
    return copy


def with_config(folder: Path, into: Path, **keys: Any) -> Path:
    """A copy of a checkpoint with other keys in config.json."""
    copy = Path(shutil.copytree(folder / "model", into))
    path = copy / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))
    return copy
