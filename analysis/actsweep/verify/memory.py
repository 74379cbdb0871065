"""How much memory transformers' side takes, and how much there is.

In: a checkpoint, the keys of its model, a length of windows. Out: estimates in bytes. Refuses what
does not fit.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np

from .program import BAD_DEVICE, ProgramFailed

# Versions 2 and 1: the folder, its limit, what is used, and pages of files in that.
CONTROL_GROUPS = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file"),
    (
        Path("/sys/fs/cgroup/memory"),
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
)


def work_bytes(half: Any, tokens: int) -> int:
    """What a window takes: eager attention has its scores four times over, and there are logits."""
    heads = getattr(half, "num_attention_heads", 1)
    vocabulary = getattr(half, "vocab_size", 0)
    return 16 * heads * tokens**2 + 12 * vocabulary * tokens


def fits(directory: Path, work_bytes: int) -> bool:
    """Whether the weights in float32 and the work of the longest window are below what is free."""
    return 4 * _stored_parameters(directory) + work_bytes <= available_bytes()


def check_layers(directory: Path, outside: int, largest: int, work_bytes: int, tokens: int) -> None:
    """Layer by layer: the largest block twice, as it is stored and as it is used."""
    free = available_bytes()
    if outside + 2 * largest + work_bytes > free:
        raise ProgramFailed(
            f"{directory}: layer by layer its largest layer in float32 takes {_gib(largest)}, what is outside"
            f" of layers {_gib(outside)}, a window of {tokens:,} tokens {_gib(work_bytes)}, and {_gib(free)}"
            " of memory are free",
            BAD_DEVICE,
        )


def give_back() -> None:
    """To the system what has been freed. glibc keeps it in the arena of the thread that asked for it, and
    transformers loads with several threads."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
    if trim is not None:
        trim(ctypes.c_size_t(0))


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"


def _stored_parameters(directory: Path) -> int:
    """By the headers of the files; 0 where one cannot be read, which transformers will say."""
    from safetensors import SafetensorError, safe_open

    count = 0
    try:
        for path in directory.glob("*.safetensors"):
            with safe_open(path, "np") as file:
                shapes = [file.get_slice(name).get_shape() for name in file.keys()]
            count += sum(int(np.prod(shape, dtype=np.int64)) for shape in shapes)
    except (OSError, SafetensorError):
        return 0
    return count


def available_bytes() -> int:
    """Free memory of the machine, or below the limit of a control group; files' pages are free."""
    (free,) = _numbers(Path("/proc/meminfo"), "MemAvailable:")
    found = [free * 1024]
    for folder, limit, used, pages in CONTROL_GROUPS:
        paths = [folder / name for name in (limit, used)]
        words = [path.read_text().strip() for path in paths if path.is_file()]
        if len(words) == 2 and words[0].isdigit():
            cached = sum(_numbers(folder / "memory.stat", pages))
            found.append(int(words[0]) - int(words[1]) + cached)
    return min(found)


def _numbers(path: Path, name: str) -> list[int]:
    """The numbers behind a name, one a line."""
    lines = [line.split() for line in path.read_text().splitlines()]
    return [int(words[1]) for words in lines if words[0] == name]
