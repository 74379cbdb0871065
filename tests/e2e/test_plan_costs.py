"""`actsweep plan` counts what transformers computes, and says for a machine where the time goes."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from running import ROOT, make_corpus, make_job, make_model, run_alone, run_well, write_job
from torch.utils.flop_counter import FlopCounterMode

JOB_ERROR = 2
LENGTH = 64
SCALES = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
BASE: dict[str, Any] = {
    "hidden_size": 96,
    "intermediate_size": 160,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "vocab_size": 61,
}
GROUPED = {**BASE, "num_key_value_heads": 2}
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": GROUPED,
    "gemma2": {**GROUPED, "head_dim": 32, "sliding_window": 4096},
    "gpt2": {"n_embd": 96, "n_layer": 3, "n_head": 6, "vocab_size": 61},
    "mixtral": {**GROUPED, "num_local_experts": 8, "num_experts_per_tok": 2},
    "deepseek_v3": {
        **BASE,
        "num_key_value_heads": 6,
        "q_lora_rank": 40,
        "kv_lora_rank": 32,
        "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 16,
        "v_head_dim": 24,
        "n_routed_experts": 8,
        "num_experts_per_tok": 2,
        "n_shared_experts": 1,
        "moe_intermediate_size": 48,
        "first_k_dense_replace": 1,
        "n_group": 2,
        "topk_group": 1,
    },
    "falcon_h1": {**GROUPED, "mamba_d_ssm": 144, "mamba_n_heads": 6, "mamba_d_state": 16},
    "mamba": {"hidden_size": 96, "num_hidden_layers": 3, "state_size": 8, "vocab_size": 61},
}
PRODUCTS = ("mm", "addmm", "linear")
ATTENTION = ("bmm", "baddbmm")


def plan(*arguments: object) -> str:
    result = run_alone("plan", *arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def costs_of(table: str) -> dict[str, tuple[float, float]]:
    """Cost -> seconds and amount."""
    lines = re.findall(
        r"^  ([a-z][\w-]*(?: [\w-]+)*) +([\d.e+-]+) (s|min|h)(?:  ([\d.]+) (.?)(?:FLOP|B)\b)?", table, re.M
    )
    seconds = {"s": 1, "min": 60, "h": 3600}
    return {
        name: (float(value) * seconds[unit], float(amount or 0) * SCALES[prefix])
        for name, value, unit, amount, prefix in lines
    }


def counted_operations(config: transformers.PretrainedConfig) -> dict[str, float]:
    """What transformers computes of one window in the model without its head, by kind."""
    config._attn_implementation = "eager"
    config._experts_implementation = "eager"
    torch.manual_seed(1)
    model = transformers.AutoModel.from_config(config).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.randint(0, 61, (1, LENGTH)), use_cache=False)
    counts = {str(operator): count for operator, count in counter.get_flop_counts()["Global"].items()}
    return {
        kind: sum(count for operator, count in counts.items() if operator.split(".")[-1] in names)
        for kind, names in (("products", PRODUCTS), ("attention", ATTENTION))
    }


@pytest.mark.parametrize("model_type", CONFIGS)
def test_operations_are_those_that_transformers_computes(model_type: str, tmp_path: Path) -> None:
    config = transformers.AutoConfig.for_model(model_type, **CONFIGS[model_type])
    config.save_pretrained(tmp_path)
    options = ("--machine", "cpu", "--ranks", 1, "--tokens", LENGTH)
    table = plan("--config", tmp_path, *options, "--set", f"corpus.sequence_length={LENGTH}")
    costs, expected = costs_of(table), counted_operations(config)
    assert expected["products"] > 0
    assert costs["products"][1] == pytest.approx(expected["products"], rel=0.01), table
    if model_type == "llama":
        # Of all pairs of a query and a key, those that a causal mask leaves; the table of rotary
        # positions is a product of matrices in transformers.
        width = config.hidden_size // config.num_attention_heads
        pairs = expected["attention"] - 2 * LENGTH * width / 2
        assert costs["attention"][1] == pytest.approx(pairs * (LENGTH + 1) / (2 * LENGTH), rel=0.01)


LLAMA_70B = ROOT / "jobs/scale/llama-3.1-70b.json"
WIDE = ("--set", "model.dtype=bfloat16", "--set", "corpus.sequence_length=4096")


def test_a_shipped_machine_says_the_limit_and_recommends_a_layout_that_fits() -> None:
    options = ("--config", LLAMA_70B, "--machine", "h100-8", "--tokens", 1 << 26, *WIDE)
    table = plan(*options, "--set", "parallel.tensor=8")
    costs = costs_of(table)
    assert {
        "products", "attention", "element-wise", "statistics", "collectives", "weights from disk",
        "embedding", "rows to the host", "disk", "consolidation", "start", "in all",
    } <= costs.keys(), table  # fmt: skip
    assert "costs on h100-8: 1 nodes of 8 GPUs" in table
    largest = max((name for name in costs if name not in {"in all", "time"}), key=lambda name: costs[name][0])
    assert re.search(rf"^  limit +{largest}$", table, re.M), table
    recommended = re.search(r"^  recommended +(--set .*)$", table, re.M)
    assert recommended, table
    again = plan(*options, *recommended[1].split())
    assert costs_of(again)["in all"][0] <= 1.01 * costs["in all"][0]


def test_more_nodes_are_faster_and_a_group_across_them_pays_for_the_network() -> None:
    options = ("--config", LLAMA_70B, "--machine", "h100-8", "--tokens", 1 << 28, *WIDE)
    seconds = {
        (ranks, members): costs_of(plan(*options, "--ranks", ranks, "--set", f"parallel.tensor={members}"))
        for ranks, members in ((8, 8), (64, 8), (64, 16))
    }
    assert seconds[64, 8]["products"][0] == pytest.approx(seconds[8, 8]["products"][0] / 8, rel=0.02)
    assert seconds[64, 16]["collectives"][0] > 2 * seconds[64, 8]["collectives"][0]


def test_machines_that_are_none_are_refused(tmp_path: Path) -> None:
    for machine in ("h101", tmp_path / "none.toml"):
        result = run_alone("plan", "--config", LLAMA_70B, "--machine", machine)
        assert result.returncode == JOB_ERROR and str(machine) in result.stderr
    result = run_alone("plan", "--config", LLAMA_70B)
    assert result.returncode == JOB_ERROR and "expected --ranks, or --machine" in result.stderr


def test_scale_page_is_what_plan_says(program: Path) -> None:
    tables = subprocess.run(
        [sys.executable, ROOT / "scripts/write_scale", program], check=True, capture_output=True, text=True
    ).stdout
    assert (ROOT / "docs/scale.md").read_text().endswith(f"<!-- generated -->\n\n{tables}")


# Model, windows' length, dtype: wide products; long windows; bfloat16; narrow layers and much to write.
WIDE_MODEL = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 4,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "vocab_size": 2000,
    "max_position_embeddings": 4096,
}
NARROW_MODEL = {
    **WIDE_MODEL,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 16,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
}
SHAPES = {
    "wide": (WIDE_MODEL, 256, "float32", 16384),
    "long windows": (WIDE_MODEL, 4096, "float32", 16384),
    "bfloat16": (WIDE_MODEL, 512, "bfloat16", 32768),
    "narrow": (NARROW_MODEL, 128, "float32", 65536),
}
MOST_OFF = 1.3


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_plan_is_held_against_a_run(shape: str, tmp_path: Path) -> None:
    """The shortest of three runs, and of three plans of the same minutes."""
    config, length, dtype, tokens = SHAPES[shape]
    model = make_model(tmp_path / "model", dtype, **config)
    corpus = make_corpus(tmp_path / "corpus.h5", tokens)
    planned, measured = [], []
    for number in range(3):
        job = make_job(
            model,
            corpus,
            tmp_path / f"sweep-{number}.h5",
            model={"dtype": dtype},
            corpus={"sequence_length": length},
            parallel={"tensor": 1, "threads": 2, "microbatch_tokens": 4096},
            # As in a user's job: of the small criterion of other tests most activations would be events.
            statistics={"loss": False, "criterion_magnitude": 100.0, "criterion_ratio": 1000.0},
            output={"segment_tokens": tokens},
        )
        path = write_job(tmp_path / "job.toml", job)
        planned.append(costs_of(plan(path, "--ranks", 1))["in all"][0])
        start = time.monotonic()
        run_well(path, 1)
        measured.append(time.monotonic() - start)
    ratio = min(planned) / min(measured)
    assert 1 / MOST_OFF < ratio < MOST_OFF, (planned, measured)
