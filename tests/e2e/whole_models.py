"""Checkpoints that the programs of data/ wrote, as transformers loads them. A module of its own: torch and
transformers take seconds to load, which most tests of data/ do without."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM


def load_whole(directory: Path, dtype: torch.dtype) -> torch.nn.Module:
    """The checkpoint as transformers loads it; it has to fit exactly."""
    model, information = AutoModelForCausalLM.from_pretrained(
        directory, dtype=dtype, output_loading_info=True
    )
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not information[key], (key, information[key])
    return model.eval()
