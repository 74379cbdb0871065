"""The factors of rotary frequencies that a GGUF file stores as tensors -> `rope_scaling` of config.json.

In: `rope_freqs.weight`, which llama.cpp's converter computes of Llama 3's scaling or of the part of a head
that Gemma 4 turns, or Phi-3's long and short factors. Refuses factors that are no scaling that is known here.
"""

from __future__ import annotations

import math

import numpy as np

from preparation.gguf_layouts import Config

FREQUENCIES = "rope_freqs.weight"
LONG, SHORT = "rope_factors_long.weight", "rope_factors_short.weight"
NAMES = (FREQUENCIES, LONG, SHORT)
# Of the released models with Llama 3's scaling; the factor itself is the largest of the tensor.
LOW, POSITIONS = 1.0, 8192
HIGHS = (4.0, 1.0)  # Llama 3's, and Llama 4's


class UnknownFactors(Exception):
    """Factors that no scaling gives."""


def rope_scaling(found: dict[str, np.ndarray], config: Config) -> Config:
    """`found`: float32 tensors by their names in the file."""
    if config.get("_proportional"):
        return _proportional(found, config)
    if FREQUENCIES in found:
        return _llama3(found[FREQUENCIES], config)
    if LONG in found and SHORT in found:
        factors = {"long_factor": LONG, "short_factor": SHORT}
        lists = {key: found[name].astype(np.float64).tolist() for key, name in factors.items()}
        return {"rope_scaling": {"rope_type": "longrope", **lists, **config.get("_long_scaling", {})}}
    if found:
        raise UnknownFactors(f"{next(iter(found))} stands without the other of {LONG} and {SHORT}")
    return {}


def _proportional(found: dict[str, np.ndarray], config: Config) -> Config:
    """Gemma 4's full layers turn a part of each head: llama.cpp divides the other frequencies by 1e30."""
    factors = found.get(FREQUENCIES, np.ones(config["global_head_dim"] // 2, np.float32))
    num_turned = int(np.sum(factors == 1))
    expected = np.repeat([1.0, 1e30], [num_turned, len(factors) - num_turned])
    if len(factors) != config["global_head_dim"] // 2 or not np.allclose(factors, expected, rtol=1e-4):
        raise UnknownFactors(f"{FREQUENCIES} has other factors than 1, and behind these 1e30")
    full = {
        "rope_type": "proportional", "rope_theta": config["rope_theta"],
        "partial_rotary_factor": num_turned / len(factors),
    }  # fmt: skip
    sliding = {"rope_type": "default", "rope_theta": config["_sliding_theta"]}
    return {"rope_parameters": {"full_attention": full, "sliding_attention": sliding}}


def _llama3(factors: np.ndarray, config: Config) -> Config:
    if np.all(factors == 1):
        return {}
    for high in HIGHS:
        scaling = {
            "rope_type": "llama3", "factor": float(factors.max()), "low_freq_factor": LOW,
            "high_freq_factor": high, "original_max_position_embeddings": POSITIONS,
        }  # fmt: skip
        expected = llama3_factors(config["rope_theta"], config["head_dim"], scaling)
        if factors.shape == expected.shape and np.allclose(factors, expected, rtol=1e-4):
            return {"rope_scaling": scaling}
    raise UnknownFactors(
        f"{FREQUENCIES} has other factors than Llama 3's scaling by {factors.max():g} of 8,192 positions"
    )


def llama3_factors(base: float, width: int, scaling: Config) -> np.ndarray:
    """[width / 2] by which each frequency is divided, as transformers' rope_type "llama3" does."""
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    positions, factor = scaling["original_max_position_embeddings"], scaling["factor"]
    length = 2 * math.pi * base ** (np.arange(0, width, 2) / width)  # of a wave, in positions
    waves = positions / length
    if low == high:
        return np.where(waves < low, factor, 1.0)
    share = np.clip((waves - low) / (high - low), 0, 1)  # that is not scaled
    return 1 / ((1 - share) / factor + share)
