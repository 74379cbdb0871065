"""bfloat16 and float16 against float32 where a machine has no instructions for their products.

Sweeps of SmolLM2 held to AVX2 by the variables that oneDNN, MKL and ATen read, with resident and
with streamed weights, one after the other, the whole round repeated, every other round backwards.
Prints a Markdown table of tokens/s and of ratios, and writes them and the machine as JSON.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

from bench import Sample, Sweeps, machine, spread, table

HELD_TO_AVX2 = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
}
DTYPES = ("float32", "bfloat16", "float16")
WORK = {"all residual statistics": (), "no statistics": ("statistics.sites=[]",)}
Case = tuple[str, str, str]  # weight mode, work, dtype
CASES = [(mode, work, dtype) for mode in ("resident", "streamed") for work in WORK
         for dtype in DTYPES]  # fmt: skip


def of_float32(samples: dict[Case, list[Sample]], case: Case) -> dict[str, float]:
    """Rates over those of float32 in the same round, and the ratio of the medians."""
    mine, theirs = ([sample.rate for sample in samples[key]] for key in (case, (*case[:2], "float32")))
    rounds = [one / other for one, other in zip(mine, theirs, strict=True)]
    return {**spread(rounds), "of_medians": statistics.median(mine) / statistics.median(theirs)}


def rows_of(samples: dict[Case, list[Sample]]) -> list[list[str]]:
    rows = []
    for case in CASES:
        rate = spread([sample.rate for sample in samples[case]])
        ratio = of_float32(samples, case)
        rows.append([", ".join(case), f"{rate['median']:,.0f}",
                     f"{rate['min']:,.0f} to {rate['max']:,.0f}", f"{ratio['of_medians']:.2f}",
                     f"{ratio['min']:.2f} to {ratio['max']:.2f}"])  # fmt: skip
    return rows


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--windows", type=int, default=16, help="windows of each sweep")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    os.environ |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    os.environ |= HELD_TO_AVX2
    program = options.program.resolve()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    samples: dict[Case, list[Sample]] = {case: [] for case in CASES}
    with tempfile.TemporaryDirectory(dir=options.output.parent) as scratch:
        sweeps = Sweeps(program, Path(scratch).resolve(), options.windows)
        for number in range(options.rounds):
            for mode, work, dtype in CASES[:: -1 if number % 2 else 1]:
                sample = sweeps.measure(dtype, 1, f"parallel.weights={mode}", *WORK[work])
                samples[mode, work, dtype].append(sample)
                print(f"round {number + 1}, {mode}, {work}, {dtype}: {sample.rate:,.0f}",
                      file=sys.stderr, flush=True)
            results = {", ".join(case): {"rates": [sample.rate for sample in samples[case]],
                                         "of_float32": of_float32(samples, case)}
                       for case in CASES}  # fmt: skip
            facts = {"machine": machine(program), "held_to": HELD_TO_AVX2,
                     "windows": options.windows, "results": results}  # fmt: skip
            options.output.write_text(json.dumps(facts, indent=1) + "\n")
    head = ["held to AVX2, tokens/s", "median", "min to max", "of float32", "min to max"]
    print(table(head, rows_of(samples)))


if __name__ == "__main__":
    main()
