"""What transformers says: residual streams, chosen experts, losses; one window at a time.

Layer 0 is the input of the first block, so that position embeddings, scales and projections of the
embedding are in it. Block outputs are taken by hooks, because the last of transformers' hidden
states has passed the final norm. Attention is eager, but for Falcon's ALiBi: there eager attention
adds the bias twice (transformers 5.23), its default and the published model once.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from .random_models.weights import blocks_of, decoder_of

NEAR_TIE = 1e-5  # of the router's logits: rounding may choose either expert


@dataclass(frozen=True)
class Routing:
    """What one layer's router chose for a window."""

    layer: int  # of the block, from 0
    chosen: np.ndarray  # int64 [T, k]
    logits: np.ndarray  # float32 [T, experts]

    @property
    def margin(self) -> np.ndarray:
        """float32 [T]: between the least logit chosen and the largest left out."""
        chosen = self.chosen.shape[1]
        ordered = -np.sort(-self.logits, axis=1)
        if chosen == ordered.shape[1]:
            return np.full(len(ordered), np.inf, np.float32)
        return ordered[:, chosen - 1] - ordered[:, chosen]


@dataclass(frozen=True)
class Pass:
    """One window through the blocks."""

    stream: np.ndarray  # float32 [layers + 1, T, C]
    routings: list[Routing]  # of the layers with experts

    @property
    def is_sure(self) -> np.ndarray:
        """bool [layers + 1, T]: False from where a near tie of the router reaches.

        It changes its token in the layer's output, and by attention all later ones in the layers
        above.
        """
        sure = np.ones(self.stream.shape[:2], bool)
        for routing in self.routings:
            ties = np.flatnonzero(routing.margin < NEAR_TIE)
            sure[routing.layer + 1 :, ties] = False
            if len(ties):
                sure[routing.layer + 2 :, ties[0] :] = False
        return sure


class Oracle:
    """A checkpoint as transformers loads it."""

    def __init__(self, directory: Path, dtype: torch.dtype = torch.float32) -> None:
        attention = "sdpa" if is_alibi_falcon(directory) else "eager"
        module, information = AutoModelForCausalLM.from_pretrained(
            directory,
            dtype=dtype,
            attn_implementation=attention,
            experts_implementation="eager",  # others ask for widths that suit a kernel
            output_loading_info=True,
        )
        for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
            assert not information[key], (key, information[key])
        assert module.config._attn_implementation == attention
        self.module = module.eval()
        self._decoder = decoder_of(module)
        # Dynamic and longrope positions keep state from call to call.
        self._rotary = copy.deepcopy(getattr(self._decoder, "rotary_emb", None))
        self._layers: list[torch.Tensor] = []
        self._routings: list[Routing] = []
        self.blocks = blocks_of(module)
        self.blocks[0].register_forward_pre_hook(self._keep_input, with_kwargs=True)
        for layer, block in enumerate(self.blocks):
            block.register_forward_hook(self._keep_output)
            for part in block.modules():
                if type(part).__name__.endswith("TopKRouter"):
                    part.register_forward_hook(self._keeper_of_routing(layer))

    def _keep_input(self, _module: torch.nn.Module, inputs: tuple, named: dict) -> None:
        self._keep(inputs[0] if inputs else named["hidden_states"])

    def _keep_output(self, _module: torch.nn.Module, _inputs: object, output: object) -> None:
        self._keep(output[0] if isinstance(output, tuple) else output)

    def _keep(self, hidden: object) -> None:
        assert isinstance(hidden, torch.Tensor) and hidden.dim() == 3
        self._layers.append(hidden[0].float().clone())

    def _keeper_of_routing(self, layer: int):
        def keep(_module: torch.nn.Module, _inputs: object, output: tuple) -> None:
            logits, _, chosen = output
            self._routings.append(Routing(layer, chosen.numpy(), logits.float().numpy()))

        return keep

    def _begin(self, ids: np.ndarray) -> torch.Tensor:
        """[1, T], after forgetting the window before."""
        self._layers, self._routings = [], []
        if self._rotary is not None:
            self._decoder.rotary_emb = copy.deepcopy(self._rotary)
        return torch.from_numpy(ids.astype(np.int64))[None]

    @torch.no_grad()
    def run(self, ids: np.ndarray) -> Pass:
        """The input of the first block and the output of each; the routers' choices."""
        self.module.base_model(self._begin(ids), use_cache=False)
        assert len(self._layers) == self.module.config.num_hidden_layers + 1
        return Pass(torch.stack(self._layers).numpy(), self._routings)

    def residual(self, ids: np.ndarray) -> np.ndarray:
        """float32 [layers + 1, T, C]."""
        return self.run(ids).stream

    @torch.no_grad()
    def token_nll(self, ids: np.ndarray) -> np.ndarray:
        """float64 [T - 1]: the negative log-likelihoods of all tokens but the first, in nats."""
        tokens = self._begin(ids)
        logits = self.module(tokens, use_cache=False).logits[0, :-1].double()
        losses = torch.nn.functional.cross_entropy(logits, tokens[0, 1:], reduction="none")
        return losses.numpy()

    @property
    def has_near_tie(self) -> bool:
        """Whether a router of the last window might have chosen otherwise."""
        return any((routing.margin < NEAR_TIE).any() for routing in self._routings)


def is_alibi_falcon(directory: Path) -> bool:
    config = AutoConfig.from_pretrained(directory)
    return config.model_type == "falcon" and bool(config.alibi)
