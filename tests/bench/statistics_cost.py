"""What each statistic costs, as a share of the bare forward pass.

Sweeps with one statistic each and without any, one after the other, the whole round repeated, every
other round backwards: of SmolLM2, and of a small random Mixtral for what routed experts have. Prints
Markdown tables of the time with the statistic over the time without, less 1 (median over rounds, and
the spread), and writes the shares and the machine as JSON.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import DTYPES, MODEL, ROOT, Sweeps, machine, spread, table

NOTHING = ("statistics.sites=[]", "output.per_token=none")
NO_ROWS = "output.per_token=none"
DENSE_CASES: dict[str, tuple[str, ...]] = {
    "residual, rows of all tokens": (),
    "residual, no rows": (NO_ROWS,),
    "residual, no rows, with event_updates": (NO_ROWS, "statistics.event_updates=true"),
    "residual, no rows, with lifecycles of two channels": (
        NO_ROWS, "statistics.lifecycle=true", "statistics.lifecycle_channels=[0,507]",
    ),
    "sites attention_input, attention_output, mlp_input, mlp_output": (
        'statistics.sites=["attention_input","attention_output","mlp_input","mlp_output"]', NO_ROWS,
    ),
    "sites query, key, value, attention_heads": (
        'statistics.sites=["query","key","value","attention_heads"]', NO_ROWS,
    ),
    "sites gate, up, mlp_hidden": ('statistics.sites=["gate","up","mlp_hidden"]', NO_ROWS),
    "sites mlp_hidden, mlp_output, and super weights": (
        'statistics.sites=["mlp_hidden","mlp_output"]', NO_ROWS,
    ),
    "residual, no rows, and quantisation": (NO_ROWS, "statistics.quantisation=true"),
    "residual, no rows, and channel_quantiles": (NO_ROWS, "statistics.channel_quantiles=true"),
    "residual, no rows, and five formats": (
        NO_ROWS,
        'statistics.formats=["int8_token","fp8_e4m3_token","mxfp8_e4m3","mxfp4","nvfp4"]',
    ),
    "site final_norm": ('statistics.sites=["final_norm"]', NO_ROWS),
    "attention to one set of keys": (*NOTHING, 'statistics.attention=["position:0"]'),
    "attention to three sets of keys": (
        *NOTHING,
        'statistics.attention=["position:0","class:delimiter:first","class:other:first"]',
    ),
    "attention to one set, and its value updates": (
        *NOTHING, 'statistics.attention=["position:0"]', "statistics.value_updates=true",
    ),
    "attention_received": (
        "statistics.sites=[]", "output.per_token=all", "statistics.attention_received=true",
    ),
    "score_extrema": (*NOTHING, "statistics.score_extrema=true"),
    "geometry": ("statistics.sites=[]", "output.per_token=all", "statistics.geometry=true"),
    "geometry, participation alone": (*NOTHING, "statistics.geometry=true"),
    "query_key": (*NOTHING, "statistics.query_key=true"),
    "loss": (*NOTHING, "statistics.loss=true"),
    "store of the residual stream": (*NOTHING, 'store.sites=["residual"]'),
    "store of the residual stream, a tenth of the tokens in bfloat16": (
        *NOTHING, 'store.sites=["residual"]', "store.tokens=random:0.1", "store.dtype=bfloat16",
    ),
}  # fmt: skip
ROUTED_CASES: dict[str, tuple[str, ...]] = {
    "experts": (*NOTHING, "statistics.experts=true"),
    "experts, expert_inputs": (
        *NOTHING, "statistics.experts=true", "statistics.expert_inputs=true",
    ),
}  # fmt: skip
# A Mixtral with SmolLM2's vocabulary: two of eight experts, which are as wide as its MLP.
ROUTED = {
    "model_type": "mixtral", "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 6,
    "num_attention_heads": 9, "num_key_value_heads": 3, "num_local_experts": 8,
    "num_experts_per_tok": 2, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5,
    "hidden_act": "silu", "rope_theta": 10000.0,
}  # fmt: skip


def make_routed(directory: Path, routed: dict[str, Any] = ROUTED) -> Path:
    config = routed | {"vocab_size": json.loads((MODEL / "config.json").read_text())["vocab_size"]}
    path = directory / "routed.json"
    path.write_text(json.dumps(config))
    command = [sys.executable, ROOT / "data/prepare_model.py", "random", path, directory / "routed"]
    subprocess.run(command, check=True, capture_output=True)
    return directory / "routed"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--windows", type=int, default=8, help="windows of each sweep")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    os.environ |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    program = options.program.resolve()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.output.parent) as scratch:
        folder = Path(scratch).resolve()
        dense = Sweeps(program, folder, options.windows)
        routed = Sweeps(program, folder, options.windows, make_routed(folder))
        cases = [(dense, name, DENSE_CASES[name]) for name in DENSE_CASES]
        cases += [(routed, name, ROUTED_CASES[name]) for name in ROUTED_CASES]
        shares = {dtype: {name: [] for _, name, _ in cases} for dtype in DTYPES}
        for number in range(options.rounds):
            for dtype, found in shares.items():
                for sweeps, name, settings in cases[:: -1 if number % 2 else 1]:
                    bare = sweeps.measure(dtype, 1, *NOTHING).rate
                    share = bare / sweeps.measure(dtype, 1, *settings).rate - 1
                    found[name].append(share)
                    print(f"round {number + 1}, {dtype}, {name}: {share:.0%}", file=sys.stderr,
                          flush=True)
            results = {dtype: {name: spread(shares) for name, shares in found.items()}
                       for dtype, found in shares.items()}  # fmt: skip
            facts = {"machine": machine(program), "windows": options.windows, "results": results}
            options.output.write_text(json.dumps(facts, indent=1) + "\n")
    rows = [[name, *(cell for dtype in DTYPES for cell in cells(shares[dtype][name]))]
            for _, name, _ in cases]  # fmt: skip
    head = [column for dtype in DTYPES for column in (dtype, "min to max")]
    print(table(["statistic, share of the bare forward pass", *head], rows))


def cells(shares: list[float]) -> list[str]:
    return [f"{statistics.median(shares):.0%}", f"{min(shares):.0%} to {max(shares):.0%}"]


if __name__ == "__main__":
    main()
