"""What transformers says: residual streams and losses, eager attention, one window at a time.

Block outputs are taken by hooks, because the last of transformers' hidden states has passed the
final norm.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM


class Oracle:
    """A checkpoint as transformers loads it."""

    def __init__(self, directory: Path, dtype: torch.dtype = torch.float32) -> None:
        module, information = AutoModelForCausalLM.from_pretrained(
            directory, dtype=dtype, attn_implementation="eager", output_loading_info=True
        )
        for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
            assert not information[key], (key, information[key])
        assert module.config._attn_implementation == "eager"
        self._module = module.eval()
        self._layers: list[torch.Tensor] = []
        module.get_input_embeddings().register_forward_hook(self._keep)
        for block in module.model.layers:
            block.register_forward_hook(self._keep)

    def _keep(self, _module: torch.nn.Module, _inputs: object, output: object) -> None:
        hidden = output[0] if isinstance(output, tuple) else output
        assert isinstance(hidden, torch.Tensor) and hidden.dim() == 3
        self._layers.append(hidden[0].float())

    @torch.no_grad()
    def residual(self, ids: np.ndarray) -> np.ndarray:
        """float32 [layers + 1, T, C]: the embedding's output, then that of each block."""
        self._layers = []
        self._module.model(torch.from_numpy(ids.astype(np.int64))[None], use_cache=False)
        assert len(self._layers) == self._module.config.num_hidden_layers + 1
        return torch.stack(self._layers).numpy()

    @torch.no_grad()
    def token_nll(self, ids: np.ndarray) -> np.ndarray:
        """float64 [T - 1]: the negative log-likelihoods of all tokens but the first, in nats."""
        tokens = torch.from_numpy(ids.astype(np.int64))
        logits = self._module(tokens[None], use_cache=False).logits[0, :-1].double()
        return torch.nn.functional.cross_entropy(logits, tokens[1:], reduction="none").numpy()
