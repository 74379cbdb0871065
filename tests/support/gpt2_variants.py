"""What transformers' GPT-2 lacks of the variants of arXiv 2402.17762, section 5.

`module.set_attn_implementation("extra_key")` gives a model whose attention modules hold `k_bias` and
`v_bias` [heads, D] one more key and value in each head, which every position sees.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS


def attend_with_extra(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' interface for an attention: k' and v' stand before all keys and values."""
    key = torch.cat([module.k_bias[None, :, None].expand(len(key), -1, -1, -1), key], dim=2)
    value = torch.cat([module.v_bias[None, :, None].expand(len(value), -1, -1, -1), value], dim=2)
    seen = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool).tril(1)
    output = functional.scaled_dot_product_attention(
        query, key, value, attn_mask=seen, scale=options.get("scaling")
    )
    return output.transpose(1, 2), None


ALL_ATTENTION_FUNCTIONS.register("extra_key", attend_with_extra)
