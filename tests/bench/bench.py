"""Tokens per second of actsweep and of what it replaces, on one machine in one run.

All cases take the same weights, the same windows and the same two cores, one after the other, and
the whole round is repeated, every other round backwards: what else the machine does then falls on
all of them alike. Prints Markdown tables and writes the samples, the machine and the ratios as
JSON, anew after each round.
"""

import argparse
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from time import perf_counter, process_time, time
from typing import Any, NamedTuple

import h5py
import torch
import transformers

from transformers_baselines import Baselines, matrix_product_gflops

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models/smollm2-135m-instruct"
CORPUS = ROOT / "corpora/demo.h5"
WINDOW_TOKENS = 512
CORES = 2
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
READY = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) .*weights are ready", re.MULTILINE)

CASES = {
    "a": "actsweep, all residual statistics to HDF5",
    "a2": "the same, two ranks of one thread",
    "b": "actsweep without statistics",
    "c": "transformers, bare forward",
    "c'": "transformers without logits",
    "d1": "transformers, float32 hooks to HDF5",
    "d2": "transformers, float64 copies and full sorts",
    "e": "matrix products, GFLOP/s",
}
RATIOS = ("b", "c", "c'", "d1", "d2")


class Sample(NamedTuple):
    rate: float  # tokens/s, or GFLOP/s for case e
    core_share: float  # CPU time over wall time x cores: well under 1 on a busy machine


class Sweeps:
    """Runs the program on one job, whose output is removed after each run."""

    def __init__(self, program: Path, directory: Path, windows: int, model: Path = MODEL,
                 corpus: Path = CORPUS, window_tokens: int = WINDOW_TOKENS,
                 cores: int = CORES) -> None:
        self.program = program
        self.cores = cores
        self.tokens = windows * window_tokens
        self.output = directory / f"bench-{model.name}.h5"
        self.job = self.output.with_suffix(".toml")
        self.job.write_text(
            f'[model]\npath = "{model}"\n'
            f'[corpus]\npath = "{corpus}"\nsequence_length = {window_tokens}\n'
            f"max_sequences = {windows}\n"
            f'[output]\npath = "{self.output}"\nsegment_tokens = {self.tokens}\n')

    def measure(self, dtype: str, ranks: int = 1, *settings: str) -> Sample:
        """One sweep, from "weights are ready" to the end of the process: computing, writing the
        segments, consolidating and leaving MPI."""
        settings = (f"model.dtype={dtype}", f"parallel.tensor={ranks}",
                    f"parallel.threads={self.cores // ranks}", *settings)
        launcher = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
        command = [*launcher, str(self.program), "run", str(self.job),
                   *(word for setting in settings for word in ("--set", setting))]
        cpu_before_s, start_s = children_cpu_s(), time()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        end_s = time()
        log = done.stdout + done.stderr
        ready = READY.search(log)
        if done.returncode != 0 or ready is None or not self.output.is_file():
            sys.exit(f"{' '.join(command)}: exit code {done.returncode}, expected 0, a line "
                     f'"weights are ready" and {self.output}; its log:\n{log}')
        self.output.unlink()
        ready_s = datetime.strptime(ready[1], "%Y-%m-%d %H:%M:%S.%f").timestamp()
        return Sample(self.tokens / (end_s - ready_s),
                      (children_cpu_s() - cpu_before_s) / (end_s - start_s) / self.cores)


def children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def timed(amount: float, work: Callable[[], object]) -> Sample:
    """`amount` of tokens per second of `work`, done in this process."""
    cpu_start_s, start_s = process_time(), perf_counter()
    work()
    elapsed_s = perf_counter() - start_s
    return Sample(amount / elapsed_s, (process_time() - cpu_start_s) / elapsed_s / CORES)


def cases_of(dtype: str, sweeps: Sweeps, baselines: Baselines,
             scratch: Path) -> dict[str, Callable[[], Sample]]:
    """What to run for each of CASES in one element type."""
    tokens = sweeps.tokens

    def products() -> Sample:
        gflops: list[float] = []
        share = timed(1, lambda: gflops.append(matrix_product_gflops(DTYPES[dtype]))).core_share
        return Sample(gflops[0], share)

    return {
        "a": lambda: sweeps.measure(dtype),
        "a2": lambda: sweeps.measure(dtype, 2),
        "b": lambda: sweeps.measure(dtype, 1, "statistics.sites=[]"),
        "c": lambda: timed(tokens, baselines.forward_with_logits),
        "c'": lambda: timed(tokens, baselines.forward_without_logits),
        "d1": lambda: timed(tokens, lambda: baselines.float32_hooks(scratch / "hooks.h5")),
        "d2": lambda: timed(tokens, baselines.float64_sort_hooks),
        "e": products,
    }


def layer_gflop_per_token() -> float:
    """Two operations per weight of the layers, and scores and values of causal attention over
    (T + 1) / 2 positions on average; no embedding, no logits."""
    config = json.loads((MODEL / "config.json").read_text())
    width, hidden = config["hidden_size"], config["intermediate_size"]
    head_width = config["head_dim"]
    query = config["num_attention_heads"] * head_width
    key_value = config["num_key_value_heads"] * head_width
    weights = width * (2 * query + 2 * key_value) + 3 * width * hidden
    attention = 2 * 2 * query * (WINDOW_TOKENS + 1) / 2
    return config["num_hidden_layers"] * (2 * weights + attention) / 1e9


def machine(program: Path) -> dict[str, Any]:
    """The facts without which the numbers mean nothing."""
    facts = Path("/proc/cpuinfo").read_text()
    flags = set(re.search(r"^flags\s*:(.*)$", facts, re.MULTILINE)[1].split())
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return {
        "cpu": re.search(r"^model name\s*:\s*(.*)$", facts, re.MULTILINE)[1],
        "cores": os.cpu_count(),
        "flags": sorted(flag for flag in flags if flag.startswith(("amx", "avx512"))),
        "load_average": os.getloadavg(),
        "actsweep": version.stdout.strip(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "h5py": h5py.__version__,
        "python": platform.python_version(),
    }


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def summary(samples: dict[str, list[Sample]]) -> dict[str, Any]:
    """Medians and spreads of one element type, and what (a) reaches of the others, whose spread
    is that of the rounds' own ratios."""
    rates = {case: [sample.rate for sample in taken] for case, taken in samples.items()}

    def against(case: str, scale: float = 1.0) -> dict[str, float]:
        rounds = [scale * mine / other for mine, other in zip(rates["a"], rates[case])]
        ratio = scale * statistics.median(rates["a"]) / statistics.median(rates[case])
        return {**spread(rounds), "of_medians": ratio}

    return {
        "cases": {case: {"rates": rates[case], **spread(rates[case]),
                         "core_shares": [sample.core_share for sample in taken]}
                  for case, taken in samples.items()},
        "ratios": {**{f"a/{case}": against(case) for case in RATIOS},
                   "share of e": against("e", layer_gflop_per_token())},
    }


def table(head: list[str], rows: list[list[str]]) -> str:
    """An aligned Markdown table: the first column to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows)]

    def line(cells: list[str]) -> str:
        padded = [cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(map(line, [head, rule, *rows]))


def tables(results: dict[str, dict[str, Any]]) -> str:
    def cells(numbers: dict[str, float], key: str, digits: int) -> list[str]:
        return [f"{numbers[key]:,.{digits}f}",
                f"{numbers['min']:,.{digits}f} to {numbers['max']:,.{digits}f}"]

    head = [column for dtype in results for column in (dtype, "min to max")]
    speeds = []
    for case, title in CASES.items():
        row = [f"({case}) {title}"]
        for result in results.values():
            numbers = result["cases"][case]
            row += [*cells(numbers, "median", 0),
                    f"{100 * statistics.median(numbers['core_shares']):.0f} %"]
        speeds.append(row)
    speed_head = [column for dtype in results for column in (dtype, "min to max", "cores used")]
    ratios = [[name, *(cell for result in results.values()
                       for cell in cells(result["ratios"][name], "of_medians", 2))]
              for name in next(iter(results.values()))["ratios"]]
    return (table(["tokens/s, median", *speed_head], speeds) + "\n\n"
            + table(["ratio of medians, spread of rounds", *head], ratios))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--repeats", type=int, default=3, help="rounds over all cases")
    parser.add_argument("--tokens", type=int, default=4 * WINDOW_TOKENS,
                        help="tokens of one call of transformers")
    parser.add_argument("--windows", type=int, default=32,
                        help=f"windows of {WINDOW_TOKENS} tokens that each case passes")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    program = options.program.resolve()
    os.environ |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    torch.set_num_threads(CORES)
    with h5py.File(CORPUS) as corpus:
        ids = corpus["ids"][:options.windows * WINDOW_TOKENS].astype("int64")
    windows = torch.from_numpy(ids).view(options.windows, WINDOW_TOKENS)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.output.parent) as scratch:
        sweeps = Sweeps(program, Path(scratch).resolve(), options.windows)
        work = {}
        for dtype in DTYPES:
            baselines = Baselines(MODEL, DTYPES[dtype], windows, options.tokens // WINDOW_TOKENS)
            baselines.warm_up()
            for case, measure in cases_of(dtype, sweeps, baselines, Path(scratch)).items():
                work[dtype, case] = measure
        samples = {dtype: {case: [] for case in CASES} for dtype in DTYPES}
        for repeat in range(options.repeats):
            for dtype, case in list(work)[::-1 if repeat % 2 else 1]:
                sample = work[dtype, case]()
                samples[dtype][case].append(sample)
                print(f"round {repeat + 1}, {dtype}, ({case}): {sample.rate:,.0f}",
                      file=sys.stderr, flush=True)
            results = {dtype: summary(taken) for dtype, taken in samples.items()}
            options.output.write_text(json.dumps(
                {"machine": machine(program), "windows": options.windows,
                 "tokens_per_call": options.tokens, "window_tokens": WINDOW_TOKENS,
                 "layer_gflop_per_token": layer_gflop_per_token(), "results": results},
                indent=1) + "\n")
    print(json.dumps(machine(program)) + "\n\n" + tables(results))


if __name__ == "__main__":
    main()
