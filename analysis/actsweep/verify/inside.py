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

from .attention import Call, attention_of
from .key_sets import KeySets
from .records import Experts, Inside

MLPS = ("mlp", "ffn", "feed_forward", "block_sparse_moe", "shared_mlp")
MIXERS = ("self_attn", "attn", "attention", "self_attention", "linear_attn", "conv", "mamba", "mixer")


class InsideHooks:
    """Hooks on blocks; `now` gives the record of the window that passes."""

    def __init__(
        self, blocks: Sequence[Any], linear: dict[str, list[Any]], sets: KeySets, now: Callable[[], Inside]
    ) -> None:
        """`linear`: by site a linear layer of each block that reads it, or None."""
        self._sets = sets
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
            scale = query.shape[-1] ** -0.5 if scaling is None else scaling
            sinks = getattr(module, "sinks", None)
            call = Call(query, key, value, mask, weights, scale, named.get("softcap"), sinks)
            attention = attention_of(call, self._sets.positions(now.window, now.layer))
            if scaling == 1.0 and isinstance(of_module, float):  # OPT's queries are scaled before
                attention.norms["query"] /= of_module
            now.attention[now.layer] = attention
            return output, weights

        self._family.eager_attention_forward = look
        try:
            yield
        finally:
            self._family.eager_attention_forward = eager


def _of_chosen(weights: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """[T, chosen], of weights that are so or of all experts."""
    return weights if weights.shape == chosen.shape else weights.gather(1, chosen)


def _part_of(block: Any, names: Sequence[str]) -> Any:
    return next((getattr(block, name) for name in names if hasattr(block, name)), None)


def _first(output: Any) -> torch.Tensor:
    return output[0] if isinstance(output, tuple) else output


def _is_same(left: torch.Tensor, right: torch.Tensor) -> bool:
    return left.data_ptr() == right.data_ptr() and left.numel() == right.numel()
