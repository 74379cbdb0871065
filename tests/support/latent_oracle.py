"""What transformers computes inside latent attention: latents before their norms, and heads before and
after rotary positions in the order of the weights' channels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from .inner_oracle import OUTPUT_PROJECTION, Inner, InnerOracle, LayerAttention, part_of


class LatentOracle(InnerOracle):
    def _hook_attention(self, attention: nn.Module) -> None:
        self._on_input(part_of(attention, OUTPUT_PROJECTION), "attention_heads")
        if attention.q_lora_rank is None:
            self._on_output(attention.q_proj, "query")
        else:
            self._on_output(attention.q_a_proj, "q_latent")
            self._on_output(attention.q_b_proj, "query")
        attention.kv_a_proj_with_mqa.register_forward_hook(self._see_latent)
        attention.kv_b_proj.register_forward_hook(
            lambda _module, _inputs, output: self._see_keys_and_values(attention, output)
        )

    def _see_latent(self, _module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        rank = self.module.config.kv_lora_rank
        self._inner.see("kv_latent", output[..., :rank])
        self._rotated = output[0, :, rank:]  # [n, rotated], one for all heads

    def _see_keys_and_values(self, attention: nn.Module, output: torch.Tensor) -> None:
        plain, value = attention.qk_nope_head_dim, attention.v_head_dim
        heads = output.reshape(len(self._rotated), -1, plain + value)
        shared = self._rotated[:, None].expand(-1, heads.shape[1], -1)
        key = torch.cat([heads[..., :plain], shared], dim=2)
        self._inner.see("key", key.flatten(1))
        self._inner.see("value", heads[..., plain:].flatten(1))

    def run(self, ids: np.ndarray) -> Inner:
        inner = super().run(ids)
        if not getattr(self.module.config, "rope_interleave", False):
            return inner
        rotated = self.module.config.qk_rope_head_dim
        return replace(inner, attention=[in_pairs(each, rotated) for each in inner.attention])


def in_pairs(attention: LayerAttention, rotated: int) -> LayerAttention:
    """transformers' rotation of neighbours leaves the first of each pair in one half of the rotated
    channels and the second in the other."""

    def ordered(rows: np.ndarray) -> np.ndarray:
        plain, halves = rows[..., :-rotated], rows[..., -rotated:]
        pairs = halves.reshape(*halves.shape[:-1], 2, -1).swapaxes(-1, -2)
        return np.concatenate([plain, pairs.reshape(halves.shape)], axis=-1)

    return replace(attention, query=ordered(attention.query), key=ordered(attention.key))
