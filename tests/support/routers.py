"""By what transformers' routers choose experts: logits, or scores with a bias; groups first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedConfig

# The ends of their classes' names.
ROUTERS = ("topkrouter", "moev1gate", "dbrxrouter", "gemma4textrouter", "llama4router")


def chosen_by(router: nn.Module, inputs: tuple, logits: torch.Tensor) -> torch.Tensor:
    """[T, experts]: what a router takes the largest of."""
    if hasattr(router, "moe_statics"):
        return torch.softmax(logits, 1) + router.moe_statics.e_score_correction_bias.squeeze()
    if isinstance(router, nn.Linear):  # of Phi-3.5-MoE
        return logits
    bias = getattr(router, "e_score_correction_bias", inputs[1] if len(inputs) > 1 else None)
    return logits if bias is None else torch.sigmoid(logits) + bias


def logits_and_choice(
    router: nn.Module, config: PreTrainedConfig, output: tuple | torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [T, experts], and the experts chosen [T, k]."""
    if isinstance(output, torch.Tensor):  # of DBRX, which chooses behind its router
        return output, torch.topk(output, config.ffn_config.moe_top_k, dim=-1).indices
    if type(router).__name__ == "Llama4Router":  # which gives scores and logits
        return output[1], torch.topk(output[1], router.top_k, dim=1).indices
    return output[0], output[2]


def margin_of(values: np.ndarray, chosen: int) -> np.ndarray:
    """[T]: between the least value chosen and the largest left out; infinite where none is."""
    ordered = -np.sort(-values, axis=1)
    if chosen == ordered.shape[1]:
        return np.full(len(ordered), np.inf)
    return ordered[:, chosen - 1] - ordered[:, chosen]


@dataclass(frozen=True)
class Groups:
    """Groups of neighbouring experts, of which a router chooses some by their best experts."""

    count: int = 1
    chosen: int = 1
    best: int = 1  # experts that a group is chosen by, the sum of them

    @classmethod
    def of(cls, router: nn.Module) -> Groups:
        method = getattr(router, "topk_method", "noaux_tc")
        if method == "greedy" or not hasattr(router, "num_group"):
            return cls()
        return cls(router.num_group, router.topk_group, 2 if method == "noaux_tc" else 1)

    def limit(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The margin of the groups, [T], and values [T, experts] with -inf for those left out."""
        if self.chosen == self.count:
            return np.full(len(values), np.inf), values
        grouped = values.reshape(len(values), self.count, -1)
        scores = np.sort(grouped, axis=2)[:, :, -self.best :].sum(2)
        least = -np.sort(-scores, axis=1)[:, self.chosen - 1]
        is_out = (scores < least[:, None])[:, :, None]
        limited = np.where(is_out, -np.inf, grouped).reshape(values.shape)
        return margin_of(scores, self.chosen), limited
