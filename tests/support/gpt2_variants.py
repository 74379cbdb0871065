"""GPT-2 with k' and v' in each head, and with a sink token (arXiv 2402.17762, section 5).

transformers has neither: its GPT-2 gets an attention with one more key and value in each head, which
every position sees, or embeddings that begin with the sink, less the position that it would be given.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import GPT2LMHeadModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.gpt2 import modeling_gpt2

from .double_precision import in_precision_of, prepare_for_double
from .inner_oracle import Inner, InnerHooks
from .random_models import RandomModel, make_random, save

VARIANTS = ("attention_bias_kv", "sink_token")


def attend_with_extra(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """transformers' interface for an attention: k' and v' stand before all keys and values.

    The probabilities are those of the other keys.
    """
    key = torch.cat([module.k_bias[None, :, None].expand(len(key), -1, -1, -1), key], dim=2)
    value = torch.cat([module.v_bias[None, :, None].expand(len(value), -1, -1, -1), value], dim=2)
    seen = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool).tril(1)
    scale = options.get("scaling")
    output = functional.scaled_dot_product_attention(
        query, key, value, attn_mask=seen, scale=scale
    )
    scores = query @ key.transpose(2, 3) * (query.shape[-1] ** -0.5 if scale is None else scale)
    probability = scores.masked_fill(~seen, -torch.inf).softmax(dim=-1)
    return output.transpose(1, 2), probability[..., 1:]


ALL_ATTENTION_FUNCTIONS.register("extra_key", attend_with_extra)


@dataclass(frozen=True)
class VariantModel:
    """A checkpoint of one variant, as data/prepare_model.py writes it."""

    name: str
    model: RandomModel
    directory: Path

    @property
    def sinks(self) -> int:
        """Rows before the first token."""
        return int(self.name == "sink_token")

    def extra(self, name: str, dtype: torch.dtype) -> torch.Tensor:
        return load_file(self.directory / "model.safetensors")[f"transformer.{name}"].to(dtype)

    def load(self, dtype: torch.dtype = torch.float32) -> GPT2LMHeadModel:
        """transformers' model, its attention modules with k' and v' where the variant has them."""
        module = GPT2LMHeadModel.from_pretrained(self.directory, dtype=dtype).eval()
        if dtype == torch.float64:
            prepare_for_double(module)
        if self.name == "attention_bias_kv":
            module.set_attn_implementation("extra_key")
            for layer, block in enumerate(module.transformer.h):
                block.attn.k_bias = self.extra(f"h.{layer}.attn.k_bias", dtype)
                block.attn.v_bias = self.extra(f"h.{layer}.attn.v_bias", dtype)
        return module

    def inputs(self, module: GPT2LMHeadModel, ids: np.ndarray) -> dict[str, torch.Tensor]:
        """Of a window, with the sink before it where the variant has one."""
        embedding = module.transformer.wte(torch.from_numpy(ids.astype(np.int64)))
        places = torch.arange(len(ids))
        if self.sinks:
            sink = self.extra("sink_token", embedding.dtype) - module.transformer.wpe.weight[0]
            embedding = torch.cat([sink[None], embedding])
            places = torch.cat([places[:1], places])
        return {"inputs_embeds": embedding[None], "position_ids": places[None]}


def make_variant(name: str, model: RandomModel, folder: Path) -> VariantModel:
    directory = save(make_random(model), model, folder)
    weights = load_file(directory / "model.safetensors")
    dtype = weights["transformer.wte.weight"].dtype
    generator = torch.Generator().manual_seed(3)
    heads, channels = model.heads, model.config["n_embd"]
    if name == "attention_bias_kv":
        for layer in range(model.config["n_layer"]):
            for part in ("k_bias", "v_bias"):
                values = 2 * torch.randn((heads, channels // heads), generator=generator)
                weights[f"transformer.h.{layer}.attn.{part}"] = values.to(dtype)
    else:
        values = 20 * torch.randn(channels, generator=generator)
        weights["transformer.sink_token"] = values.to(dtype)
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {name: True}))
    return VariantModel(name, model, directory)


class VariantInnerOracle(InnerHooks):
    """What transformers computes inside the layers of a variant."""

    def __init__(
        self, variant: VariantModel, monkeypatch: Any, dtype: torch.dtype = torch.float32
    ) -> None:
        self._variant = variant
        self._dtype = dtype
        self.module = variant.load(dtype)
        if variant.name == "attention_bias_kv":
            monkeypatch.setattr(modeling_gpt2, "eager_attention_forward", attend_with_extra)
        self.module.set_attn_implementation("eager")
        super().__init__(self.module.transformer.h, monkeypatch)
        self._on_output(self.module.transformer.ln_f, "final_norm")

    @torch.no_grad()
    def run(self, ids: np.ndarray) -> Inner:
        self._inner = Inner()
        # Without a cache, positions that begin anew are taken for those of packed sequences.
        inputs = self._variant.inputs(self.module, ids)
        with in_precision_of(self._dtype):
            self.module.transformer(**inputs, use_cache=True)
        return self._inner
