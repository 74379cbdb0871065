"""`python -m actsweep sweep`: from a model and texts to a report, in one command.

In: a checkpoint, texts, an output. Out: the corpus, the job file, the sweep file and the report, beside each
other. It runs the programs that a user would run: data/prepare_corpus.py, `actsweep run` (under mpirun, or
under srun inside a Slurm allocation) and the report. The same command goes on where a killed one stopped: a
corpus is kept if it was made by the same command and no input is newer. A program that ends badly is a
`ProgramFailed` with its exit code; its own words are on the terminal.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .report import write_report
from .verify.program import BAD_DEVICE, BAD_JOB, ProgramFailed, find_program

COMMAND_LINE = "# corpus: "


@dataclass(frozen=True)
class SweepRequest:
    """What is asked for on the command line."""

    model: str
    text: list[str]  # files, folders, patterns, as data/prepare_corpus.py takes them
    output: Path
    ranks: int = 1
    sequence_length: int = 512
    windows: int | None = None  # of the corpus; none: all
    sets: list[str] = field(default_factory=list)  # as `actsweep run --set` takes them
    preparing: list[str] = field(default_factory=list)  # options for data/prepare_corpus.py
    program: Path | None = None
    data: Path | None = None  # the folder with prepare_corpus.py


def sweep(request: SweepRequest) -> None:
    """Makes what is missing, step by step; one line at the end says where everything is."""
    program = find_program(request.program)
    output = request.output
    corpus, job = _beside(output, "-corpus.h5"), output.with_suffix(".toml")
    report = _beside(output, "-report")
    prepare = _preparing(request, corpus)
    text = job_text(request, corpus, prepare)
    output.parent.mkdir(parents=True, exist_ok=True)
    if not _is_made(request, corpus, job, prepare):
        _step("corpus", prepare)
        _run(prepare)
    job.write_text(text, encoding="utf-8")
    print(f"\n{job}:\n{text}", flush=True)
    run = [*launcher(request.ranks), str(program), "run", str(job)]
    run += [part for each in request.sets for part in ("--set", each)]
    _step("sweep", run)
    _run(run)
    _run([str(program), "show", str(output)])
    write_report([output], report)
    print(
        f"\nsweep file {output}, report {report / 'index.html'}, job {job}, corpus {corpus}", flush=True
    )


def job_text(request: SweepRequest, corpus: Path, prepare: Sequence[str]) -> str:
    """The job file, which says too how its corpus was made."""
    keys = {
        "model": {"path": request.model},
        "corpus": {"path": str(corpus), "sequence_length": request.sequence_length},
        "output": {"path": str(request.output)},
    }
    if request.windows is not None:
        keys["corpus"]["max_sequences"] = request.windows
    lines = [COMMAND_LINE + shlex.join(prepare[1:])]
    for section, values in keys.items():
        lines += [f"[{section}]"]
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def launcher(ranks: int) -> list[str]:
    """What starts the ranks: srun inside a Slurm allocation, else mpirun where there are several."""
    if "SLURM_JOB_ID" in os.environ and shutil.which("srun"):
        return ["srun", "--mpi=pmix", f"--ntasks={ranks}", "--kill-on-bad-exit=1"]
    if ranks == 1:
        return []
    if shutil.which("mpirun") is None:
        raise ProgramFailed(f"--ranks {ranks}: expected mpirun on the PATH, found none", BAD_DEVICE)
    return ["mpirun", "--bind-to", "none", "-n", str(ranks)]


def _beside(output: Path, ending: str) -> Path:
    return output.with_name(output.stem + ending)


def _preparing(request: SweepRequest, corpus: Path) -> list[str]:
    script = _folder_of_data(request) / "prepare_corpus.py"
    options = ["--tokenizer", request.model, "--output", str(corpus), *request.preparing]
    return [sys.executable, str(script), *options, *request.text]


def _folder_of_data(request: SweepRequest) -> Path:
    """Of the checkout: the current folder, or that of this package."""
    known = [Path("data"), Path(__file__).resolve().parents[2] / "data"]
    places = known if request.data is None else [request.data]
    for place in places:
        if (place / "prepare_corpus.py").is_file():
            return place
    found = " nor ".join(str(place) for place in places)
    raise ProgramFailed(
        f"expected prepare_corpus.py in {found}, found none; --data names the folder", BAD_JOB
    )


def _is_made(request: SweepRequest, corpus: Path, job: Path, prepare: Sequence[str]) -> bool:
    """Whether the corpus is that of the same command, and no file of it has changed since."""
    if not corpus.is_file() or not job.is_file():
        return False
    first = job.read_text(encoding="utf-8").partition("\n")[0]
    if first != COMMAND_LINE + shlex.join(prepare[1:]):
        return False
    made = corpus.stat().st_mtime
    inputs = [Path(text) for text in request.text]
    return all(path.is_file() and path.stat().st_mtime <= made for path in inputs)


def _step(name: str, command: Sequence[str]) -> None:
    print(f"{name}: {shlex.join(command)}", flush=True)


def _run(command: Sequence[str]) -> None:
    environment = dict(os.environ)
    if os.geteuid() == 0:  # Open MPI asks root whether it means it
        environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    code = subprocess.run(command, env=environment, check=False).returncode
    if code != 0:
        raise ProgramFailed(f"{Path(command[0]).name} ended with exit code {code}", code)
