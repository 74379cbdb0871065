"""What a LoRA adapter of PEFT adds to each tensor of its base.

In: a directory with adapter_config.json and adapter_model.safetensors (or .bin). Out: for a tensor of the
base what it becomes: W + s B A with s = alpha / r (or / √r), of ranks and alphas by pattern, and what the
adapter replaces whole (modules_to_save, biases). Refuses other kinds of adapters, and tensors that fit no
formula.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from preparation.errors import MODEL, PreparationError
from preparation.json_files import read_object
from preparation.pickled_weights import load_weights

CONFIG = "adapter_config.json"
BEGIN = "base_model.model."
PAIR = re.compile(r"(.+)\.lora_(embedding_)?([AB])(?:\.default)?(?:\.weight)?")
SAVED = re.compile(r"\.modules_to_save(\.default)?\b")
CURE = "merge_and_unload() of PEFT merges it"
REFUSED = ("use_dora", "use_qalora", "lora_bias", "layer_replication", "trainable_token_indices")


@dataclass
class LowRank:
    """The two factors of one module's change."""

    a: torch.Tensor | None = None
    b: torch.Tensor | None = None
    is_embedding: bool = False


@dataclass
class Adapter:
    path: Path
    config: dict[str, Any]
    low_rank: dict[str, LowRank] = field(default_factory=dict)  # by module of the base
    replaced: dict[str, torch.Tensor] = field(default_factory=dict)  # by tensor of the base

    def refuse(self, found: str) -> PreparationError:
        return PreparationError(MODEL, f"{self.path}: {found}")

    def changed_tensors(self) -> set[str]:
        return {f"{module}.weight" for module in self.low_rank} | self.replaced.keys()

    def check_names(self, base: Collection[str], where: Path) -> None:
        """Refuses changes of tensors that the base does not have."""
        for name in sorted(self.changed_tensors() - set(base)):
            tied = "; it is tied to the embedding there" if name == "lm_head.weight" else ""
            raise self.refuse(f"it changes {name}, which {where} does not have{tied}")

    def apply(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """The tensor `name` of the base with the change, in the base's type."""
        if name in self.replaced:
            weight = self._replacement(name, weight)
        module = name.removesuffix(".weight")
        if name == module or module not in self.low_rank:
            return weight
        if not weight.is_floating_point() or weight.ndim != 2:
            raise self.refuse(
                f"{name}: expected a matrix of real numbers in the base, found {weight.dtype} of"
                f" {weight.ndim} axes: merge into the base before it was packed"
            )
        change = self._change(module)
        if change.shape != weight.shape:
            raise self.refuse(
                f"{module}: its change has shape {tuple(change.shape)}, expected {tuple(weight.shape)}"
            )
        return (weight.to(torch.float32) + change).to(weight.dtype)

    def _replacement(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        values = self.replaced[name]
        if values.shape != weight.shape:
            raise self.refuse(
                f"{name} has shape {tuple(values.shape)}, expected {tuple(weight.shape)} as in the base"
            )
        return values.to(weight.dtype)

    def _change(self, module: str) -> torch.Tensor:
        """float32, of the weight's shape."""
        factors = self.low_rank[module]
        if factors.a is None or factors.b is None:
            raise self.refuse(f"{module}: expected lora_A and lora_B, found one of them")
        a, b = factors.a.to(torch.float32), factors.b.to(torch.float32)
        if a.ndim != 2 or b.ndim != 2 or b.shape[1] != a.shape[0]:
            raise self.refuse(f"{module}: lora_A {tuple(a.shape)} and lora_B {tuple(b.shape)} fit no product")
        rank = self._by_pattern("rank_pattern", module, self.config["r"])
        if a.shape[0] != rank:
            raise self.refuse(f"{module}: lora_A has {a.shape[0]} rows, expected the rank {rank}")
        alpha = self._by_pattern("alpha_pattern", module, self.config["lora_alpha"])
        scale = alpha / (math.sqrt(rank) if self.config.get("use_rslora") else rank)
        turns = factors.is_embedding or self.config.get("fan_in_fan_out")
        return ((b @ a).T if turns else b @ a) * scale

    def _by_pattern(self, key: str, module: str, default: Any) -> Any:
        """As PEFT: the first pattern that is the end of the module's name."""
        for pattern, value in (self.config.get(key) or {}).items():
            if re.match(rf"(.*\.)?({pattern})$", module):
                return value
        return default


def read_adapter(directory: Path) -> Adapter:
    adapter = Adapter(directory, _config_of(directory))
    for key, values in _tensors_of(directory).items():
        name = key.removeprefix(BEGIN)
        if "lora_magnitude_vector" in name:
            raise adapter.refuse(f"{key}: of DoRA, which is not merged here: {CURE}")
        if pair := PAIR.fullmatch(name):
            module, embedding, which = pair.groups()
            factors = adapter.low_rank.setdefault(module, LowRank())
            factors.is_embedding = embedding is not None
            setattr(factors, which.lower(), values)
        elif key.startswith(BEGIN) and "lora_" not in name:
            adapter.replaced[SAVED.sub("", name).replace(".base_layer.", ".")] = values
        else:
            raise adapter.refuse(f"{key}: expected LoRA's factors and whole tensors behind {BEGIN}")
    if not adapter.changed_tensors():
        raise adapter.refuse("it has no tensors")
    return adapter


def _config_of(directory: Path) -> dict[str, Any]:
    path = directory / CONFIG
    if not path.is_file():
        raise PreparationError(MODEL, f"{directory}: expected an adapter's {CONFIG}, found none")
    config = read_object(path)
    if config.get("peft_type") != "LORA":
        found = config.get("peft_type")
        raise PreparationError(
            MODEL, f'{path}: peft_type: expected "LORA", found {found}: {CURE}'
        )
    for key in REFUSED:
        if config.get(key):
            raise PreparationError(
                MODEL, f"{path}: {key} is {config[key]}, which is not merged here: {CURE}"
            )
    for key in ("r", "lora_alpha"):
        if type(config.get(key)) not in (int, float) or config[key] <= 0:
            found = config.get(key)
            raise PreparationError(MODEL, f"{path}: {key}: expected a positive number, found {found}")
    return config


def _tensors_of(directory: Path) -> dict[str, torch.Tensor]:
    path = directory / "adapter_model.safetensors"
    if path.is_file():
        try:
            return load_file(path)
        except Exception as error:  # a damaged file
            raise PreparationError(MODEL, f"{path} is not a whole safetensors file: {error}") from None
    pickled = directory / "adapter_model.bin"
    if not pickled.is_file():
        expected = "adapter_model.safetensors or adapter_model.bin"
        raise PreparationError(MODEL, f"{directory}: expected {expected}, found neither")
    return load_weights(pickled)
