"""What a quantised checkpoint is: a model, its quantisation section, and how a weight is packed.

`save_both` stores a random model twice: packed, and as the float32 numbers that the packed tensors
stand for by the form's own formula, in NumPy. The latter is what transformers reads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from ..random_models import RandomModel, make_random, save
from ..random_models.model import sizes

Tensors = dict[str, torch.Tensor]
# Widths that 2 and 3 ranks cut within blocks, words and groups.
LLAMA = RandomModel("llama", "llama", sizes(160, 3, (5, 1), 224, 251))
QWEN3 = RandomModel("qwen3", "qwen3", sizes(96, 3, (6, 2), 160, 257, head_dim=32), seed=1)
PROJECTIONS = r"layers\.\d+\.(self_attn|mlp)\..*_proj\.weight"


@dataclass(frozen=True)
class Packed:
    """A weight: its tensors, by the last words of their names, and the numbers they stand for."""

    tensors: Tensors
    numbers: np.ndarray  # float32, of the shape of the weight that they replace


@dataclass(frozen=True)
class Form:
    """One way to store weights."""

    name: str
    model: RandomModel
    section: Mapping[str, Any]  # `quantization_config`
    pack: Callable[[np.ndarray, np.random.Generator], Packed]
    text: str  # what the sweep file says of it
    weights: str = PROJECTIONS  # which are packed: a regular expression
    left_out: str = "$^"  # of them, which are not
    beside: Mapping[str, Any] = field(default_factory=dict)  # files: the section where config.json is silent
    separator: str = "."  # between a weight's name and what its tensors are called

    def packs(self, name: str) -> bool:
        return bool(re.search(self.weights, name)) and not re.search(self.left_out, name)

    def tensor_name(self, weight: str, last_words: str) -> str:
        return weight.removesuffix(".weight") + self.separator + last_words


@dataclass(frozen=True)
class QuantisedModel(RandomModel):
    """A random model in one of the forms."""

    form: Form | None = None


def model_of(form: Form) -> QuantisedModel:
    values = {one.name: getattr(form.model, one.name) for one in fields(form.model)}
    return QuantisedModel(**{**values, "name": form.name}, form=form)


@dataclass(frozen=True)
class Stored:
    """A model in both forms."""

    packed: Path
    numbers: Path


def save_both(form: Form, folder: Path) -> Stored:
    numbers = save(make_random(form.model), form.model, folder / "numbers")
    plain = load_file(numbers / "model.safetensors")
    tensors: Tensors = {}
    generator = np.random.default_rng(form.model.seed)
    for name, tensor in plain.items():
        if not form.packs(name):
            tensors[name] = tensor
            continue
        packed = form.pack(tensor.numpy().astype(np.float32), generator)
        plain[name] = torch.from_numpy(np.ascontiguousarray(packed.numbers, np.float32))
        for words, part in packed.tensors.items():
            tensors[form.tensor_name(name, words)] = part.contiguous()
    save_file(plain, numbers / "model.safetensors", {"format": "pt"})
    directory = folder / "packed"
    directory.mkdir()
    save_file(tensors, directory / "model.safetensors", {"format": "pt"})
    config = json.loads((numbers / "config.json").read_text())
    if form.section:
        config["quantization_config"] = dict(form.section)
    (directory / "config.json").write_text(json.dumps(config))
    for name, content in form.beside.items():
        (directory / name).write_text(json.dumps(content))
    return Stored(directory, numbers)


def small_float(codes: np.ndarray, exponent_bits: int, mantissa_bits: int) -> np.ndarray:
    """By the OCP's definition, without special values: sign, exponent, mantissa."""
    codes = codes.astype(np.int64)
    bias = 2 ** (exponent_bits - 1) - 1
    mantissa = codes & (2**mantissa_bits - 1)
    exponent = (codes >> mantissa_bits) & (2**exponent_bits - 1)
    sign = 1 - 2 * (codes >> (exponent_bits + mantissa_bits))
    fraction = mantissa / 2**mantissa_bits + (exponent > 0)
    return (sign * fraction * 2.0 ** (np.maximum(exponent, 1) - bias)).astype(np.float32)


def codes_of(tensor: torch.Tensor) -> np.ndarray:
    """The bits of elements of 8 bits."""
    return tensor.view(torch.uint8).numpy()


def spread(scales: np.ndarray, rows: int, columns: int, shape: tuple[int, ...]) -> np.ndarray:
    """A scale for each block of rows x columns -> one for each element of a matrix."""
    whole = np.repeat(np.repeat(scales, rows, axis=0), columns, axis=1)
    return whole[: shape[0], : shape[1]]


def scales_of(weight: np.ndarray, rows: int, columns: int, largest: float) -> np.ndarray:
    """For each block, so that its largest element becomes `largest`."""
    down, across = -(-weight.shape[0] // rows), -(-weight.shape[1] // columns)
    padded = np.zeros((down * rows, across * columns), np.float32)
    padded[: weight.shape[0], : weight.shape[1]] = np.abs(weight)
    return padded.reshape(down, rows, across, columns).max(axis=(1, 3)) / np.float32(largest)
