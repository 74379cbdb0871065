"""What a config.json asks for, as the program says it: facts of the model, and its tensors.

In: a config.json of any family that the program reads. Out: the lines of `actsweep tensors`, parsed.
Refuses what the program refuses, in its words; says where the program was looked for in vain.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preparation.checkpoint_writer import Tensor
from preparation.errors import COMMAND_LINE, MODEL, PreparationError

BUILT = Path(__file__).resolve().parents[2] / "build" / "actsweep"
STAMP = re.compile(r"^\d{4}-\d\d-\d\d \S+ \[\d+/\d+\] error: ")


@dataclass(frozen=True)
class NeededTensor:
    tensor: Tensor
    kind: str  # "embedding", "norm", "product", …: src/checkpoint/described_model.h
    mean: float  # of its elements where nothing was learned: 1 of a norm, 0 where 1 is added to it
    is_packed: bool = False  # by the config's quantisation


@dataclass(frozen=True)
class NeededTensors:
    """The tensors in module order, and the facts: layers, channels, heads, …"""

    facts: dict[str, Any]
    tensors: list[NeededTensor]

    def of_kind(self, kind: str) -> list[Tensor]:
        return [needed.tensor for needed in self.tensors if needed.kind == kind]


def find_program(wanted: Path | None) -> Path:
    """The program that was named, or that of the build folder, or that of the PATH."""
    if wanted is not None:
        if not wanted.is_file():
            raise PreparationError(COMMAND_LINE, f"{wanted}: expected the program actsweep, found no such file")
        return wanted
    if BUILT.is_file():
        return BUILT
    installed = shutil.which("actsweep")
    if installed is None:
        raise PreparationError(
            COMMAND_LINE, f"expected the program at {BUILT} or on the PATH; --program names it"
        )
    return Path(installed)


def needed_tensors(program: Path, config: Path) -> NeededTensors:
    command = [str(program), "tensors", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip() or f"{program} ended with {done.returncode}"
        raise PreparationError(MODEL, "\n".join(STAMP.sub("", line) for line in said.splitlines()))
    facts, *lines = map(json.loads, done.stdout.splitlines())
    tensors = [
        NeededTensor(
            Tensor(line["name"], tuple(line["shape"])), line["kind"], line["mean"], line["is_packed"]
        )
        for line in lines
    ]
    return NeededTensors(facts, tensors)
