"""The largest errors that the oracle tests see, for the registry in docs/models.md.

With ACTSWEEP_ERRORS=FILE each comparison adds a line of JSON to the file; scripts/measure_errors runs the
tests so, and makes docs/measured-errors.csv of the lines.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

VARIABLE = "ACTSWEEP_ERRORS"


def record(name: str, inside: str | None = None, **errors: float) -> None:
    """`name`: of the case, which is that of its model and "-mN", and may end in a mode. `inside`: what
    was compared inside the layers, a site or a statistic."""
    if file := os.environ.get(VARIABLE):
        line = {"name": name, **{key: float(error) for key, error in errors.items()}}
        if inside is not None:
            line["inside"] = inside
        with Path(file).open("a") as lines:
            lines.write(json.dumps(line) + "\n")
