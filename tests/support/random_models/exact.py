"""The exact model: a residual stream with the same bits in any micro-batch and at any m."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from .model import MASSIVE_CHANNEL, MASSIVE_IDS, OUTLIER_CHANNEL, RandomModel, sizes
from .weights import make_random

EXACT = RandomModel(
    "exact", "llama", sizes(48, 3, (3, 1), 37, 101, attention_bias=True, rms_norm_eps=1e-5)
)
ZERO_ID, TIED_IDS, BOUND_ID, INFINITE_ID = 10, (11, 12), 13, 9


def make_exact(*, overflows: bool = False) -> PreTrainedModel:
    """EXACT: a model whose residual stream has the same bits in any micro-batch and at any m.

    Each output of a projection is one product, and attention adds its bias alone: no order of
    additions matters. So a captured prompt is bitwise the stream that the sweep measured. Its
    embedding has what selections stumble over: ties within a row and between rows, a median of 0,
    values that reach a bound exactly.
    With `overflows` one id has an infinite value, and the last block overflows at many tokens.
    """
    module = make_random(EXACT)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for block in module.model.layers:
            block.self_attn.o_proj.weight.zero_()
            for projection in (block.mlp.gate_proj, block.mlp.up_proj, block.mlp.down_proj):
                keep_one_in_each_row(projection.weight, generator)
        embedding = module.get_input_embeddings().weight
        embedding[ZERO_ID] = 0
        embedding[ZERO_ID, MASSIVE_CHANNEL] = 1500
        embedding[MASSIVE_IDS[0], OUTLIER_CHANNEL] = 650
        for row in TIED_IDS:
            embedding[row] = 2.5
            embedding[row, ::2] = -2.5
        embedding[BOUND_ID] = 1.5
        embedding[BOUND_ID, MASSIVE_CHANNEL : MASSIVE_CHANNEL + 2] = torch.tensor([1500.0, 6.0])
        if overflows:
            embedding[INFINITE_ID, 4] = torch.inf
            mlp = module.model.layers[-1].mlp
            row = mlp.down_proj.weight[OUTLIER_CHANNEL]
            mlp.up_proj.weight[row != 0] *= 8
            row.copy_(3e38 * (row != 0))
    return module


def keep_one_in_each_row(weight: torch.Tensor, generator: torch.Generator) -> None:
    """Sets all but one entry of each row to 0, and that one to order one."""
    column = torch.randint(weight.shape[1], (weight.shape[0], 1), generator=generator)
    kept = weight.gather(1, column) * weight.shape[1] ** 0.5
    weight.zero_().scatter_(1, column, kept)
