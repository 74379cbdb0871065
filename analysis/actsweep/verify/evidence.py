"""What was compared, kept beside the job's output: OUTPUT.verify.json and, as printed, OUTPUT.verify.txt.

In: the lines of the comparison as they are said, and its numbers. Out: the two files, in the end. Refuses
what cannot be written with an `OutputError`.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..output import whole_file, writing
from .agreement import Layer
from .statistics import Line
from .windows import Window

PACKAGES = ("torch", "transformers", "safetensors", "numpy", "h5py")
FINGERPRINTS = ("model_fingerprint", "corpus_fingerprint", "tokenizer_fingerprint")
PROGRAM = ("software_version", "git_commit", "libraries")


class Report:
    """Says lines, and keeps them."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.facts: dict[str, Any] = {}

    def say(self, line: str = "") -> None:
        print(line)
        self.lines.append(line)


def versions(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Of the program, by a sweep file of it, and of what it was compared with."""
    found = {name: importlib.import_module(name).__version__ for name in PACKAGES}
    of_program = {f"actsweep_{name}": str(attributes[name]) for name in PROGRAM if name in attributes}
    return {**of_program, "python": platform.python_version(), **found}


def fingerprints(attributes: Mapping[str, Any], windows: Sequence[Window]) -> dict[str, str]:
    """Of the model and the corpus as the program has them, and of the windows' ids or pixels."""
    digest = hashlib.sha256(b"".join(window.inputs.tobytes() for window in windows))
    found = {name: str(attributes[name]) for name in FINGERPRINTS if name in attributes}
    return {**found, "windows": digest.hexdigest()}


def layer_rows(layers: Sequence[Layer], bound: float) -> list[dict[str, Any]]:
    return [
        {"layer": number, **asdict(layer), "is_within": layer.is_within(bound)}
        for number, layer in enumerate(layers)
    ]


def statistic_rows(lines: Sequence[Line]) -> list[dict[str, Any]]:
    return [{**asdict(line), "is_within": line.is_within} for line in lines]


def keep(report: Report, job: Path, output: Path, verdict: bool) -> None:
    """Writes both files, under their names when they are whole. `job`: the file that was read."""
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    content = {"schema": "actsweep-verify", "created": created, "agrees": verdict, **report.facts}
    text = json.dumps(_without_nan(content), indent=2, ensure_ascii=False)
    for suffix, written in ((".verify.json", text), (".verify.txt", "\n".join(report.lines))):
        path = output.with_suffix(suffix)
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path, job) as partial:
            partial.write_text(f"{written}\n", encoding="utf-8")


def _without_nan(value: Any) -> Any:
    """JSON has no word for what is not finite: null for what was not measured, else a text."""
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_nan(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
