"""How fast an importance matrix is made: by actsweep and by llama.cpp's llama-imatrix, whole processes.

The same weights and the same tokens of SmolLM2, in float32 and in bfloat16, on two threads, one after the other,
the whole round repeated, every other round backwards. actsweep sweeps the inputs of all linear layers and
writes their sums to a sweep file; its export as a GGUF file is timed apart. Ends with 1 if the two matrices
differ by more than rounding. Prints a Markdown table and writes the rates, what the sums differ by and the
machine as JSON. ACTSWEEP_LLAMA_CPP names the folder of llama.cpp's tools, built for this CPU (`make
bench-imatrix`).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from bench import MODEL, ROOT, machine, spread, table

sys.path.insert(0, str(ROOT / "tests"))

from support.llama_cpp import (  # noqa: E402
    converter,
    importance,
    read_gguf,
    run_tool,
    tools,
    write_topics,
)
from support.sweeps import to_toml  # noqa: E402

ELEMENTS = {"float32": "f32", "bfloat16": "bf16"}
# Of Σx², largest difference that rounding explains: llama-imatrix keeps keys and values in float16.
BOUNDS = {"float32": 0.02, "bfloat16": 0.1}
SITES = ["attention_input", "attention_heads", "mlp_input", "mlp_hidden"]
WINDOW_TOKENS = 512
CHARACTERS = 5  # of a token, at most on average: text is cut to so many for each
AIM = 1.75


@dataclass(frozen=True)
class Case:
    """One element type: files and commands."""

    folder: Path
    program: Path
    dtype: str
    windows: int

    @property
    def ours(self) -> Path:
        return self.folder / f"ours-{self.dtype}.gguf"

    @property
    def theirs(self) -> Path:
        return self.folder / f"theirs-{self.dtype}.gguf"

    @property
    def sweep(self) -> Path:
        return self.folder / f"sweep-{self.dtype}.h5"

    def prepare(self) -> None:
        model = self.folder / f"model-{self.dtype}.gguf"
        run_tool(sys.executable, *converter(MODEL, ELEMENTS[self.dtype], model))
        job = {
            "model": {"path": str(MODEL), "dtype": self.dtype},
            "corpus": {
                "path": str(self.folder / "corpus.h5"), "sequence_length": WINDOW_TOKENS,
                "max_sequences": self.windows,
            },
            "parallel": {"threads": 2},
            "statistics": {"sites": SITES},
            "output": {"path": str(self.sweep), "per_token": "none"},
        }  # fmt: skip
        self.sweep.with_suffix(".toml").write_text(to_toml(job))

    def run_ours(self) -> float:
        self.sweep.unlink(missing_ok=True)
        return seconds(lambda: run_tool(self.program, "run", self.sweep.with_suffix(".toml")))

    def export(self) -> float:
        command = (sys.executable, "-m", "actsweep", "export", "imatrix", self.sweep, self.ours)
        return seconds(lambda: run_tool(*command))

    def run_theirs(self) -> float:
        model = self.folder / f"model-{self.dtype}.gguf"
        command = importance(model, self.folder / "text.txt", self.theirs, WINDOW_TOKENS, self.windows)
        return seconds(lambda: run_tool(*command))

    def difference(self) -> float:
        """Largest of any tensor's Σx² by channel, in units of the tensor's mean; ends with 1 beyond the
        bound, or where counts differ."""
        ours, theirs = read_gguf(self.ours), read_gguf(self.theirs)
        worst = 0.0
        for name, squares in theirs.items():
            found = ours[name].reshape(squares.shape)
            if name.endswith(".counts") and not np.array_equal(found, squares):
                sys.exit(f"{self.ours}: {name}: expected {squares.ravel()}, found {found.ravel()}")
            if name.endswith(".in_sum2"):
                error = np.abs(found - squares) / np.maximum(squares, squares.mean())
                worst = max(worst, float(error.max()))
        if worst > BOUNDS[self.dtype]:
            sys.exit(f"{self.ours}: Σx² differs from llama-imatrix's by {worst:.2g}, bound {BOUNDS[self.dtype]}")
        return worst


def seconds(work: Callable[[], object]) -> float:
    start_s = perf_counter()
    work()
    return perf_counter() - start_s


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--windows", type=int, default=48, help=f"windows of {WINDOW_TOKENS} tokens")
    return parser.parse_args()


def prepared(folder: Path, program: Path, windows: int) -> list[Case]:
    text = write_topics(folder / "text.txt", slice(CHARACTERS * windows * WINDOW_TOKENS))
    command = [sys.executable, str(ROOT / "data/prepare_corpus.py"), "--tokenizer", str(MODEL), "--output"]
    subprocess.run([*command, str(folder / "corpus.h5"), str(text)], check=True, capture_output=True)
    cases = [Case(folder, program, dtype, windows) for dtype in ELEMENTS]
    for case in cases:
        case.prepare()
        case.run_ours()  # the digests of the weights are kept from then on, as of any model
        case.run_theirs()
        case.export()
    return cases


def main() -> None:
    options = arguments()
    os.environ["OMP_WAIT_POLICY"] = "passive"
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.output.parent) as scratch:
        cases = prepared(Path(scratch).resolve(), options.program.resolve(), options.windows)
        differences = {case.dtype: case.difference() for case in cases}
        taken: dict[str, dict[str, list[float]]] = {
            case.dtype: {"actsweep": [], "export": [], "llama-imatrix": []} for case in cases
        }
        for number in range(options.rounds):
            for case in cases:
                steps = [("actsweep", case.run_ours), ("llama-imatrix", case.run_theirs)]
                for name, step in steps[:: -1 if number % 2 else 1]:
                    taken[case.dtype][name].append(step())
                taken[case.dtype]["export"].append(case.export())
                print(f"round {number + 1}, {case.dtype}: {taken[case.dtype]}", file=sys.stderr, flush=True)
            report(options, taken, differences)


def report(
    options: argparse.Namespace, taken: dict[str, dict[str, list[float]]], differences: dict[str, float]
) -> None:
    """JSON anew after each round, and the table as it stands."""
    tokens = options.windows * WINDOW_TOKENS
    results, rows = {}, []
    for dtype, times in taken.items():
        ours, theirs = times["actsweep"], times["llama-imatrix"]
        ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
        with_export = [b / (a + c) for a, b, c in zip(ours, theirs, times["export"], strict=True)]
        results[dtype] = {"seconds": times, "ratio": spread(ratios), "with export": spread(with_export),
                          "difference of the sums": differences[dtype]}  # fmt: skip
        rate = [f"{tokens / statistics.median(each):,.0f}" for each in (ours, theirs)]
        rows.append([dtype, *rate, f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}",
                     f"{AIM}", f"{statistics.median(with_export):.2f}", f"{differences[dtype]:.1g}"])  # fmt: skip
    facts = {"machine": machine(options.program), "llama.cpp": (tools() / "version").read_text().strip(),
             "windows": options.windows, "window_tokens": WINDOW_TOKENS, "results": results}  # fmt: skip
    options.output.write_text(json.dumps(facts, indent=1) + "\n")
    if len(next(iter(taken.values()))["actsweep"]) == options.rounds:
        head = ["whole processes, tokens/s", "actsweep", "llama-imatrix", "ratio", "min to max", "aimed at",
                "with the export", "sums differ by"]  # fmt: skip
        print(table(head, rows))


if __name__ == "__main__":
    main()
