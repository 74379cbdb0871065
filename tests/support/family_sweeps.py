"""Sweeps of many small models: one MPI world for each number of ranks.

tests/oracle/sweep_jobs.cpp sweeps the jobs of a world one after the other. A job at which a world
dies fails, and another world goes on with the jobs behind it.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pytest

from .family_cases import AnyModel, Case
from .sweeps import environment, read_datasets, to_toml
from .watching import Hang, wait_for_end

Made = TypeVar("Made")  # what is expected of a model: a class with a method `job`


def jobs_program() -> Path:
    """In the build folder that ACTSWEEP_BUILD names; without it, in build/."""
    build = Path(__file__).resolve().parents[2] / "build"
    return Path(os.environ.get("ACTSWEEP_BUILD", build)) / "tests" / "oracle" / "sweep_jobs"


@dataclass
class Outcome:
    """How a job ended: an empty message is success."""

    path: Path  # of the sweep file
    message: str


def selected_cases(request: pytest.FixtureRequest) -> list[Case]:
    """Of the tests of the requesting module that pytest has selected."""
    items = [item for item in request.session.items if item.path == request.path]
    parameters = [item.callspec.params for item in items if hasattr(item, "callspec")]
    values = [value for named in parameters for value in named.values()]
    return [value for value in values if isinstance(value, Case)]


class FamilySweeps(Generic[Made]):
    """Makes checkpoints, references and sweeps of the cases that are asked for, each once."""

    def __init__(
        self, folder: Path, cases: Sequence[Case], make: Callable[[Any, Path], Made]
    ) -> None:
        """`make` stores a model and its corpus in a folder, and asks transformers."""
        self._folder = folder
        self._make = make
        self._log = folder / "sweeps.log"
        self._cases = list({case.name: case for case in cases}.values())
        self._expected: dict[str, Made | Exception] = {}
        self._outcomes: dict[str, Outcome] = {}

    def expected(self, model: AnyModel) -> Made:
        """What transformers says; an error in making it is raised for every case of the model."""
        if model.name not in self._expected:
            folder = self._folder / model.name
            folder.mkdir()
            try:
                self._expected[model.name] = self._make(model, folder)
            except Exception as error:  # noqa: BLE001 (it is raised below)
                self._expected[model.name] = error
        made = self._expected[model.name]
        if isinstance(made, Exception):
            raise made
        return made

    def path(self, case: Case) -> Path:
        """The sweep file of a case. The first case of an m sweeps all selected cases of that m."""
        if case.name not in self._outcomes:
            self._sweep_all(case.m)
        outcome = self._outcomes[case.name]
        assert not outcome.message, outcome.message
        return outcome.path

    def _sweep_all(self, m: int) -> None:
        jobs: dict[Path, Case] = {}
        for case in self._cases:
            if case.m != m:
                continue
            output = self._folder / f"{case.name}.h5"
            try:
                job = self.expected(case.model).job(case, output)
            except Exception as error:  # noqa: BLE001 (its own test raises it)
                self._outcomes[case.name] = Outcome(output, f"no reference: {error}")
                continue
            path = output.with_suffix(".toml")
            path.write_text(to_toml(job))
            jobs[path] = case
        for path, message in run_jobs(list(jobs), m, self._log).items():
            self._outcomes[jobs[path].name] = Outcome(path.with_suffix(".h5"), message)


def run_jobs(jobs: Sequence[Path], m: int, log: Path) -> dict[Path, str]:
    """Sweeps job files over m ranks: what is said of each, "" where all is well."""
    program = jobs_program()
    assert program.is_file(), f"{program}: expected the program, found nothing; build it first"
    said: dict[Path, str] = {}
    while left := [path for path in jobs if path not in said]:
        messages = run_world(program, left, m, log)
        # A world that ends without a word died at its first job.
        said |= messages or {left[0]: f"m = {m}: the world ended without a word; see {log}"}
    return said


def swept(
    names: Iterable[str], ranks: Iterable[int], folder: Path, job: Callable[[str, int, Path], Any]
) -> dict[tuple[str, int], dict[str, np.ndarray]]:
    """The datasets of `job(name, m, output)` for each name and m; a job that is refused fails."""
    datasets = {}
    for m in ranks:
        jobs = {name: folder / f"{name}-m{m}.toml" for name in names}
        for name, path in jobs.items():
            path.write_text(to_toml(job(name, m, path.with_suffix(".h5"))))
        messages = run_jobs(list(jobs.values()), m, folder / "sweeps.log")
        for name, path in jobs.items():
            assert not messages[path], messages[path]
            datasets[name, m] = read_datasets(path.with_suffix(".h5"))
    return datasets


def run_world(program: Path, jobs: Sequence[Path], m: int, log: Path) -> dict[Path, str]:
    """The same in one world, for the jobs that it came to."""
    command = ["mpirun", "--oversubscribe", "-n", str(m), str(program), *map(str, jobs)]
    with log.open("a") as errors, tempfile.TemporaryFile("w+") as file:
        process = subprocess.Popen(command, stdout=file, stderr=errors, env=environment())
        with suppress(Hang):  # its job has said nothing
            wait_for_end(process, [log.parent])
        file.seek(0)
        lines = file.read().splitlines()
    messages = {}
    for line in lines:
        verdict, _, rest = line.partition(" ")
        name, _, message = rest.partition(" ")
        if verdict in ("ok", "error"):
            messages[Path(name)] = "" if verdict == "ok" else message
    return messages
