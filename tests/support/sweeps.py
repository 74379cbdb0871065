"""Runs the program under mpirun, and reads its file with h5py."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .watching import run

MAY_DIFFER = ("created", "device", "libraries")  # root attributes of identical sweeps
REFERENCES = ("DIMENSION_LIST", "REFERENCE_LIST")  # addresses within one file

# Datasets of such inputs have their references in oracle.vision, families, interventions, tasks and
# image_classes, and in e2e.token_roles.
OTHER_TESTS = (
    "image corpora", "corpora of chats", "models with experts", "models with registers",
    "jobs with interventions", "jobs with variants", "corpora of tasks", "jobs with a classifier",
)  # fmt: skip

# What is measured inside the layers: oracle.inner has its references.
INNER_GROUPS = (
    "mlp_hidden", "mlp_output", "super_weights", "attention", "attention_received", "scores",
    "value_update", "qk", "geometry", "experts", "store", "lifecycle", "lifecycle_channel",
)  # fmt: skip
# Those of events: oracle.residual_stream has their references.
EVENT_UPDATES = tuple(
    f"massive/{name}"
    for name in ("before", "attention_update", "mlp_update", "next_attention_update", "next_mlp_update")
)
INNER_DATASETS = ("epsilon", *EVENT_UPDATES, "capture/NAME/attention", "capture/NAME/attention_logit")

Keys = Mapping[str, Any]  # sections of keys; lists of tables


@dataclass(frozen=True)
class Sweep:
    """A sweep to run: a job's sections and the ranks."""

    program: Path
    job: Keys
    ranks: int = 1

    def run(self) -> Path:
        """Runs it to the end; the path of its file. The log lies beside it."""
        output = Path(self.job["output"]["path"])
        job_path = output.with_suffix(".toml")
        job_path.write_text(to_toml(self.job))
        command = ["mpirun", "--oversubscribe", "-n", str(self.ranks)]
        command += [str(self.program), "run", str(job_path)]
        result = run(command, [output.parent], env=environment())
        assert result.returncode == 0, f"exit code {result.returncode}:\n{result.stderr}"
        output.with_suffix(".log").write_text(result.stdout + result.stderr)
        return output


def environment() -> dict[str, str]:
    """Of runs as root, on cores that are shared."""
    return {
        **os.environ,
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMP_WAIT_POLICY": "passive",
    }


def run_program(program: Path, *arguments: object) -> str:
    """What a command that runs alone writes."""
    command = [str(program), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
    return result.stdout


def to_toml(job: Keys) -> str:
    """Of strings, numbers, booleans and lists of them JSON is TOML."""
    lines = []
    for name, content in job.items():
        is_list = isinstance(content, list)
        for keys in content if is_list else [content]:
            lines.append(f"[[{name}]]" if is_list else f"[{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join(lines) + "\n"


def is_inner(path: str) -> bool:
    return path.split("/")[0] in INNER_GROUPS or path in INNER_DATASETS


def schema_types(program: Path) -> dict[str, str]:
    """What `actsweep schema` lists for any text of which the residual stream is measured."""
    return {path: name for path, name in schema(program).items() if not is_inner(path)}


def schema(program: Path) -> dict[str, str]:
    """The same and what is inside the layers, by path; of prompts as capture/NAME/..."""
    listing = subprocess.run(
        [str(program), "schema"], check=True, capture_output=True, text=True, env=environment()
    ).stdout
    group, types = "", {}
    for line in listing.splitlines():
        if line.startswith("### `/"):
            group = line[len("### `/") :].rstrip("`")
        elif any(f"{which} alone" in line for which in OTHER_TESTS):
            continue
        elif line.startswith("| `"):
            name, element_type = line.split("|")[1].strip(" `"), line.split("|")[2].strip()
            types[f"{group}/{name}" if group else name] = element_type
    return types


def read_datasets(path: Path) -> dict[str, np.ndarray]:
    """Every dataset with values, by path."""
    found: dict[str, np.ndarray] = {}

    def visit(name: str, item: h5py.HLObject) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        if b"not a netCDF variable" not in bytes(item.attrs.get("NAME", b"")):
            found[name] = item[()]

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def read_attributes(path: Path) -> dict[str, dict[str, Any]]:
    """Attributes by the path of their object ("/" for the root), without those that may differ."""
    found: dict[str, dict[str, Any]] = {}

    def collect(name: str, item: h5py.HLObject) -> None:
        left_out = REFERENCES + (MAY_DIFFER if name == "/" else ())
        names = [key for key in sorted(item.attrs) if key not in left_out]
        found[name] = {key: np.asarray(item.attrs[key]).tolist() for key in names}

    with h5py.File(path) as file:
        collect("/", file)
        file.visititems(collect)
    return found


def assert_identical(path: Path, expected: Path) -> None:
    """Every dataset bitwise, and every attribute but those that may differ."""
    mine, theirs = read_datasets(path), read_datasets(expected)
    assert mine.keys() == theirs.keys()
    for name, values in theirs.items():
        assert mine[name].dtype == values.dtype and mine[name].shape == values.shape, name
        assert mine[name].tobytes() == values.tobytes(), name
    assert read_attributes(path) == read_attributes(expected)
