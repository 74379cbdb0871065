"""What `plan` says of a small model's config.json, with keys of the job."""

from __future__ import annotations

import json
from pathlib import Path

from running import run_alone

LLAMA = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 32, "rms_norm_eps": 1e-5,
    "hidden_act": "silu", "max_position_embeddings": 512,
}  # fmt: skip


def planned(tmp_path: Path, *keys: str, tokens: int = 4096) -> tuple[int, str]:
    """The exit code and what is said of so many tokens."""
    config = tmp_path / "config.json"
    config.write_text(json.dumps(LLAMA))
    sets = [word for key in keys for word in ("--set", key)]
    result = run_alone("plan", "--config", config, "--ranks", 1, "--tokens", tokens, *sets)
    return result.returncode, result.stdout + result.stderr
