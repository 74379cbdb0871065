"""The time to make one file of a sweep's segments, beside the time to copy that file on the same disk.

A random Llama of many narrow layers leaves rows of every token; `pack` makes the file that a packed
sweep's consolidation makes, by the same calls. Both are timed with an fsync, in turn, and repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "e2e")]

from running import PROGRAM, environment, make_corpus, make_job, make_model, run_well, write_job  # noqa: E402

LAYERS = 30
ROW_BYTES = 32  # of a layer and token
SEQUENCE_LENGTH = 256


def sweep(folder: Path, tokens: int, members: int) -> Path:
    """A linked sweep, whose segments stay."""
    shape = {"num_hidden_layers": LAYERS, "hidden_size": 64, "num_attention_heads": 4}
    model = make_model(folder / "model", **shape)
    corpus = make_corpus(folder / "corpus.h5", tokens)
    output = folder / "linked.h5"
    job = make_job(
        model,
        corpus,
        output,
        corpus={"path": str(corpus), "sequence_length": SEQUENCE_LENGTH},
        parallel={"tensor": members, "threads": 2 // members, "microbatch_tokens": 8192},
        statistics={"loss": False},
        output={"path": str(output), "layout": "linked"},
    )
    del job["parallel"]["block_tokens"], job["output"]["segment_tokens"]
    run_well(write_job(folder / "job.toml", job), members)
    return output


def seconds(work: Callable[[], None]) -> float:
    os.sync()
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def pack(linked: Path, target: Path) -> None:
    command = [str(PROGRAM), "pack", str(linked), "-o", str(target)]
    subprocess.run(command, check=True, env=environment())


def copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def measure(folder: Path, tokens: int, members: int, rounds: int) -> dict[str, object]:
    linked = sweep(folder, tokens, members)
    packed, copied = folder / "packed.h5", folder / "copied.h5"
    times: dict[str, list[float]] = {"pack": [], "copy": []}
    for _ in range(rounds):
        packed.unlink(missing_ok=True)
        times["pack"].append(seconds(lambda: pack(linked, packed)))
        copied.unlink(missing_ok=True)
        times["copy"].append(seconds(lambda: copy(packed, copied)))
    ratios = [one / other for one, other in zip(times["pack"], times["copy"], strict=True)]
    segments = sum(path.stat().st_size for path in linked.with_name("linked.h5.segments").iterdir())
    return {
        "members": members,
        "row_bytes": tokens * (LAYERS + 1) * ROW_BYTES,
        "file_bytes": packed.stat().st_size,
        "segment_bytes": segments,
        "linked_bytes": linked.stat().st_size,
        **times,
        "ratio": statistics.median(ratios),
    }


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=2 << 20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="on the disk to be measured")
    arguments = parser.parse_args()
    results = []
    print("| members | rows, GB | segments, GB | file, GB | consolidation, s | copy, s | ratio |")
    print("|---|---|---|---|---|---|---|")
    for members in (1, 2):
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            found = measure(Path(folder), arguments.tokens, members, arguments.rounds)
        results.append(found)
        sizes = " | ".join(f"{found[key] / 1e9:.2f}" for key in ("row_bytes", "segment_bytes", "file_bytes"))
        print(f"| {members} | {sizes} | {spread(found['pack'])} | {spread(found['copy'])} "
              f"| {found['ratio']:.2f} |", flush=True)  # fmt: skip
    arguments.output.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
