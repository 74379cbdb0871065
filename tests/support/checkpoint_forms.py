"""One set of random weights in the forms that checkpoints have, and what transformers loads of each.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, PreTrainedModel

from .random_models.weights import auto_class, blocks_of

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"
TIED = {"tie_word_embeddings": True}

Tensors = dict[str, torch.Tensor]


@dataclass
class Form:
    """A checkpoint directory under construction: a copy of `base` without its weights."""

    directory: Path
    tensors: Tensors

    @classmethod
    def of(cls, base: Path, directory: Path) -> Form:
        shutil.copytree(base, directory, ignore=shutil.ignore_patterns("*.safetensors*"))
        return cls(directory, load_file(base / SINGLE))

    def configure(self, **changes: Any) -> None:
        path = self.directory / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    def save(self, tensors: Mapping[str, torch.Tensor] | None = None, **metadata: str) -> None:
        """One file, of all tensors or of these."""
        save(self.directory / SINGLE, self.tensors if tensors is None else tensors, **metadata)

    def shard(self, parts: int, places: Mapping[str, str | None] | None = None) -> list[Path]:
        """Shards in the order of the names, and their index; `places` changes what it says."""
        names = sorted(self.tensors)
        shards = [self.directory / shard_name(part, parts) for part in range(parts)]
        weight_map: dict[str, str | None] = {}
        for part, path in enumerate(shards):
            own = names[len(names) * part // parts : len(names) * (part + 1) // parts]
            save(path, {name: self.tensors[name] for name in own})
            weight_map.update(dict.fromkeys(own, path.name))
        write_index(self.directory, {**weight_map, **(places or {})})
        return shards

    def changed(self, seed: int = 9) -> Tensors:
        """Other weights of the same shapes."""
        generator = torch.Generator().manual_seed(seed)
        return {
            name: torch.randn(tensor.shape, generator=generator) * 0.3
            for name, tensor in self.tensors.items()
        }


def shard_name(part: int, parts: int) -> str:
    return f"model-{part + 1:05}-of-{parts:05}.safetensors"


def save(path: Path, tensors: Mapping[str, torch.Tensor], **metadata: str) -> None:
    copies = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
    save_file(copies, path, metadata={"format": "pt", **metadata})


def write_index(directory: Path, weight_map: Mapping[str, str | None]) -> None:
    places = {name: place for name, place in weight_map.items() if place is not None}
    content = {"metadata": {"total_size": 0}, "weight_map": places}
    (directory / INDEX).write_text(json.dumps(content))


@dataclass(frozen=True)
class Loaded:
    """A checkpoint as transformers loads it, in float32."""

    module: PreTrainedModel
    missing: set[str]
    unexpected: set[str]

    @torch.no_grad()
    def residual(self, ids: np.ndarray) -> np.ndarray:
        """float32 [layers + 1, T, C]: the input of the first block and the output of each."""
        kept: list[torch.Tensor] = []

        def keep_input(_module: object, inputs: tuple, named: dict) -> None:
            kept.append(inputs[0] if inputs else named["hidden_states"])

        def keep_output(_module: object, _inputs: object, output: Any) -> None:
            kept.append(output[0] if isinstance(output, tuple) else output)

        blocks = blocks_of(self.module)
        hooks = [blocks[0].register_forward_pre_hook(keep_input, with_kwargs=True)]
        hooks += [block.register_forward_hook(keep_output) for block in blocks]
        self.module.base_model(torch.from_numpy(ids.astype(np.int64))[None], use_cache=False)
        for hook in hooks:
            hook.remove()
        return torch.stack([hidden[0].float() for hidden in kept]).numpy()

    @torch.no_grad()
    def token_nll(self, ids: np.ndarray) -> np.ndarray:
        """float64 [T - 1], in nats."""
        tokens = torch.from_numpy(ids.astype(np.int64))[None]
        logits = self.module(tokens, use_cache=False).logits[0, :-1].double()
        return torch.nn.functional.cross_entropy(logits, tokens[0, 1:], reduction="none").numpy()


def load(directory: Path) -> Loaded:
    config = AutoConfig.from_pretrained(directory)
    module, information = auto_class(config).from_pretrained(
        directory, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    return Loaded(
        module.eval(), set(information["missing_keys"]), set(information["unexpected_keys"])
    )


Change = Callable[[Form], None]


def without(tensors: Tensors, names: Iterable[str]) -> Tensors:
    left_out = set(names)
    return {name: tensor for name, tensor in tensors.items() if name not in left_out}


def bare(tensors: Tensors) -> Tensors:
    """As the model without a head saves itself."""
    return {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name != HEAD}
