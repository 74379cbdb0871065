"""Runs of the program on jobs derived from one.

In: a job file. Out: what the program says of it, or the sweep file of a derived job. A run that ends
badly is a `ProgramFailed` with the program's own words and exit code.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..sweep import Sweep, open_sweep

BAD_JOB, BAD_DEVICE = 2, 5
ENOUGH_GIB = 1_000_000  # memory that any job fits into: it is the model that is looked at
# Of a batch job: a run of one rank inside it is what is wanted here.
TASK_VARIABLES = ("SLURM_NTASKS", "SLURM_NPROCS", "SLURM_STEP_NUM_TASKS", "SLURM_TASKS_PER_NODE")
KEPT_PARALLEL = ("threads", "microbatch_tokens")
STAMP = re.compile(r"^\d{4}-\d\d-\d\d \S+ \[\d+/\d+\] ")

Job = dict[str, Any]  # sections of keys; lists of tables


class ProgramFailed(Exception):
    """What the program said, and its exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def find_program(wanted: Path | None) -> Path:
    """The program that was named, or that of the build folder, or that of the PATH."""
    if wanted is not None:
        if not wanted.is_file():
            raise ValueError(f"{wanted}: expected the program actsweep, found no such file")
        return wanted
    built, installed = Path("build/actsweep"), shutil.which("actsweep")
    if not built.is_file() and installed is None:
        raise ValueError("expected the program at build/actsweep or on the PATH; --program names it")
    return built.resolve() if built.is_file() else Path(str(installed))


def read_job(program: Path, path: Path) -> Job:
    """The sections of a job file, after the program has checked it, its corpus and its checkpoint."""
    _call(program, "plan", path, "--ranks", 1, "--memory", ENOUGH_GIB, "--set", "parallel.tensor=1")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def model_facts(program: Path, path: str) -> dict[str, Any]:
    """Of a job's model, which may stand in the cache of Hugging Face ("hf:NAME@REVISION"): its "path", and
    which site each of its "linear_layers" reads."""
    facts: dict[str, Any] = json.loads(_call(program, "tensors", path).splitlines()[0])
    return facts


def corpus_files(job: Job) -> list[Path]:
    """The files of a job's corpus in their order."""
    path = job["corpus"]["path"]
    return [Path(each) for each in ([path] if isinstance(path, str) else path)]


def sweep_job(program: Path, job: Job, folder: Path, name: str) -> Sweep:
    """Runs a job by one rank; its file lies in the folder."""
    output = folder / f"{name}.h5"
    path = folder / f"{name}.toml"
    path.write_text(to_toml({**job, "output": {"path": str(output), "per_token": "all"}}))
    _call(program, "run", path)
    return open_sweep(output)


def derived(job: Job, **sections: Mapping[str, Any]) -> Job:
    """The model and corpus of a job, in float32 on one rank, and the residual stream alone; and what else
    the sections say."""
    kept = {key: value for key, value in job.get("parallel", {}).items() if key in KEPT_PARALLEL}
    return {
        "model": {**job["model"], "dtype": "float32"},
        "corpus": {**_without(job["corpus"], "shard"), **sections.get("corpus", {})},
        "parallel": {**kept, "tensor": 1, "weights": "streamed"},
        "statistics": {"sites": ["residual"], **sections.get("statistics", {})},
        "capture": dict(sections.get("capture", {})),
        **({"store": dict(sections["store"])} if sections.get("store") else {}),
    }


def to_toml(job: Mapping[str, Mapping[str, Any]]) -> str:
    """Of strings, numbers, booleans and lists of them JSON is TOML."""
    lines = []
    for name, keys in job.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in keys.items()]
    return "\n".join(lines) + "\n"


def _without(section: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in section.items() if key != name}


def _call(program: Path, *arguments: object) -> str:
    """What it writes."""
    command = [str(program), *map(str, arguments)]
    environment = {key: value for key, value in os.environ.items() if key not in TASK_VARIABLES}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode == 0:
        return done.stdout
    # Without a stamp: of another program, or of the command line.
    errors = _errors(done.stderr)
    said = " ".join(done.stderr.split()) or "nothing"
    message = errors or f"{program}: ended with {done.returncode}: {said}"
    was_killed = done.returncode < 0
    is_ours = done.returncode > 1
    raise ProgramFailed(message, done.returncode if is_ours else BAD_DEVICE if was_killed else BAD_JOB)


def _errors(log: str) -> str:
    """The errors of a log without its stamps, with the lines that go on below them."""
    found, is_error = [], False
    for line in log.splitlines():
        bare = STAMP.sub("", line)
        if bare != line:
            is_error = bare.startswith("error: ")
        if is_error:
            found.append(bare.removeprefix("error: "))
    return "\n".join(found)
