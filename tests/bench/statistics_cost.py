"""What each statistic costs, as a share of the bare forward pass.

Sweeps with one statistic each and without any, one after the other, the whole round repeated, every
other round backwards: of SmolLM2, and of a small random Mixtral for what routed experts have. Prints
a Markdown table of the time with the statistic over the time without, less 1 (median over rounds, and
the spread), and writes the shares and the machine as JSON. What is added to other statistics is swept
beside those, too: its share is the time that it adds, over that of the bare pass.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import DTYPES, MODEL, ROOT, Sweeps, machine, spread, table

NOTHING = ("statistics.sites=[]", "output.per_token=none")
NO_ROWS = "output.per_token=none"
FORMATS = ("int8_token", "fp8_e4m3_token", "mxfp8_e4m3", "mxfp4", "nvfp4")


@dataclass(frozen=True)
class Case:
    """Settings with a statistic, those that it is added to, and the share that is aimed at."""

    settings: tuple[str, ...]
    beside: tuple[str, ...] = NOTHING
    aim: str = ""


def sites(*names: str) -> tuple[str, ...]:
    return (f"statistics.sites={json.dumps(names)}", NO_ROWS)


def of_residual(setting: str, aim: str = "") -> Case:
    """What is added to the statistics of the residual stream."""
    return Case((NO_ROWS, setting), (NO_ROWS,), aim)


PARTICIPATION = (*NOTHING, "statistics.geometry=true")
DENSE_CASES = {
    "`residual`, rows of all tokens": Case(()),
    "`residual`, no rows": Case((NO_ROWS,)),
    "`event_updates`, added to `residual`": of_residual("statistics.event_updates=true", "2 %"),
    "`lifecycle` of two channels, added to `residual`": Case(
        (NO_ROWS, "statistics.lifecycle=true", "statistics.lifecycle_channels=[0,507]"), (NO_ROWS,)
    ),
    "`channel_quantiles` of one site": of_residual("statistics.channel_quantiles=true"),
    "`quantisation` of one site": of_residual("statistics.quantisation=true", "5 %"),
    **{
        f"format `{name}` of one site": of_residual(f'statistics.formats=["{name}"]', "10 %")
        for name in FORMATS
    },
    "sites `attention_input`, `attention_output`, `mlp_input`, `mlp_output`": Case(
        sites("attention_input", "attention_output", "mlp_input", "mlp_output")
    ),
    "inputs of linear layers: `attention_input`, `attention_heads`, `mlp_input`, `mlp_hidden`": Case(
        sites("attention_input", "attention_heads", "mlp_input", "mlp_hidden"), aim="15 %"
    ),
    "sites `query`, `key`, `value`, `attention_heads`": Case(
        sites("query", "key", "value", "attention_heads")
    ),
    "sites `gate`, `up`, `mlp_hidden`": Case(sites("gate", "up", "mlp_hidden"), aim="12 %"),
    "sites `mlp_hidden`, `mlp_output`, and super weights": Case(sites("mlp_hidden", "mlp_output")),
    "site `final_norm`": Case(sites("final_norm")),
    "attention to one set of keys": Case((*NOTHING, 'statistics.attention=["position:0"]')),
    "attention to three sets of keys": Case(
        (
            *NOTHING,
            'statistics.attention=["position:0","class:delimiter:first","class:other:first"]',
        )
    ),
    "attention to one set, and its value updates": Case(
        (*NOTHING, 'statistics.attention=["position:0"]', "statistics.value_updates=true")
    ),
    "`attention_received`": Case(
        ("statistics.sites=[]", "output.per_token=all", "statistics.attention_received=true"),
        aim="15 %; 25 %",
    ),
    "`score_extrema`": Case((*NOTHING, "statistics.score_extrema=true")),
    "`geometry`: cosines": Case(
        ("statistics.sites=[]", "output.per_token=all", "statistics.geometry=true"),
        PARTICIPATION,
        "5 %",
    ),
    "`geometry`: participation": Case(PARTICIPATION),
    "`query_key`": Case((*NOTHING, "statistics.query_key=true")),
    "`loss`": Case((*NOTHING, "statistics.loss=true")),
    "store of the residual stream": Case((*NOTHING, 'store.sites=["residual"]')),
    "store of the residual stream, a tenth of the tokens in bfloat16": Case(
        (*NOTHING, 'store.sites=["residual"]', "store.tokens=random:0.1", "store.dtype=bfloat16")
    ),
}
ROUTED_CASES = {
    "`experts`": Case((*NOTHING, "statistics.experts=true")),
    "`experts`, `expert_inputs`": Case(
        (*NOTHING, "statistics.experts=true", "statistics.expert_inputs=true")
    ),
}
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
    parser.add_argument("--only", default="", help="words of a case: the others are left out")
    return parser.parse_args()


def added_share(sweeps: Sweeps, dtype: str, case: Case) -> float:
    """The time that a statistic adds, over that of the bare pass."""
    bare = sweeps.measure(dtype, 1, *NOTHING).rate
    beside = 1.0
    if case.beside != NOTHING:
        beside = bare / sweeps.measure(dtype, 1, *case.beside).rate
    return bare / sweeps.measure(dtype, 1, *case.settings).rate - beside


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
        cases = [case for case in cases if options.only in case[1]]
        if not cases:
            sys.exit(f"--only {options.only}: expected words of a case's name, found none with them")
        shares = {dtype: {name: [] for _, name, _ in cases} for dtype in DTYPES}
        for number in range(options.rounds):
            for dtype, found in shares.items():
                for sweeps, name, case in cases[:: -1 if number % 2 else 1]:
                    share = added_share(sweeps, dtype, case)
                    found[name].append(share)
                    print(f"round {number + 1}, {dtype}, {name}: {share:.0%}", file=sys.stderr,
                          flush=True)
            results = {dtype: {name: spread(shares) for name, shares in found.items()}
                       for dtype, found in shares.items()}  # fmt: skip
            facts = {"machine": machine(program), "windows": options.windows, "results": results}
            options.output.write_text(json.dumps(facts, indent=1) + "\n")
    rows = [[name, case.aim, *(cell for dtype in DTYPES for cell in cells(shares[dtype][name]))]
            for _, name, case in cases]  # fmt: skip
    head = ["aimed at", *(column for dtype in DTYPES for column in (dtype, "min to max"))]
    print(table(["statistic, share of the bare forward pass", *head], rows))


def cells(shares: list[float]) -> list[str]:
    return [f"{statistics.median(shares):.0%}", f"{min(shares):.0%} to {max(shares):.0%}"]


if __name__ == "__main__":
    main()
