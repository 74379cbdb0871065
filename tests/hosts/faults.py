"""The rows of the table in docs/faults.md: a test that breaks something says through the fixture `fault` what
became of the sweep, and the page has to say the same.

With ACTSWEEP_WRITE_FAULTS=1 the row is written into the page in place of the test's old one.
"""

from __future__ import annotations

import os
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
MARK = "<!-- made from tests/hosts -->\n"
HEAD = "| fault | what happens | how soon | what is lost | test |\n|---|---|---|---|---|\n"


def rows_of(page: str) -> list[str]:
    table = page.split(MARK)[1].partition("\n\n")[0]
    return [line for line in table.splitlines() if line.startswith("| ")][1:]


def with_row(page: str, what: str, row: str) -> str:
    rows = [each for each in rows_of(page) if not each.startswith(f"| {what} |")]
    before, after = page.split(MARK)
    rest = after.partition("\n\n")[2]
    return before + MARK + HEAD + "".join(f"{each}\n" for each in sorted([*rows, row])) + "\n" + rest


class Fault:
    """What one test saw."""

    def __init__(self, test: str) -> None:
        self._test = test

    def __call__(self, what: str, happens: str, how_soon: str, lost: str) -> None:
        row = f"| {what} | {happens} | {how_soon} | {lost} | `{self._test}` |"
        if os.environ.get("ACTSWEEP_WRITE_FAULTS"):
            PAGE.write_text(with_row(PAGE.read_text(), what, row))
        assert row in rows_of(PAGE.read_text()), f"{PAGE} lacks the row\n{row}"
