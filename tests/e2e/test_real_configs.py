"""`actsweep plan --config` reads the config.json of every released model in tests/configs/ whole."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
from memory import planned_bytes
from running import GIB, run_alone

from support.real_configs import REAL_CONFIGS, RealConfig, first_of_types, named_sources
from support.slow_cases import slow_unless

FIRST = first_of_types()
ENOUGH_GIB = 1_000_000
MACHINE = Path(__file__).resolve().parents[2] / "jobs" / "machines" / "cpu.toml"


def needed(path: Path) -> tuple[dict, list[dict]]:
    """The facts and the tensors that `actsweep tensors` prints."""
    result = run_alone("tensors", path)
    assert result.returncode == 0, result.stderr
    facts, *tensors = map(json.loads, result.stdout.splitlines())
    return facts, tensors


def test_sixty_models_and_where_their_facts_were_read() -> None:
    assert len(REAL_CONFIGS) >= 60
    assert set(named_sources()) == {real.name for real in REAL_CONFIGS}


@pytest.mark.parametrize(
    "real", [slow_unless(real in FIRST, real, id=real.name) for real in REAL_CONFIGS]
)
def test_real_config_is_planned_whole(real: RealConfig) -> None:
    """With the bytes that its tensors have, without the tables that are read where they lie."""
    facts, tensors = needed(real.path)
    machine = ("--machine", MACHINE)  # no time is measured
    options = ("--ranks", 1, "--memory", ENOUGH_GIB, "--set", "model.dtype=bfloat16", *machine)
    result = run_alone("plan", "--config", real.path, *options)
    assert result.returncode == 0, result.stderr
    words = f"{facts['layers']} layers, {facts['channels']} channels, {facts['heads']} heads"
    assert words in result.stdout, result.stdout
    layers = [tensor for tensor in tensors if tensor["layer"] is not None]
    elements = sum(math.prod(tensor["shape"]) for tensor in layers)
    weights = planned_bytes(result.stdout)["weights"]
    assert weights == pytest.approx(2 * elements, rel=0.02, abs=GIB / 100)


def test_plan_of_a_config_takes_options_of_a_job() -> None:
    path = next(real.path for real in REAL_CONFIGS if real.name == "Qwen/Qwen3-32B")
    options = ("--ranks", 8, "--memory", 80, "--tokens", 1 << 22, "--set", "parallel.tensor=4")
    result = run_alone("plan", "--config", path, *options, "--set", "corpus.sequence_length=4096")
    assert result.returncode == 0, result.stderr
    assert "4194304 tokens in 1024 windows of 4096" in result.stdout
    assert "8 = 2 replicas x 4 model ranks" in result.stdout
    assert re.search(r"model +Qwen--Qwen3-32B \(qwen3, 64 layers", result.stdout)


def test_plan_of_what_does_not_fit_says_what_would(tmp_path: Path) -> None:
    path = next(real.path for real in REAL_CONFIGS if real.name == "Qwen/Qwen3-32B")
    result = run_alone("plan", "--config", path, "--ranks", 2, "--memory", 16)
    assert result.returncode == 2 and "would fit" in result.stderr, result.stderr


def test_plan_of_neither_job_nor_config_is_refused(tmp_path: Path) -> None:
    result = run_alone("plan", "--ranks", 1)
    assert result.returncode == 2 and "--config" in result.stderr
    both = run_alone("plan", tmp_path / "job.toml", "--config", "config.json", "--ranks", 1)
    assert both.returncode == 2 and "excludes" in both.stderr
    long = ("--config", next(real.path for real in REAL_CONFIGS if real.model_type == "gpt2"))
    result = run_alone("plan", *long, "--ranks", 1, "--set", "corpus.sequence_length=2048")
    assert result.returncode == 4 and "learned positions up to 1024" in result.stderr
