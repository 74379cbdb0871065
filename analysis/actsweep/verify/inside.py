"""What transformers computes inside its blocks: attention, inputs of linear layers, experts, and the stream
between a block's two branches.

In: a model's blocks. Out: hooks that keep of each window what the statistics of a job need, reduced at once
where it is large: no T × T matrix is kept.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from .records import NEAR, Attention, Experts, Inside

MLPS = ("mlp", "ffn", "feed_forward", "block_sparse_moe", "shared_mlp")
MIXERS = ("self_attn", "attn", "attention", "self_attention", "linear_attn", "conv", "mamba", "mixer")


class InsideHooks:
    """Hooks on blocks; `now` gives the record of the window that passes."""

    def __init__(
        self, blocks: Sequence[Any], linear: dict[str, list[Any]], now: Callable[[], Inside]
    ) -> None:
        """`linear`: by site a linear layer of each block that reads it, or None."""
        self._now = now
        self._family = sys.modules[type(blocks[0]).__module__]
        for number, block in enumerate(blocks, start=1):
            block.register_forward_pre_hook(self._enter(number))
            self._hook_between(block)
            for part in block.modules():
                if hasattr(part, "num_experts") and type(part).__name__.endswith("Experts"):
                    part.register_forward_hook(self._see_experts, with_kwargs=True)
        for site, layers in linear.items():
            for number, layer in enumerate(layers, start=1):
                if layer is not None:
                    layer.register_forward_pre_hook(self._see_site(site, number))

    def _enter(self, number: int) -> Any:
        def enter(_block: object, _inputs: object) -> None:
            self._now().layer = number

        return enter

    def _see_site(self, site: str, number: int) -> Any:
        def see(_layer: object, inputs: tuple[torch.Tensor, ...]) -> None:
            rows = inputs[0].detach()
            self._now().sites[site, number] = rows.reshape(-1, rows.shape[-1]).float().numpy()

        return see

    def _hook_between(self, block: Any) -> None:
        """The stream that the MLP's norm, or the MLP itself, takes; of a parallel block the mixer's
        output is added to the block's input."""
        mlp = _part_of(block, MLPS)
        mixer = _part_of(block, MIXERS)
        if mlp is None or mixer is None:
            return
        seen: dict[str, Any] = {}
        block.register_forward_pre_hook(
            lambda _block, inputs, named: seen.update(
                start=inputs[0] if inputs else named["hidden_states"], norms=[]
            ),
            with_kwargs=True,
        )
        for name, part in block.named_children():
            if "norm" in name.lower() or "norm" in type(part).__name__.lower() or name.startswith("ln_"):
                part.register_forward_hook(
                    lambda _norm, inputs, output: seen["norms"].append((inputs[0], output))
                )
        mixer.register_forward_hook(lambda _mixer, _inputs, output: seen.update(mixed=_first(output)))
        mlp.register_forward_pre_hook(
            lambda _mlp, inputs, named: seen.update(
                read=inputs[0] if inputs else named["hidden_states"]
            ),
            with_kwargs=True,
        )
        block.register_forward_hook(lambda _block, _inputs, _output: self._keep_between(seen))

    def _keep_between(self, seen: dict[str, Any]) -> None:
        if "read" not in seen or "mixed" not in seen:
            return
        read, start = seen["read"], seen["start"]
        before_norm = [given for given, normed in seen["norms"] if _is_same(normed, read)]
        stream = before_norm[0] if before_norm else read
        if _is_same(stream, start):
            stream = start + seen["mixed"]
        now = self._now()
        now.between[now.layer] = stream[0].detach().numpy()
        seen.clear()
        seen["norms"] = []

    def _see_experts(
        self, experts: Any, inputs: tuple[Any, ...], named: dict[str, Any], _output: object
    ) -> None:
        """Asks each expert alone, with a weight of 1, for the tokens that chose it."""
        if len(inputs) < 3 or inputs[1].dtype != torch.int64:
            return
        rows, chosen, weights = inputs[0].reshape(-1, inputs[0].shape[-1]), inputs[1], inputs[2]
        gate, output_norm, weighted = np.zeros((3, experts.num_experts))
        for expert in range(experts.num_experts):
            is_mine = chosen == expert
            mine = rows[is_mine.any(dim=1)]
            if len(mine) == 0:
                continue
            of_token = _of_chosen(weights, chosen)[is_mine]
            alone = torch.full((len(mine), 1), expert)
            ones = torch.ones((len(mine), 1), dtype=mine.dtype)
            norms = experts.forward(mine, alone, ones).norm(dim=1).double()
            gate[expert], output_norm[expert] = of_token.double().sum(), norms.sum()
            weighted[expert] = (of_token.double() * norms).sum()
        shape = (len(rows), experts.num_experts)
        is_chosen = torch.zeros(shape, dtype=torch.bool).scatter_(1, chosen, True)
        gates = torch.zeros(shape, dtype=torch.float64)
        gates.scatter_(1, chosen, _of_chosen(weights, chosen).double())
        now = self._now()
        now.experts[now.layer] = Experts(gate, output_norm, weighted, is_chosen.numpy(), gates.numpy())

    @property
    def sees_attention(self) -> bool:
        return hasattr(self._family, "eager_attention_forward")

    @contextlib.contextmanager
    def attention(self) -> Iterator[None]:
        """While it lasts the family's eager attention is looked at."""
        if not self.sees_attention:
            yield
            return
        eager = self._family.eager_attention_forward

        def look(module: Any, query: Any, key: Any, value: Any, mask: Any, *more: Any, **named: Any) -> Any:
            output, weights = eager(module, query, key, value, mask, *more, **named)
            scaling = more[0] if more else named.get("scaling")
            of_module = getattr(module, "scaling", 1.0)
            now = self._now()
            attention = attention_of(query, key, value, mask, weights, scaling, named.get("softcap"))
            if scaling == 1.0 and isinstance(of_module, float):  # OPT's queries are scaled before
                attention.norms["query"] /= of_module
            now.attention[now.layer] = attention
            return output, weights

        self._family.eager_attention_forward = look
        try:
            yield
        finally:
            self._family.eager_attention_forward = eager


def attention_of(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None,
    weights: torch.Tensor, scaling: float | None, softcap: float | None,
) -> Attention:  # fmt: skip
    """By the textbook, out of [1, heads, T, D] and probabilities [1, H, T, T]."""
    heads, length = query.shape[1], query.shape[2]
    repeated = key.repeat_interleave(heads // key.shape[1], dim=1)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = (query[0].double() @ repeated[0].double().transpose(1, 2)) * scale
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    visible = visible_keys(mask, heads, length)
    norms = {
        name: part[0].double().norm(dim=-1).amax(dim=1).numpy()
        for name, part in (("query", query), ("key", key), ("value", value))
    }
    seen = scores.masked_fill(~visible, -torch.inf).flatten(1)
    largest = seen.amax(dim=1, keepdim=True)
    near = np.packbits((seen >= largest - NEAR * largest.abs()).numpy(), axis=1)
    received = received_by(weights[0, :, :, :length].double(), visible)
    return Attention(received.numpy(), largest[:, 0].numpy(), near, norms)


def visible_keys(mask: torch.Tensor | None, heads: int, length: int) -> torch.Tensor:
    """[H, T, T]: whether a query sees a key; without a mask those up to itself."""
    if mask is None:
        return torch.ones(length, length, dtype=torch.bool).tril().expand(heads, -1, -1)
    seen = mask if mask.dtype == torch.bool else mask > torch.finfo(mask.dtype).min / 2
    return seen[0, :, :length, :length].expand(heads, -1, -1)


def received_by(weights: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    """[H, T]: mean over the other queries that see a key."""
    others = visible & ~torch.eye(weights.shape[-1], dtype=torch.bool)
    counts = others.sum(dim=1)
    sums = weights.masked_fill(~others, 0).sum(dim=1)
    return torch.where(counts > 0, sums / counts.clamp(min=1), torch.nan)


def _of_chosen(weights: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """[T, chosen], of weights that are so or of all experts."""
    return weights if weights.shape == chosen.shape else weights.gather(1, chosen)


def _part_of(block: Any, names: Sequence[str]) -> Any:
    return next((getattr(block, name) for name in names if hasattr(block, name)), None)


def _first(output: Any) -> torch.Tensor:
    return output[0] if isinstance(output, tuple) else output


def _is_same(left: torch.Tensor, right: torch.Tensor) -> bool:
    return left.data_ptr() == right.data_ptr() and left.numel() == right.numel()
