"""Tokens per second on one GPU: actsweep beside transformers on a random Llama of 8 billion weights.

As bench.py: all cases take the same checkpoint and windows, one after the other, and the round is
repeated, every other one backwards. The weights are random and so is the text: what they are
changes no product's time.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from bench import Sample, Sweeps, spread, table, timed
from transformers_baselines import Baselines, matrix_product_gflops, wait_for

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from support.token_files import Corpus, write_token_file

WINDOW_TOKENS = 4096
CALL_WINDOWS = 4  # of transformers
MATRIX_EDGE = 8192
VOCABULARY = 32000
CONFIG = {  # the sizes of Llama 3 8B (its config.json on the hub) with the vocabulary of Llama 2
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 4096,
    "intermediate_size": 14336, "num_attention_heads": 32, "num_key_value_heads": 8,
    "vocab_size": VOCABULARY, "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "hidden_act": "silu",
    "max_position_embeddings": 8192, "tie_word_embeddings": False, "initializer_range": 0.02,
}
CASES = {
    "a": "actsweep, all residual statistics to HDF5",
    "b": "actsweep without statistics",
    "s": "as a, weights streamed",
    "c": "transformers, bare forward",
    "c'": "transformers without logits",
    "d1": "transformers, float32 hooks to HDF5",
    "e": "matrix products, GFLOP/s",
}


def make_model(directory: Path, layers: int) -> Path:
    config = directory / "config.json"
    config.write_text(json.dumps({**CONFIG, "num_hidden_layers": layers}))
    model = directory / "llama"
    subprocess.run([sys.executable, str(ROOT / "data/prepare_model.py"), "random", str(config),
                    str(model), "--dtype", "bfloat16"], check=True, capture_output=True)
    return model


def cases_of(sweeps: Sweeps, baselines: Baselines,
             scratch: Path) -> dict[str, Callable[[], Sample]]:
    def sweep(*settings: str) -> Sample:
        return sweeps.measure("bfloat16", 1, *settings)

    def waiting(work: Callable[[], object]) -> Sample:
        def run() -> None:
            work()
            wait_for("cuda")

        return timed(sweeps.tokens, run)

    return {
        "a": sweep,
        "b": lambda: sweep("statistics.sites=[]"),
        "s": lambda: sweep("parallel.weights=streamed"),
        "c": lambda: waiting(baselines.forward_with_logits),
        "c'": lambda: waiting(baselines.forward_without_logits),
        "d1": lambda: waiting(lambda: baselines.float32_hooks(scratch / "hooks.h5")),
        "e": lambda: Sample(matrix_product_gflops(torch.bfloat16, "cuda", MATRIX_EDGE), 1.0),
    }


def layer_gflop_per_token(layers: int) -> float:
    """Two operations per weight of the layers, and causal attention over (T + 1) / 2 positions."""
    width, key_value = CONFIG["hidden_size"], 8 * 128
    weights = width * (2 * width + 2 * key_value) + 3 * width * CONFIG["intermediate_size"]
    return layers * (2 * weights + 2 * 2 * width * (WINDOW_TOKENS + 1) / 2) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--windows", type=int, default=32, help=f"of {WINDOW_TOKENS} tokens")
    parser.add_argument("--repeats", type=int, default=3, help="rounds over all cases")
    options = parser.parse_args()
    os.environ |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    if not torch.cuda.is_available():
        sys.exit("gpu_bench.py needs a GPU, found none")
    ids = np.random.default_rng(1).integers(2, VOCABULARY, options.windows * WINDOW_TOKENS)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        model = make_model(scratch, options.layers)
        corpus = write_token_file(
            scratch / "corpus.h5",
            Corpus(VOCABULARY, [ids.astype("<u4")], np.full(VOCABULARY, 3, np.uint8)), {})
        sweeps = Sweeps(options.program.resolve(), scratch, options.windows, model, corpus,
                        WINDOW_TOKENS, len(os.sched_getaffinity(0)))
        windows = torch.from_numpy(ids.astype("int64")).view(-1, WINDOW_TOKENS)
        baselines = Baselines(model, torch.bfloat16, windows, CALL_WINDOWS, "cuda")
        baselines.warm_up()
        work = cases_of(sweeps, baselines, scratch)
        work["b"]()  # reads the files, and the libraries, for the first time
        rates: dict[str, list[float]] = {case: [] for case in CASES}
        for repeat in range(options.repeats):
            for case in list(work)[:: -1 if repeat % 2 else 1]:
                rates[case].append(work[case]().rate)
                print(f"round {repeat + 1}, ({case}): {rates[case][-1]:,.0f}", flush=True)
    medians = {case: statistics.median(taken) for case, taken in rates.items()}
    share = medians["a"] * layer_gflop_per_token(options.layers) / medians["e"]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(
        {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__,
         "layers": options.layers, "windows": options.windows, "window_tokens": WINDOW_TOKENS,
         "rates": {case: {"rates": taken, **spread(taken)} for case, taken in rates.items()},
         "share of e": share}, indent=1) + "\n")
    rows = [[f"({case}) {title}", f"{medians[case]:,.0f}",
             f"{min(rates[case]):,.0f} to {max(rates[case]):,.0f}",
             f"{medians['a'] / medians[case]:.2f}" if case != "e" else f"{100 * share:.0f} %"]
            for case, title in CASES.items()]
    print(torch.cuda.get_device_name())
    print(table(["tokens/s, median", "bfloat16", "min to max", "a over it"], rows))


if __name__ == "__main__":
    main()
