"""The generated parts of the documentation, and the structure that it promises, are what the code is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (
    "base", "job", "comm", "corpus", "checkpoint", "weights", "kernels", "model", "probe", "schema",
    "measure", "stats", "output", "plan", "run",
)


def command_output(program: Path, *arguments: str) -> str:
    return subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout


def test_output_format_lists_the_datasets_of_the_schema(program: Path) -> None:
    assert command_output(program, "schema") in (ROOT / "docs/output-format.md").read_text()


def test_job_keys_are_those_of_the_program(program: Path) -> None:
    assert command_output(program, "keys") in (ROOT / "docs/job.md").read_text()


def test_models_lists_the_families_of_the_program(program: Path) -> None:
    table = command_output(program, "models")
    assert (ROOT / "docs/models.md").read_text().endswith(f"<!-- generated -->\n\n{table}")


def test_contributing_says_how_long_functions_are() -> None:
    command = [sys.executable, str(ROOT / "scripts/function_lengths"), "--markdown"]
    table = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert (ROOT / "CONTRIBUTING.md").read_text().endswith(f"<!-- generated -->\n\n{table}")


def test_every_family_says_what_it_brings(program: Path) -> None:
    _, _, *rows = command_output(program, "models").splitlines()
    cells = [re.fullmatch(r"\| `(\w+)` \| ([^|]+) \|", row) for row in rows]
    assert all(cells), rows
    assert len({row.split('`')[1] for row in rows}) == len(rows)


def test_folders_include_only_folders_to_their_left() -> None:
    wrong = []
    for place, folder in enumerate(FOLDERS):
        for path in sorted((ROOT / "src" / folder).rglob("*.[hc]*")):
            for included in re.findall(r'#include "(\w+)/', path.read_text()):
                if included in FOLDERS and FOLDERS.index(included) > place:
                    wrong.append(f"{path.relative_to(ROOT)} includes {included}/")
    assert not wrong


def test_job_corpus_and_output_do_without_libtorch() -> None:
    wrong = []
    for folder in ("job", "corpus", "output"):
        for path in sorted((ROOT / "src" / folder).rglob("*.[hc]*")):
            if re.search(r"#include <(ATen|c10|torch)/", path.read_text()):
                wrong.append(str(path.relative_to(ROOT)))
    assert not wrong


def test_sources_stay_short() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {lines}"
        for path in sorted((ROOT / "src").rglob("*.[hc]*"))
        if (lines := len(path.read_text().splitlines())) > 350
    ]
    assert not long
