"""The largest errors that the oracle tests see, for the registry in docs/models.md.

With ACTSWEEP_ERRORS=FILE each comparison adds a line of JSON to the file; scripts/measure_errors runs the
tests of the families so, and makes docs/measured-errors.csv of the lines.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

VARIABLE = "ACTSWEEP_ERRORS"


def record(name: str, **errors: float) -> None:
    """`name`: of the case, which begins with that of its model."""
    if file := os.environ.get(VARIABLE):
        with Path(file).open("a") as lines:
            lines.write(json.dumps({"name": name, **errors}) + "\n")
