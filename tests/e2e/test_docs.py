"""The generated parts of the documentation, and the structure that it promises, are what the code is."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (
    "base", "job", "comm", "corpus", "checkpoint", "weights", "kernels", "model", "probe", "schema",
    "measure", "stats", "output", "plan", "run",
)
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "data/README.md"]
    + [ROOT / "slurm/README.md", *(ROOT / "docs").rglob("*.md")]
)
LONGEST_LINE = 110
SOURCE_PATH = re.compile(rf"(?<![\w./-])(?:src/)?(?:{'|'.join(FOLDERS)})/[\w/*-]*\w\.(?:cpp|cuh?|h|inc)\b")
PATH_IN_SRC = re.compile(r"(?<![\w.-])src/[\w/*-]*[\w*](?:\.\w+)?")
PATH_IN_PROSE = re.compile(rf"`((?:{'|'.join(FOLDERS)})/\w+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
COMPATIBILITY = re.compile(r"\| (.+) \| (?:read|warned|refused) \| .*\| `(test_\w+)` \|")


OWN_CODE = {"kimi_vl"}  # which transformers has no class for: test_model_parts.py compares it


def command_output(program: Path, *arguments: str) -> str:
    return subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout


def test_output_format_lists_the_datasets_of_the_schema(program: Path) -> None:
    assert command_output(program, "schema") in (ROOT / "docs/output-format.md").read_text()


def test_job_keys_are_those_of_the_program(program: Path) -> None:
    assert command_output(program, "keys") in (ROOT / "docs/job.md").read_text()


def test_models_lists_the_families_of_the_program_and_released_models(program: Path) -> None:
    tables = command_output(program, "models")
    tables += command_output(Path(sys.executable), str(ROOT / "scripts/describe_models"), str(program))
    assert (ROOT / "docs/models.md").read_text().endswith(f"<!-- generated -->\n\n{tables}")


def read_table(name: str) -> list[dict[str, str]]:
    with (ROOT / f"docs/{name}.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_model_type_was_compared_with_transformers(program: Path) -> None:
    """At m = 1, 2, 3, 4, streamed and in bfloat16, from three configurations on."""
    rows = {row["type"]: row for row in read_table("measured-errors") if not row["form"]}
    _, _, *lines = command_output(program, "models").splitlines()
    types = {line.split("`")[1] for line in lines}
    others = {line.split("`")[1] for line in lines if "under another name" in line}
    assert types - others - OWN_CODE == rows.keys(), "scripts/measure_errors -k NAME makes the row of a type"
    assert {row["type"] for row in read_table("released-names")} <= types
    for model_type, row in rows.items():
        assert int(row["configurations"]) >= 3, model_type
        assert {"1", "2", "3", "4"} <= set(row["m"].split()), model_type
        assert row["modes"] == "float32 streamed bfloat16", model_type


def test_contributing_says_how_long_functions_are() -> None:
    command = [sys.executable, str(ROOT / "scripts/function_lengths"), "--markdown"]
    table = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert (ROOT / "CONTRIBUTING.md").read_text().endswith(f"<!-- generated -->\n\n{table}")


def test_every_family_says_what_it_brings(program: Path) -> None:
    _, _, *rows = command_output(program, "models").splitlines()
    cells = [re.fullmatch(r"\| `([\w-]+)` \| ([^|]+) \|", row) for row in rows]
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
    paths = [path for pattern in ("*.[hc]*", "*.inc") for path in (ROOT / "src").rglob(pattern)]
    paths += [path for folder in ("data", "analysis/actsweep") for path in (ROOT / folder).rglob("*.py")]
    long = [
        f"{path.relative_to(ROOT)}: {lines}"
        for path in sorted(paths)
        if (lines := len(path.read_text().splitlines())) > 350
    ]
    assert not long


def prose(page: Path) -> list[tuple[int, str]]:
    """The numbered lines of a page without code, tables, link definitions and what is generated."""
    lines, is_code = [], False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line == "<!-- generated -->":
            break
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code and not line.lstrip().startswith("|") and not re.match(r"\[\w+\]: ", line):
            lines.append((number, line))
    return lines


def test_lines_of_prose_are_short() -> None:
    long = [
        f"{page.relative_to(ROOT)}:{number}: {len(line)} characters"
        for page in PAGES
        for number, line in prose(page)
        if len(line) > LONGEST_LINE
    ]
    assert not long


def exists_in_source(path: str) -> bool:
    """Whether src/, or the tests' folders of the same names, have the path, or its name with an ending."""
    name = path.removeprefix("src/")
    places = [ROOT / "src", ROOT / "tests/unit"]
    return any(any(place.glob(name)) or any(place.glob(f"{name}.*")) for place in places)


def named_source_paths(path: Path) -> list[str]:
    text = path.read_text()
    named = SOURCE_PATH.findall(text) + PATH_IN_SRC.findall(text)
    return named + PATH_IN_PROSE.findall(text) if path.suffix == ".md" else named


def test_source_paths_that_are_named_exist() -> None:
    folders = ["scripts", "cmake", "tests", "analysis", "data", "slurm", "src"]
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    endings = {"", ".py", ".cpp", ".h", ".cu", ".cuh", ".sh", ".cmake", ".txt", ".inc"}
    texts = [path for path in files if path.suffix in endings and "__pycache__" not in path.parts]
    missing = [
        f"{path.relative_to(ROOT)}: {named}"
        for path in [*PAGES, ROOT / "CMakeLists.txt", ROOT / "Makefile", *texts]
        for named in named_source_paths(path)
        if not exists_in_source(named)
    ]
    assert not missing


def test_compatibility_has_one_row_for_an_input_and_a_test() -> None:
    """Where a message has changed, a row that was kept would stand beside the new one."""
    lines = (ROOT / "docs/compatibility.md").read_text().splitlines()
    rows = [found.groups() for line in lines if (found := COMPATIBILITY.fullmatch(line))]
    assert len(rows) == sum(line.endswith("` |") for line in lines) > 700
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert not [row for row, count in Counter(rows).items() if count > 1]
    assert not [test for _, test in rows if f"def {test}(" not in tests]


def linked_pages(page: Path) -> list[Path]:
    links = [link.split("#")[0] for link in LINK.findall(page.read_text()) if "://" not in link]
    return [(page.parent / link).resolve() for link in links if link]


def test_links_between_pages_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in linked_pages(page)
        if not target.exists()
    ]
    assert not broken


def test_every_page_is_reached_from_the_readme() -> None:
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        ahead += linked_pages(page)
    assert not set(PAGES) - reached
