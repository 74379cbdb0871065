"""By what transformers' routers choose experts, and how clear their choice is.

In: a router, its inputs and logits. Out: for each token the distance between the least value chosen
and the largest left out, of experts and of the groups that some routers choose first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def is_router(module: torch.nn.Module) -> bool:
    return type(module).__name__.lower().endswith("topkrouter")


def margins(router: torch.nn.Module, inputs: tuple, logits: torch.Tensor, chosen: int) -> np.ndarray:
    """[T]."""
    values = _chosen_by(router, inputs, logits).numpy()
    method = getattr(router, "topk_method", "noaux_tc")
    groups = 1 if method == "greedy" else getattr(router, "num_group", 1)
    if groups == 1 or router.topk_group == groups:
        return _margin(values, chosen)
    grouped = values.reshape(len(values), groups, -1)
    best = 2 if method == "noaux_tc" else 1
    scores = np.sort(grouped, axis=2)[:, :, -best:].sum(2)
    least = -np.sort(-scores, axis=1)[:, router.topk_group - 1]
    limited = np.where((scores < least[:, None])[:, :, None], -np.inf, grouped).reshape(values.shape)
    return np.minimum(_margin(scores, router.topk_group), _margin(limited, chosen))


def _chosen_by(router: torch.nn.Module, inputs: tuple, logits: torch.Tensor) -> torch.Tensor:
    """[T, experts]: logits, or scores and a bias."""
    statics = getattr(router, "moe_statics", None)
    if statics is not None:
        return logits.softmax(1) + statics.e_score_correction_bias.squeeze()
    bias = getattr(router, "e_score_correction_bias", inputs[1] if len(inputs) > 1 else None)
    return logits if bias is None else logits.sigmoid() + bias


def _margin(values: np.ndarray, chosen: int) -> np.ndarray:
    ordered = -np.sort(-values, axis=1)
    if chosen == ordered.shape[1]:
        return np.full(len(ordered), np.inf)
    return ordered[:, chosen - 1] - ordered[:, chosen]
