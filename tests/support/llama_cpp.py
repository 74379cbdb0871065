"""llama.cpp's own tools: which scripts/build_llama_cpp builds in a folder that ACTSWEEP_LLAMA_CPP names."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from pydoc_data.topics import topics

import gguf
import numpy as np

from .sweeps import environment


def tools() -> Path:
    """llama.cpp's sources with its tools built."""
    return Path(os.environ["ACTSWEEP_LLAMA_CPP"]).resolve()


def run_tool(*command: object) -> str:
    """What a program prints, on either stream; it has to end well."""
    done = subprocess.run(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", check=False, env=environment() | {"PYTHONPATH": str(tools() / "python")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def write_topics(path: Path, part: slice) -> Path:
    """Text of Python's help."""
    path.write_text("\n\n".join(topics[name].strip() for name in sorted(topics))[part])
    return path


def converter(model: Path, element_type: str, output: Path) -> list[object]:
    """The command's words behind Python: a checkpoint as GGUF of "f32" or "bf16"."""
    return [tools() / "convert_hf_to_gguf.py", model, "--outtype", element_type, "--outfile", output]


def importance(model: Path, text: Path, output: Path, window_tokens: int, windows: int) -> list[object]:
    """The command that writes an importance matrix of the first windows of a text, on two threads."""
    return [
        tools() / "build/bin/llama-imatrix", "-m", model, "-f", text, "-o", output, "--output-format",
        "gguf", "-c", window_tokens, "--chunks", windows, "-t", 2, "--no-ppl",
    ]  # fmt: skip


def read_gguf(path: Path) -> dict[str, np.ndarray]:
    return {tensor.name: tensor.data for tensor in gguf.GGUFReader(path).tensors}
