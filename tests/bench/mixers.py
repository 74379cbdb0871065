"""Tokens per second of layers with other mixers than attention, beside transformers on the same CPU.

Random models of the widths of released ones with fewer layers and tokens, float32 and bfloat16. All
cases take the same windows and cores, one after the other, and the round is repeated, every other
one backwards. transformers runs its own chunks in PyTorch, as it does where no kernel of
flash-linear-attention, mamba-ssm or causal-conv1d is installed.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench import CORES, DTYPES, ROOT, Sample, Sweeps, machine, spread, table, timed
from transformers import AutoConfig, AutoModelForCausalLM
from transformers_baselines import Baselines

sys.path.insert(0, str(ROOT / "tests"))

from support.token_files import Corpus, write_token_file

VOCABULARY = 1000


@dataclass(frozen=True)
class Layers:
    """A few layers of a released model's widths (its config.json on the hub)."""

    family: str
    config: dict[str, Any]


QWEN = {  # Qwen3.5 0.8B
    "hidden_size": 1024, "intermediate_size": 3584, "num_attention_heads": 8,
    "num_key_value_heads": 2, "head_dim": 256, "linear_num_key_heads": 16,
    "linear_num_value_heads": 16, "linear_key_head_dim": 128, "linear_value_head_dim": 128,
}  # fmt: skip
LINEAR, FULL = "linear_attention", "full_attention"
MODELS = {
    "delta rule (Qwen3.5 0.8B)": Layers("qwen3_5_text", QWEN | {"layer_types": [LINEAR] * 4}),
    "the same beside attention": Layers("qwen3_5_text", QWEN | {"layer_types": [LINEAR] * 3 + [FULL]}),
    "short convolution (LFM2 350M)": Layers("lfm2", {
        "hidden_size": 1024, "block_ff_dim": 6656, "num_attention_heads": 16, "num_key_value_heads": 8,
        "layer_types": ["conv"] * 4,
    }),
    "Mamba-2, one group (Granite 4.0 H 350M)": Layers("granitemoehybrid", {
        "hidden_size": 768, "num_attention_heads": 12, "num_key_value_heads": 4, "mamba_n_heads": 48,
        "mamba_d_head": 32, "mamba_d_state": 128, "num_local_experts": 0,
        "shared_intermediate_size": 2048, "layer_types": [LINEAR] * 4,
    }),
    "Mamba-2, eight groups (Nemotron 3 Nano)": Layers("nemotron_h", {
        "hidden_size": 2688, "mamba_num_heads": 64, "mamba_head_dim": 64, "n_groups": 8,
        "ssm_state_size": 128, "layers_block_type": [LINEAR] * 2,
    }),
    "Mamba-2 beside attention in each layer (Falcon-H1 0.5B)": Layers("falcon_h1", {
        "hidden_size": 1024, "intermediate_size": 2048, "num_attention_heads": 8, "num_key_value_heads": 2,
        "head_dim": 64, "mamba_d_ssm": 1536, "mamba_n_heads": 24, "mamba_d_head": 64, "mamba_d_state": 128,
        "num_hidden_layers": 4,
    }),
    "Mamba, 16 states a channel (Mamba 130M)": Layers("mamba", {
        "hidden_size": 768, "state_size": 16, "time_step_rank": 48, "num_hidden_layers": 4,
    }),
}  # fmt: skip
WINDOW_TOKENS = 512


def make_model(layers: Layers, directory: Path) -> Path:
    types = layers.config.get("layer_types", layers.config.get("layers_block_type"))
    count = {} if types is None else {"num_hidden_layers": len(types)}
    config = AutoConfig.for_model(layers.family, **layers.config, **count, vocab_size=VOCABULARY)
    AutoModelForCausalLM.from_config(config).save_pretrained(directory)
    return directory


def cases_of(
    program: Path, scratch: Path, windows: int
) -> dict[tuple[str, str, str], Callable[[], Sample]]:
    """By model, dtype and program."""
    ids = np.random.default_rng(1).integers(3, VOCABULARY, (windows, WINDOW_TOKENS))
    classes = np.full(VOCABULARY, 3, np.uint8)
    corpus = write_token_file(
        scratch / "corpus.h5", Corpus(VOCABULARY, [ids.reshape(-1).astype("<u4")], classes), {}
    )
    cases: dict[tuple[str, str, str], Callable[[], Sample]] = {}
    for number, (name, layers) in enumerate(MODELS.items()):
        model = make_model(layers, scratch / f"{number}-{layers.family}")
        sweeps = Sweeps(program, scratch, windows, model, corpus, WINDOW_TOKENS)
        for dtype in DTYPES:
            baselines = Baselines(model, DTYPES[dtype], torch.from_numpy(ids), 4)
            baselines.warm_up()
            cases[name, dtype, "actsweep"] = lambda sweeps=sweeps, dtype=dtype: sweeps.measure(
                dtype, 1, "statistics.sites=[]"
            )
            cases[name, dtype, "transformers"] = lambda baselines=baselines: timed(
                ids.size, baselines.forward_without_logits
            )
    return cases


def rows_of(samples: dict[tuple[str, str, str], list[Sample]]) -> list[list[str]]:
    rows = []
    for name in MODELS:
        for dtype in DTYPES:
            mine, theirs = (
                [sample.rate for sample in samples[name, dtype, of]]
                for of in ("actsweep", "transformers")
            )
            times = spread([a / b for a, b in zip(mine, theirs, strict=True)])
            rows.append([f"{name}, {dtype}", f"{statistics.median(mine):,.0f}",
                         f"{statistics.median(theirs):,.0f}", f"{times['median']:.2f}",
                         f"{times['min']:.2f} to {times['max']:.2f}"])  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--windows", type=int, default=16)
    options = parser.parse_args()
    os.environ |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    torch.set_num_threads(CORES)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    program = options.program.resolve()
    with tempfile.TemporaryDirectory(dir=options.output.parent) as scratch:
        cases = cases_of(program, Path(scratch).resolve(), options.windows)
        samples: dict[tuple[str, str, str], list[Sample]] = {case: [] for case in cases}
        for number in range(options.rounds):
            for case in list(cases)[:: -1 if number % 2 else 1]:
                samples[case].append(cases[case]())
                print(f"round {number + 1}, {', '.join(case)}: {samples[case][-1].rate:,.0f}",
                      file=sys.stderr, flush=True)  # fmt: skip
    rates = {", ".join(case): [sample.rate for sample in of] for case, of in samples.items()}
    options.output.write_text(json.dumps({"machine": machine(program), "rates": rates}, indent=1) + "\n")
    print(table(["layers, tokens/s", "actsweep", "transformers", "times", "min to max"], rows_of(samples)))


if __name__ == "__main__":
    main()
