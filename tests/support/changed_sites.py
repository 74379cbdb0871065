"""Interventions inside transformers' layers, by forward hooks on the parts of its blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from .double_precision import kept
from .inner_oracle import (
    ATTENTION,
    DOWN_PROJECTION,
    FUSED_PROJECTION,
    MLP,
    OUTPUT_PROJECTION,
    UP_PROJECTION,
    part_of,
)
from .interventions import RESIDUAL, Labels, Means, Table, applies, intervene, intervened

Change = Callable[[str, torch.Tensor], torch.Tensor]  # of a site's rows [n, channels]
SHARED = ("shared_experts", "shared_expert")  # the dense MLP beside routed experts
GPTJ_UP, GPTJ_DOWN = ("fc_in",), ("fc_out",)


def on_rows(change: Change, site: str, values: torch.Tensor) -> torch.Tensor:
    """Values [.., channels] of one sequence."""
    rows = values.reshape(-1, values.shape[-1])
    return change(site, rows).reshape(values.shape)


def change_input(module: nn.Module, site: str, change: Change) -> Any:
    def hook(_module: nn.Module, inputs: tuple, named: dict) -> tuple[tuple, dict]:
        if inputs:
            return (on_rows(change, site, inputs[0]), *inputs[1:]), named
        return inputs, named | {"hidden_states": on_rows(change, site, named["hidden_states"])}

    return module.register_forward_pre_hook(hook, with_kwargs=True)


def change_output(module: nn.Module, site: str, change: Change) -> Any:
    def hook(_module: nn.Module, _inputs: object, output: Any) -> Any:
        if isinstance(output, tuple):
            return (on_rows(change, site, output[0]), *output[1:])
        return on_rows(change, site, output)

    return module.register_forward_hook(hook)


def change_heads_of_norm(norm: nn.Module, site: str, change: Change) -> Any:
    """A norm of heads [1, n, heads, D], side by side."""

    def hook(_module: nn.Module, _inputs: object, output: torch.Tensor) -> torch.Tensor:
        assert output.dim() == 4 and type(norm).__name__ != "LayerNorm"
        return on_rows(change, site, output.flatten(2)).reshape(output.shape)

    return norm.register_forward_hook(hook)


def change_fused(module: nn.Module, channels: int, change: Change) -> Any:
    """Queries, keys and values side by side."""

    def hook(_module: nn.Module, _inputs: object, output: torch.Tensor) -> torch.Tensor:
        parts = zip(("query", "key", "value"), output.split(channels, -1), strict=True)
        return torch.cat([on_rows(change, site, part) for site, part in parts], dim=-1)

    return module.register_forward_hook(hook)


def change_latents(attention: nn.Module, change: Change) -> list[Any]:
    """Of latent attention: what keys and values are made of, and the channels of both that are made of
    it. A key's rotated channels are one for all heads, and stay as they are."""
    rank, plain, width = attention.kv_lora_rank, attention.qk_nope_head_dim, attention.v_head_dim

    def down(_module: nn.Module, _inputs: object, output: torch.Tensor) -> torch.Tensor:
        return torch.cat([on_rows(change, "kv_latent", output[..., :rank]), output[..., rank:]], -1)

    def up(_module: nn.Module, _inputs: object, output: torch.Tensor) -> torch.Tensor:
        heads = output.reshape(*output.shape[:-1], -1, plain + width)
        rotated = heads.new_zeros(*heads.shape[:-1], attention.qk_rope_head_dim)
        key = torch.cat([heads[..., :plain], rotated], -1)
        key = on_rows(change, "key", key.flatten(-2)).reshape(key.shape)[..., :plain]
        value = heads[..., plain:]
        value = on_rows(change, "value", value.flatten(-2)).reshape(value.shape)
        return torch.cat([key, value], -1).reshape(output.shape)

    handles = [
        attention.kv_a_proj_with_mqa.register_forward_hook(down),
        attention.kv_b_proj.register_forward_hook(up),
    ]
    if attention.q_lora_rank is None:
        return [*handles, change_output(attention.q_proj, "query", change)]
    latent = change_output(attention.q_a_proj, "q_latent", change)
    return [*handles, latent, change_output(attention.q_b_proj, "query", change)]


def change_heads(attention: nn.Module, change: Change) -> list[Any]:
    """Queries, keys and values before rotary positions."""
    if hasattr(attention, "kv_lora_rank"):
        return change_latents(attention, change)
    if fused := part_of(attention, FUSED_PROJECTION):
        channels = part_of(attention, OUTPUT_PROJECTION).weight.shape[0]
        return [change_fused(fused, channels, change)]
    handles = []
    for site in ("query", "key", "value"):
        norm = getattr(attention, f"{site[0]}_norm", None)
        if norm is None:
            handles.append(change_output(getattr(attention, f"{site[0]}_proj"), site, change))
        else:
            handles.append(change_heads_of_norm(norm, site, change))
    return handles


def change_mlp(mlp: nn.Module, change: Change) -> list[Any]:
    handles = [change_input(mlp, "mlp_input", change), change_output(mlp, "mlp_output", change)]
    dense = part_of(mlp, SHARED) or mlp
    down = part_of(dense, (*DOWN_PROJECTION, *GPTJ_DOWN))
    if down is None:
        return handles
    handles.append(change_input(down, "mlp_hidden", change))
    if gate := part_of(dense, ("gate_proj",)):
        handles.append(change_output(gate, "gate", change))
    return [*handles, change_output(part_of(dense, (*UP_PROJECTION, *GPTJ_UP)), "up", change)]


def change_block(block: nn.Module, change: Change) -> list[Any]:
    attention, mlp = part_of(block, ATTENTION), part_of(block, MLP)
    projection = part_of(attention, OUTPUT_PROJECTION)
    return [
        change_input(attention, "attention_input", change),
        *change_heads(attention, change),
        change_input(projection, "attention_heads", change),
        change_output(projection, "attention_output", change),
        *change_mlp(mlp, change),
    ]


@contextmanager
def changed(
    blocks: nn.ModuleList, tables: Sequence[Table], labels: Labels, means: Mapping[str, Means]
) -> Iterator[None]:
    """Within it, one sequence passes the blocks with the interventions, in their order at each site.
    `means` by site."""

    def changer(layer: int) -> Change:
        def change(site: str, rows: torch.Tensor) -> torch.Tensor:
            mine = [table for table in tables if applies(table, layer, len(blocks), site)]
            if not mine:
                return rows
            x = kept(rows).numpy()
            for table in mine:
                x, _, _ = intervene(table, layer, x, labels, means.get(site))
            return torch.from_numpy(np.ascontiguousarray(x)).to(rows.dtype)

        return change

    with ExitStack() as stack:
        stack.enter_context(intervened(blocks, tables, labels, means.get(RESIDUAL)))
        for number, block in enumerate(blocks):
            for handle in change_block(block, changer(number + 1)):
                stack.callback(handle.remove)
        yield
