"""The rows of docs/compatibility.md: a test that shows what becomes of an input says so through the
fixture `compatibility`, which holds the page to it.

With ACTSWEEP_COMPATIBILITY=FILE only the tests that have such rows run, and their rows are added to
the file as lines of JSON; scripts/write_compatibility makes the page from them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "compatibility.md"
ROWS_VARIABLE = "ACTSWEEP_COMPATIBILITY"
# The sections of the page, in its order.
KINDS = (
    "Checkpoints",
    "config.json",
    "GGUF files",
    "Tokenizers",
    "Corpora",
    "Images",
    "Jobs and launches",
    "Outputs",
)
OUTCOMES = ("read", "warned", "refused")


@dataclass(frozen=True, order=True)
class Row:
    """What becomes of one kind of input."""

    kind: str  # of KINDS
    what: str  # the input, in a few words; Markdown
    outcome: str  # of OUTCOMES
    message: str  # what is said of it; empty where nothing is
    test: str  # the function that shows it

    def markdown(self) -> str:
        said = f"`{self.message}`" if self.message else ""
        cells = (self.what, self.outcome, said.replace("|", "\\|"), f"`{self.test}`")
        return "| " + " | ".join(cells) + " |"


def plain(message: str) -> str:
    """One message without what differs from run to run: the logger's stamp, folders of a test."""
    (line,) = [line for line in message.strip().splitlines() if line] or [""]
    line = re.sub(r"^\d{4}-\d\d-\d\d \S+ \[\d+/\d+\] ", "", line)
    line = re.sub(r"^(error|warning|info): ", "", line)
    return re.sub(r"/(?:[\w.+-]+/)+", "", line).replace("`", "'")


class Compatibility:
    """What one test says of inputs."""

    def __init__(self, test: str) -> None:
        self._test = test

    def __call__(self, kind: str, what: str, outcome: str, message: str = "") -> None:
        """`message` is the one line that a user sees; a refusal and a warning have one."""
        assert kind in KINDS and outcome in OUTCOMES
        assert bool(message) or outcome == "read", "a refusal or a warning says something"
        row = Row(kind, what, outcome, plain(message), self._test)
        if file := os.environ.get(ROWS_VARIABLE):
            with Path(file).open("a") as rows:
                rows.write(json.dumps(asdict(row)) + "\n")
            return
        assert row.markdown() in PAGE.read_text().splitlines(), (
            f"{PAGE.name} lacks the row\n{row.markdown()}\n`make docs` writes the page anew"
        )


def page(rows: Iterable[Row]) -> str:
    """The generated part of docs/compatibility.md."""
    text, every = "", set(rows)
    by_kind = {kind: sorted((row for row in every if row.kind == kind), key=astuple) for kind in KINDS}
    for kind, own in by_kind.items():
        if not own:
            continue
        lines = [f"## {kind}", "", "| input | becomes | message | shown by |", "|---|---|---|---|"]
        text += "\n".join([*lines, *(row.markdown() for row in own)]) + "\n\n"
    return text.rstrip("\n") + "\n"
