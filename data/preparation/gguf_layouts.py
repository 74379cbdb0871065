"""How a tensor lies in a GGUF file and how transformers has it: llama.cpp permutes, divides and shifts some.

Each function takes the values of one tensor as the file has them, and the facts of config.json, and gives
those of the checkpoint. Rows of queries, keys and values stand one after the other in the file; the models
that fuse them otherwise have a function here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

# The facts of a model that shapes and layouts need: config.json's keys and values.
Config = dict[str, Any]
Layout = Callable[[np.ndarray, Config], np.ndarray]


def as_stored(values: np.ndarray, config: Config) -> np.ndarray:
    """Stored as transformers stores it."""
    return values


def without_one(values: np.ndarray, config: Config) -> np.ndarray:
    """[C]: llama.cpp stores a norm that multiplies by 1 + w as 1 + w, transformers as w."""
    return values - np.float32(1)


def transposed(values: np.ndarray, config: Config) -> np.ndarray:
    """[out, in] -> [in, out]: GPT-2's layers are convolutions of one tap."""
    return values.T


def as_row(values: np.ndarray, config: Config) -> np.ndarray:
    """[C] -> [1, C]: a product with one output."""
    return values[None]


def _split_halves(values: np.ndarray, num_heads: int) -> np.ndarray:
    """Rows [heads, pair, 2] of interleaved rotary pairs -> rows [heads, 2, pair] of two halves."""
    pairs = values.reshape(num_heads, -1, 2, *values.shape[1:])
    return pairs.swapaxes(1, 2).reshape(values.shape)


def interleaved_query(values: np.ndarray, config: Config) -> np.ndarray:
    """[H*D, …]: llama.cpp interleaves rotary's two halves, transformers keeps them apart."""
    return _split_halves(values, config["num_attention_heads"])


def interleaved_key(values: np.ndarray, config: Config) -> np.ndarray:
    """[key/value heads * D, …]: as `interleaved_query`."""
    return _split_halves(values, config["num_key_value_heads"])


def by_head(values: np.ndarray, config: Config) -> np.ndarray:
    """Rows [3, H, D] of queries, keys, values -> rows [H, 3, D], as BLOOM and GPT-NeoX fuse them."""
    heads = values.reshape(3, config["num_attention_heads"], -1, *values.shape[1:])
    return heads.swapaxes(0, 1).reshape(values.shape)


def by_key_head(values: np.ndarray, config: Config) -> np.ndarray:
    """Rows of all queries, keys, values -> for each key/value head its queries, its key, its value."""
    groups, heads = config["num_key_value_heads"], config["num_attention_heads"]
    rest = values.shape[1:]
    width = values.shape[0] // (heads + 2 * groups)
    query, key, value = np.split(values, [heads * width, (heads + groups) * width])
    parts = [query.reshape(groups, -1, *rest), key.reshape(groups, -1, *rest)]
    parts.append(value.reshape(groups, -1, *rest))
    return np.concatenate(parts, axis=1).reshape(values.shape)


def logarithm(values: np.ndarray, config: Config) -> np.ndarray:
    """A = -exp(A_log) -> A_log, within a rounding of float32."""
    return np.log(-values.astype(np.float64)).astype(np.float32)


def with_channel_axis(values: np.ndarray, config: Config) -> np.ndarray:
    """[C, taps] -> [C, 1, taps]: each channel is convolved by itself."""
    return values[:, None]


def as_vector(values: np.ndarray, config: Config) -> np.ndarray:
    """[heads, 1] or [groups, width] -> one axis."""
    return values.reshape(-1)
