"""How much faster one build of the program is than another where work comes in many small parts.

Sweeps of 512 windows of 16 tokens with what is measured of attention, and of a small random Mixtral of
64 experts. The two programs take turns, the whole round repeated, every other round backwards. Prints a
Markdown table of the first program's tokens per second over the second's (median over rounds, and the
spread), and writes the ratios and the machine as JSON.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

from bench import DTYPES, MODEL, WINDOW_TOKENS, Sweeps, machine, spread, table
from statistics_cost import NOTHING, ROUTED, make_routed

SHORT_WINDOWS, SHORT_TOKENS, LONG_WINDOWS = 512, 16, 16
ONE_SET = (*NOTHING, 'statistics.attention=["position:0"]')
THREE_SETS = (
    *NOTHING, 'statistics.attention=["position:0","class:delimiter:first","class:other:first"]',
)  # fmt: skip
SHORT_CASES: dict[str, tuple[str, ...]] = {
    "512 short windows, nothing measured": NOTHING,
    "512 short windows, attention to one set": ONE_SET,
    "512 short windows, attention to three sets": THREE_SETS,
    "512 short windows, three sets and value updates": (*THREE_SETS, "statistics.value_updates=true"),
    "512 short windows, query_key": (*NOTHING, "statistics.query_key=true"),
}
ROUTED_CASES: dict[str, tuple[str, ...]] = {
    "64 experts, nothing measured": NOTHING,
    "64 experts, experts": (*NOTHING, "statistics.experts=true"),
    "64 experts, experts and expert_inputs": (
        *NOTHING, "statistics.experts=true", "statistics.expert_inputs=true",
    ),
}  # fmt: skip
MANY_EXPERTS = ROUTED | {
    "num_local_experts": 64, "num_experts_per_tok": 4, "intermediate_size": 192,
}  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--before", type=Path, required=True, help="the program to compare with")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def cells(ratios: list[float]) -> list[str]:
    return [f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}"]


def main() -> None:
    options = arguments()
    os.environ |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.output.parent) as scratch:
        folder = Path(scratch).resolve()
        routed = make_routed(folder, MANY_EXPERTS)
        pairs = []
        for name, settings in (SHORT_CASES | ROUTED_CASES).items():
            is_short = name in SHORT_CASES
            windows, model = (SHORT_WINDOWS, MODEL) if is_short else (LONG_WINDOWS, routed)
            tokens = SHORT_TOKENS if is_short else WINDOW_TOKENS
            pair = [Sweeps(program.resolve(), folder, windows, model, window_tokens=tokens)
                    for program in (options.program, options.before)]
            pairs.append((name, settings, pair))
        ratios = {dtype: {name: [] for name, _, _ in pairs} for dtype in DTYPES}
        for number in range(options.rounds):
            for dtype, found in ratios.items():
                for name, settings, (mine, other) in pairs[:: -1 if number % 2 else 1]:
                    ratio = mine.measure(dtype, 1, *settings).rate
                    ratio /= other.measure(dtype, 1, *settings).rate
                    found[name].append(ratio)
                    print(f"round {number + 1}, {dtype}, {name}: {ratio:.2f}", file=sys.stderr, flush=True)
        results = {dtype: {name: spread(of) for name, of in found.items()}
                   for dtype, found in ratios.items()}  # fmt: skip
    facts = {"machine": machine(options.program.resolve()), "results": results}
    options.output.write_text(json.dumps(facts, indent=1) + "\n")
    rows = [[name, *(cell for dtype in DTYPES for cell in cells(ratios[dtype][name]))]
            for name, _, _ in pairs]  # fmt: skip
    head = [column for dtype in DTYPES for column in (dtype, "min to max")]
    print(table(["times as fast", *head], rows))


if __name__ == "__main__":
    main()
