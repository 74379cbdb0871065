"""What each statistic costs, as a share of the bare forward pass.

Sweeps of SmolLM2 with one statistic each and without any, one after the other, the whole round
repeated, every other round backwards. Prints a Markdown table: the median over rounds of the time
with the statistic over the time without, less 1.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from bench import Sweeps

NOTHING = ("statistics.sites=[]", "output.per_token=none")
CASES: dict[str, tuple[str, ...]] = {
    "residual, rows of all tokens": (),
    "residual, no rows": ("output.per_token=none",),
    "attention_input, attention_output, mlp_input, mlp_output": (
        'statistics.sites=["attention_input","attention_output","mlp_input","mlp_output"]',
        "output.per_token=none",
    ),
    "query, key, value, attention_heads": (
        'statistics.sites=["query","key","value","attention_heads"]', "output.per_token=none",
    ),
    "gate, up, mlp_hidden": (
        'statistics.sites=["gate","up","mlp_hidden"]', "output.per_token=none",
    ),
    "attention to one set of keys": (*NOTHING, 'statistics.attention=["position:0"]'),
    "attention to three sets of keys": (
        *NOTHING,
        'statistics.attention=["position:0","class:delimiter:first","class:other:first"]',
    ),
    "that of one set, and its value updates": (
        *NOTHING, 'statistics.attention=["position:0"]', "statistics.value_updates=true",
    ),
    "query_key": (*NOTHING, "statistics.query_key=true"),
    "loss": (*NOTHING, "statistics.loss=true"),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, default=Path("build/actsweep"))
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--windows", type=int, default=16)
    arguments = parser.parse_args()
    shares: dict[str, list[float]] = {name: [] for name in CASES}
    with tempfile.TemporaryDirectory() as folder:
        sweeps = Sweeps(arguments.program.resolve(), Path(folder), arguments.windows)
        for number in range(arguments.rounds):
            names = list(CASES) if number % 2 == 0 else list(reversed(CASES))
            for name in names:
                bare = sweeps.measure(arguments.dtype, 1, *NOTHING).rate
                rate = sweeps.measure(arguments.dtype, 1, *CASES[name]).rate
                shares[name].append(bare / rate - 1)
    print(f"| statistic, {arguments.dtype} | cost (least to most) |\n|---|---|")
    for name, found in shares.items():
        median = statistics.median(found)
        print(f"| {name} | {median:.0%} ({min(found):.0%} to {max(found):.0%}) |")


if __name__ == "__main__":
    main()
