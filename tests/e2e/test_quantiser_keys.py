"""What a job may ask for quantisers, and what it may not."""

from __future__ import annotations

import json
from pathlib import Path

from running import run_alone

JOB_ERROR = 2
LLAMA = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 32, "rms_norm_eps": 1e-5,
    "hidden_act": "silu", "max_position_embeddings": 64,
}  # fmt: skip


def planned(tmp_path: Path, *keys: str) -> tuple[int, str]:
    """The exit code and what is said."""
    config = tmp_path / "config.json"
    config.write_text(json.dumps(LLAMA))
    sets = [word for key in keys for word in ("--set", f"statistics.{key}")]
    result = run_alone("plan", "--config", config, "--ranks", 1, *sets)
    return result.returncode, result.stdout + result.stderr


def test_quantisation_without_sites_is_refused(tmp_path: Path) -> None:
    code, text = planned(tmp_path, "quantisation=true", "sites=[]")
    assert code == JOB_ERROR
    assert "[statistics] quantisation = true: expected sites in [statistics] sites" in text


def test_formats_without_sites_are_refused(tmp_path: Path) -> None:
    code, text = planned(tmp_path, 'formats=["mxfp4"]', "sites=[]")
    assert code == JOB_ERROR
    assert "[statistics] formats: expected sites in [statistics] sites" in text


def test_an_unknown_format_is_refused_by_name(tmp_path: Path) -> None:
    code, text = planned(tmp_path, 'formats=["mxfp5"]')
    assert code == JOB_ERROR
    assert "statistics.formats" in text and '"mxfp5"' in text and '"mxfp4"' in text, text


def test_plan_takes_a_job_with_quantisation(tmp_path: Path) -> None:
    code, text = planned(tmp_path, "quantisation=true", 'formats=["mxfp4", "nvfp4"]')
    assert code == 0 and "memory" in text, text
