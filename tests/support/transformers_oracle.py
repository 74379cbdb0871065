"""What transformers says: residual streams, chosen experts, losses; one window at a time.

Layer 0 is the input of the first block, so that position embeddings, scales and projections of the
embedding are in it. Block outputs are taken by hooks, because the last of transformers' hidden
states has passed the final norm. Attention is eager, but for Falcon's ALiBi: there eager attention
adds the bias twice (transformers 5.23), its default and the published model once.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig

from .bounds import Losses
from .double_precision import in_precision_of, kept, prepare_for_double
from .random_models.weights import auto_class, blocks_of, decoder_of
from .routers import ROUTERS, Groups, chosen_by, logits_and_choice, margin_of

TIE = 10.0  # times the rounding of the router's logits: it may choose either expert


@dataclass(frozen=True)
class Routing:
    """What one layer's router chose for a window."""

    layer: int  # of the block, from 0
    chosen: np.ndarray  # int64 [T, k]
    logits: np.ndarray  # [T, experts]: what they are chosen by, scores and a bias in some families
    groups: Groups = Groups()

    @property
    def margin(self) -> np.ndarray:
        """[T]: between the least logit chosen and the largest left out, of experts and groups."""
        of_groups, logits = self.groups.limit(self.logits)
        return np.minimum(of_groups, margin_of(logits, self.chosen.shape[1]))


@dataclass(frozen=True)
class Pass:
    """One window through the blocks."""

    stream: np.ndarray  # [layers + 1, T, C], float64 of a model in float64, else float32
    routings: list[Routing]  # of the layers with experts


@dataclass(frozen=True)
class Window:
    """What a window is in float64, and what transformers' own float32 makes of it."""

    exact: Pass
    single: Pass
    losses: Losses | None = None

    @property
    def ties(self) -> list[np.ndarray]:
        """By routing, bool [T]: rounding may choose other experts."""
        return self._ties_and_sure[0]

    @property
    def is_sure(self) -> np.ndarray:
        """bool [layers + 1, T]: False from where a near tie of the router reaches.

        It changes its token in the layer's output, and by attention all later ones in the layers
        above.
        """
        return self._ties_and_sure[1]

    @cached_property
    def _ties_and_sure(self) -> tuple[list[np.ndarray], np.ndarray]:
        sure, ties = np.ones(self.exact.stream.shape[:2], bool), []
        for exact, single in zip(self.exact.routings, self.single.routings, strict=True):
            with np.errstate(invalid="ignore"):  # of experts that no token may choose
                error = np.abs(single.logits - exact.logits)
            error = np.where(single.logits == exact.logits, 0, error).max(axis=1)
            is_tie = exact.margin <= TIE * error[sure[exact.layer + 1]].max(initial=0)
            ties.append(is_tie)
            sure[exact.layer + 1 :, is_tie] = False
            if is_tie.any():
                sure[exact.layer + 2 :, is_tie.argmax() :] = False
        return ties, sure

    def where_sure(self, stream: np.ndarray) -> np.ndarray:
        """A stream of it, with the exact values where experts may be others."""
        return np.where(self.is_sure[..., None], stream, self.exact.stream)


class Oracle:
    """A checkpoint as transformers loads it."""

    def __init__(self, directory: Path, dtype: torch.dtype = torch.float32) -> None:
        attention = "sdpa" if is_alibi_falcon(directory) else "eager"
        config = AutoConfig.from_pretrained(directory)
        module, information = auto_class(config).from_pretrained(
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
        self._dtype = dtype
        self._decoder = decoder_of(module)
        if dtype == torch.float64:
            prepare_for_double(module)
        # Dynamic and longrope positions keep state from call to call.
        self._rotary = copy.deepcopy(getattr(self._decoder, "rotary_emb", None))
        self._layers: list[torch.Tensor] = []
        self._routings: list[Routing] = []
        self.blocks = blocks_of(module)
        self.blocks[0].register_forward_pre_hook(self._keep_input, with_kwargs=True)
        for layer, block in enumerate(self.blocks):
            block.register_forward_hook(self._keep_output)
            for part in block.modules():
                if type(part).__name__.lower().endswith(ROUTERS):
                    part.register_forward_hook(self._keeper_of_routing(layer))

    def _keep_input(self, _module: torch.nn.Module, inputs: tuple, named: dict) -> None:
        self._keep(inputs[0] if inputs else named["hidden_states"])

    def _keep_output(self, _module: torch.nn.Module, _inputs: object, output: object) -> None:
        self._keep(output[0] if isinstance(output, tuple) else output)

    def _keep(self, hidden: object) -> None:
        assert isinstance(hidden, torch.Tensor) and hidden.dim() == 3
        self._layers.append(kept(hidden[0]))

    def _keeper_of_routing(self, layer: int):
        def keep(router: torch.nn.Module, inputs: tuple, output: tuple) -> None:
            logits, chosen = logits_and_choice(router, self.module.config, output)
            by = kept(chosen_by(router, inputs, kept(logits))).numpy()
            self._routings.append(Routing(layer, chosen.numpy(), by, Groups.of(router)))

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
        with in_precision_of(self._dtype):
            self.module.base_model(self._begin(ids), use_cache=False)
        assert len(self._layers) == len(self.blocks) + 1
        return Pass(torch.stack(self._layers).numpy(), self._routings)

    def residual(self, ids: np.ndarray) -> np.ndarray:
        """[layers + 1, T, C]."""
        return self.run(ids).stream

    @torch.no_grad()
    def run_to_the_head(self, ids: np.ndarray) -> tuple[Pass, np.ndarray]:
        """And float64 [T - 1, V]: log-likelihoods of every token after each but the last, in nats."""
        tokens = self._begin(ids)
        with in_precision_of(self._dtype):
            logits = self.module(tokens, use_cache=False).logits[0, :-1].double()
        likelihoods = torch.log_softmax(logits, dim=-1).numpy()
        return Pass(torch.stack(self._layers).numpy(), self._routings), likelihoods

    def log_likelihoods(self, ids: np.ndarray) -> np.ndarray:
        return self.run_to_the_head(ids)[1]


@dataclass(frozen=True)
class InBothPrecisions:
    """Streams [layers + 1, T, C] of windows or prompts, in both precisions."""

    exact: list[np.ndarray]
    single: list[np.ndarray]


def losses_of(ids: np.ndarray, exact: np.ndarray, single: np.ndarray) -> Losses:
    """Of one window, by the log-likelihoods [T - 1, V] that it has in both precisions."""
    nll = -exact[np.arange(len(exact)), ids[1:].astype(np.int64)]
    return Losses([nll], float(np.abs(single - exact).max(initial=0)))


def join(losses: Iterable[Losses]) -> Losses:
    """Of windows."""
    each = list(losses)
    return Losses([nll for one in each for nll in one.exact], max(one.error for one in each))


class BothPrecisions:
    """A checkpoint in float64, and in the float32 that is the measure of rounding."""

    def __init__(self, directory: Path) -> None:
        self.exact, self.single = Oracle(directory, torch.float64), Oracle(directory)

    @property
    def of_both(self) -> tuple[Oracle, Oracle]:
        return self.exact, self.single

    def streams(self, windows: Sequence[np.ndarray]) -> InBothPrecisions:
        return InBothPrecisions(*([oracle.residual(ids) for ids in windows] for oracle in self.of_both))

    def losses(self, windows: Sequence[np.ndarray]) -> Losses:
        return join(
            losses_of(ids, *(oracle.log_likelihoods(ids) for oracle in self.of_both))
            for ids in windows
        )

    def run(self, ids: np.ndarray) -> Window:
        return Window(self.exact.run(ids), self.single.run(ids))

    def run_with_losses(self, ids: np.ndarray) -> Window:
        (exact, a), (single, b) = (oracle.run_to_the_head(ids) for oracle in self.of_both)
        return Window(exact, single, losses_of(ids, a, b))


def is_alibi_falcon(directory: Path) -> bool:
    config = AutoConfig.from_pretrained(directory)
    return config.model_type == "falcon" and bool(config.alibi)
