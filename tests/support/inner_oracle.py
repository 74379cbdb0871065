"""What transformers computes inside its layers, taken by hooks: sites and eager attention."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoConfig

from .double_precision import in_precision_of, prepare_for_double
from .random_models.weights import auto_class, blocks_of, decoder_of
from .vision_oracle import VisionOracle

# Where a family keeps the parts of a block: the first name that a block has.
ATTENTION = ("self_attn", "attn", "attention")
OUTPUT_PROJECTION = ("o_proj", "dense", "c_proj", "out_proj", "Wo")
# In the place of attention: only its input and output are sites.
OTHER_MIXER = ("linear_attn", "conv", "mamba")
MLP = ("mlp", "ffn", "feed_forward")
BRANCH = "mixer"  # a block's only part, of the kind that its block_type says
DOWN_PROJECTION = ("down_proj", "fc2", "c_proj", "Wo", "w2")
FUSED_PROJECTION = ("c_attn", "Wqkv")
UP_PROJECTION = ("up_proj", "fc1", "c_fc", "w3")
# Behind a branch, in the blocks that have norms on both sides of their MLP or behind it.
POST_NORMS = {"attention": "post_attention_layernorm", "mlp": "post_feedforward_layernorm"}
MORE_SAMPLES = 4
FINAL_NORM = ("norm", "final_layernorm", "ln_f", "layernorm", "post_layernorm", "final_norm",
              "rms_norm", "embedding_norm", "norm_f")  # fmt: skip


@dataclass(frozen=True)
class LayerAttention:
    """One layer's attention of a window of n tokens, float64."""

    query: np.ndarray  # [H, n, D] after rotary positions
    key: np.ndarray  # [key heads, n, D]
    value: np.ndarray  # [key heads, n, D]
    probability: np.ndarray  # [H, n, n], without a sink's column
    logit: np.ndarray  # [H, n, n], scaled and capped; hidden keys too
    output_weight: np.ndarray  # [C, H * D]
    gate: np.ndarray | None = None  # [H, n, D]: the heads' outputs are multiplied by it

    @property
    def head_values(self) -> np.ndarray:  # [H, n, D]
        return np.repeat(self.value, len(self.query) // len(self.value), axis=0)


@dataclass
class Inner:
    """One window: sites [layers, n, channels] by name, float64, and the attention of each layer."""

    sites: dict[str, list[np.ndarray]] = field(default_factory=dict)
    attention: list[LayerAttention] = field(default_factory=list)
    # [layers + 1]: the input of the first block and the output of each, [n, C].
    residual: list[np.ndarray] = field(default_factory=list)
    # By branch ("attention", "mlp") what each block adds to the stream: [layers], each [n, C].
    added: dict[str, list[np.ndarray]] = field(default_factory=dict)
    # Of the layers with routed experts, [experts]: tokens, and the largest output before its weight.
    expert_counts: list[np.ndarray] = field(default_factory=list)
    expert_largest: list[np.ndarray] = field(default_factory=list)
    # The same, sums over its tokens: of the router's weight, of the norm of its output before that
    # weight, and of both multiplied.
    expert_gates: list[np.ndarray] = field(default_factory=list)
    expert_norms: list[np.ndarray] = field(default_factory=list)
    expert_weighted: list[np.ndarray] = field(default_factory=list)
    # Of the same layers, [n, chosen]: experts in rising order, and the router's weights of them.
    expert_chosen: list[np.ndarray] = field(default_factory=list)
    expert_weights: list[np.ndarray] = field(default_factory=list)
    # [layer][expert]: "input" [tokens, C] and "hidden" [tokens, neurons] of its projections.
    expert_rows: list[list[dict[str, np.ndarray]]] = field(default_factory=list)

    def see(self, site: str, rows: torch.Tensor) -> None:
        self.sites.setdefault(site, []).append(rows_of(rows))


def rows_of(values: torch.Tensor) -> np.ndarray:
    """[n, C] float64, of one sequence."""
    rows = values.detach().double().numpy()
    return rows.reshape(-1, rows.shape[-1])


def part_of(module: nn.Module, names: tuple[str, ...]) -> nn.Module | None:
    return next((getattr(module, name) for name in names if hasattr(module, name)), None)


def branches_of(block: nn.Module) -> tuple[nn.Module | None, nn.Module | None, nn.Module | None]:
    """A block's attention, what stands in its place, and its MLP."""
    only = getattr(block, BRANCH, None)
    if only is None:
        return part_of(block, ATTENTION), part_of(block, OTHER_MIXER), part_of(block, MLP)
    kinds = {"full_attention": (only, None, None), "linear_attention": (None, only, None)}
    return kinds.get(block.block_type, (None, None, only))


def first(values: Any) -> torch.Tensor:
    return values[0] if isinstance(values, tuple) else values


def gates_of(weights: torch.Tensor, chosen: torch.Tensor, expert: int) -> torch.Tensor:
    """The router's weight of the tokens that chose an expert; `weights` of the chosen or of all."""
    is_mine = chosen == expert
    if weights.shape == chosen.shape:
        return weights[is_mine]
    return weights[is_mine.any(dim=1), expert]


def hidden_of(experts: nn.Module, expert: int, rows: torch.Tensor) -> torch.Tensor:
    """Input of one routed expert's down projection, by the parts of transformers' module."""
    weight = experts.gate_up_proj[expert]
    if hasattr(experts, "gate_up_proj_bias"):
        return experts._apply_gate(rows @ weight + experts.gate_up_proj_bias[expert])
    gate, up = nn.functional.linear(rows, weight).chunk(2, dim=-1)
    return experts.act_fn(gate) * up


class InnerHooks:
    """Hooks on the parts of a model's blocks, which fill `_inner`."""

    def __init__(self, blocks: Sequence[nn.Module], monkeypatch: Any) -> None:
        """`monkeypatch` undoes the wrapping of the family's eager attention."""
        self._inner = Inner()
        self._wrap_attention(type(blocks[0]).__module__, monkeypatch)
        blocks[0].register_forward_pre_hook(
            lambda _module, inputs, named: self._inner.residual.append(
                rows_of(inputs[0] if inputs else named["hidden_states"])
            ),
            with_kwargs=True,
        )
        for block in blocks:
            block.register_forward_hook(
                lambda _module, _inputs, output: self._inner.residual.append(rows_of(first(output)))
            )
            attention, mixer, mlp = branches_of(block)
            if attention and mixer:
                self._on_both_additions(block)
                self._on_output(part_of(mixer, OUTPUT_PROJECTION), "state_output")
            else:
                self._on_addition("attention", block, attention or mixer)
            self._on_addition("mlp", block, mlp)
            if attention or mixer:
                # Of two side by side, of which Falcon-H1 scales the attention's input.
                self._on_input(mixer or attention, "attention_input")
                self._on_output(part_of(attention or mixer, OUTPUT_PROJECTION), "attention_output")
            if attention:
                self._hook_attention(attention)
            if mlp:
                self._hook_mlp(block, mlp)

    def _on_input(self, module: nn.Module, site: str) -> None:
        module.register_forward_pre_hook(
            lambda _module, inputs, named: self._inner.see(
                site, inputs[0] if inputs else named["hidden_states"]
            ),
            with_kwargs=True,
        )

    def _on_output(self, module: nn.Module, site: str, factor: float = 1.0) -> None:
        module.register_forward_hook(
            lambda _module, _inputs, output: self._inner.see(site, first(output) * factor)
        )

    def _on_addition(self, branch: str, block: nn.Module, part: nn.Module | None) -> None:
        """What a branch gives behind its norm, times the block's factor."""
        if hasattr(block, POST_NORMS["mlp"]):
            part = getattr(block, POST_NORMS[branch])
        factor = getattr(block, "residual_multiplier", 1.0)
        if part is not None:
            part.register_forward_hook(
                lambda _module, _inputs, output: self._inner.added.setdefault(branch, []).append(
                    rows_of(first(output)) * factor
                )
            )

    def _on_both_additions(self, block: nn.Module) -> None:
        """What attention and the mixer beside it add: the stream before the MLP's norm less the block's
        input."""
        block.pre_ff_layernorm.register_forward_pre_hook(
            lambda _module, inputs: self._inner.added.setdefault("attention", []).append(
                rows_of(inputs[0]) - self._inner.residual[-1]
            )
        )

    def _hook_attention(self, attention: nn.Module) -> None:
        projection = part_of(attention, OUTPUT_PROJECTION)
        self._on_input(projection, "attention_heads")
        if fused := part_of(attention, FUSED_PROJECTION):
            channels = projection.weight.shape[0]
            fused.register_forward_hook(
                lambda _module, _inputs, output: self._see_fused(output, channels)
            )
            return
        attention.q_proj.register_forward_hook(self._keep_queries)
        for site, name in (("query", "q"), ("key", "k"), ("value", "v")):
            if getattr(attention, "is_kv_shared_layer", False) and site != "query":
                continue  # another layer's
            norm = part_of(attention, (f"{name}_norm", f"{name}_layernorm"))
            if norm is None:
                factor = getattr(attention, "key_multiplier", 1.0) if site == "key" else 1.0
                self._on_output(getattr(attention, f"{name}_proj"), site, factor)
            else:
                self._on_normed_heads(norm, site)

    def _keep_queries(self, _module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        self._queries = output

    def _gate_of(self, module: nn.Module, query: torch.Tensor) -> np.ndarray | None:
        """Of a module whose q_proj gives each head's query and its gate."""
        heads, width = query.shape[1], query.shape[-1]
        projection = getattr(module, "q_proj", None)
        if projection is None or projection.out_features != 2 * heads * width:
            return None
        gates = self._queries[0].view(-1, heads, 2 * width)[..., width:].sigmoid()
        return gates.transpose(0, 1).double().numpy()

    def _on_normed_heads(self, norm: nn.Module, site: str) -> None:
        """A norm's [1, n, heads, D] or [1, n, heads * D]; Phi's is [1, heads, n, D]."""
        is_by_head = type(norm).__name__ == "LayerNorm"

        def keep(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
            rows = output.transpose(1, 2) if is_by_head else output
            self._inner.see(site, rows.reshape(rows.shape[1], -1))

        norm.register_forward_hook(keep)

    def _see_fused(self, output: torch.Tensor, channels: int) -> None:
        for site, part in zip(("query", "key", "value"), output.split(channels, -1), strict=True):
            self._inner.see(site, part)

    def _hook_mlp(self, block: nn.Module, mlp: nn.Module) -> None:
        self._on_input(mlp, "mlp_input")
        apart = getattr(block, "experts", None)  # Gemma 4 norms and adds what both give behind them
        if apart is None:  # Falcon-H1 multiplies it by a factor
            self._on_output(mlp.down_proj if hasattr(mlp, "down_multiplier") else mlp, "mlp_output")
        else:
            self._on_input(block.post_feedforward_layernorm, "mlp_output")
            apart.register_forward_hook(self._see_experts)
        if hasattr(mlp, "experts"):
            mlp.experts.register_forward_hook(self._see_experts)
        down = part_of(mlp, DOWN_PROJECTION)
        if down is None:
            return
        self._on_input(down, "mlp_hidden")
        if gate := part_of(mlp, ("gate_proj", "w1")):
            self._on_output(gate, "gate", getattr(mlp, "gate_multiplier", 1.0))
        if up := part_of(mlp, UP_PROJECTION):  # else it is fused with the gate
            self._on_output(up, "up")

    def _see_experts(self, experts: nn.Module, inputs: tuple, _output: object) -> None:
        """Asks each expert alone, with a weight of 1, for the tokens that chose it."""
        rows, chosen = inputs[0].reshape(-1, inputs[0].shape[-1]), inputs[1]
        self._see_choice(chosen, inputs[2])
        counts, largest, gates, norms, weighted = np.zeros((5, experts.num_experts))
        for expert in range(experts.num_experts):
            mine = rows[(chosen == expert).any(dim=1)]
            counts[expert] = len(mine)
            if len(mine) > 0:
                only = torch.full((len(mine), 1), expert)
                output = experts.forward(mine, only, torch.ones(len(mine), 1))
                largest[expert] = output.abs().max()
                gate = gates_of(inputs[2], chosen, expert).double()
                norm = output.norm(dim=1).double()
                gates[expert], norms[expert] = gate.sum(), norm.sum()
                weighted[expert] = (gate * norm).sum()
        self._inner.expert_rows.append(
            [
                {
                    "input": mine.double().numpy(),
                    "hidden": hidden_of(experts, expert, mine).double().numpy(),
                }
                for expert in range(experts.num_experts)
                for mine in [rows[(chosen == expert).any(dim=1)]]
            ]
        )
        self._inner.expert_counts.append(counts)
        self._inner.expert_largest.append(largest)
        self._inner.expert_gates.append(gates)
        self._inner.expert_norms.append(norms)
        self._inner.expert_weighted.append(weighted)

    def _see_choice(self, chosen: torch.Tensor, weights: torch.Tensor) -> None:
        """`weights`: of the chosen or of all."""
        order = chosen.argsort(dim=1)
        of_chosen = weights if weights.shape == chosen.shape else weights.gather(1, chosen)
        self._inner.expert_chosen.append(chosen.gather(1, order).numpy())
        self._inner.expert_weights.append(of_chosen.gather(1, order).double().numpy())

    def _wrap_attention(self, family: str, monkeypatch: Any) -> None:
        """Records what the family's eager attention takes and gives."""
        modeling = importlib.import_module(family)
        eager: Callable = modeling.eager_attention_forward

        def record(module, query, key, value, mask, scaling=None, softcap=None, **more):
            if softcap is not None:
                more["softcap"] = softcap
            if scaling is None:
                scaling = query.shape[-1] ** -0.5
            output, weights = eager(module, query, key, value, mask, scaling=scaling, **more)
            repeated = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
            logit = (query.double() @ repeated.double().transpose(2, 3)) * scaling
            if softcap is not None:
                logit = torch.tanh(logit / softcap) * softcap
            projection = part_of(module, OUTPUT_PROJECTION)
            matrix = projection.weight.T if hasattr(projection, "nx") else projection.weight
            self._inner.attention.append(
                LayerAttention(
                    *(x[0].double().numpy() for x in (query, key, value, weights, logit)),
                    output_weight=matrix.detach().double().numpy(),
                    gate=self._gate_of(module, query),
                )
            )
            return output, weights

        monkeypatch.setattr(modeling, "eager_attention_forward", record)


@dataclass(frozen=True)
class InBoth:
    """The same windows in float64, and in the float32 that is the measure of rounding.

    `more`: other samples of what rounding can do, for statistics that hang on a few numbers: float32
    with weights that are off by a rounding, by chance."""

    exact: list[Inner]
    single: list[Inner]
    more: list[list[Inner]] = field(default_factory=list)

    @property
    def samples(self) -> list[list[Inner]]:
        return [self.single, *self.more]

    @property
    def num_layers(self) -> int:
        return len(self.exact[0].attention)

    def pick(self, number: int) -> InBoth:
        more = [[sample[number]] for sample in self.more]
        return InBoth([self.exact[number]], [self.single[number]], more)


def run_in_both(make: Callable[[Any, torch.dtype], Any], windows: Sequence[np.ndarray]) -> InBoth:
    """`make` gets a monkeypatch and a dtype, and gives an oracle with its `module`."""

    def run(dtype: torch.dtype, seed: int | None = None) -> list[Inner]:
        with pytest.MonkeyPatch.context() as patch:
            oracle = make(patch, dtype)
            if seed is not None:
                round_weights(oracle.module, seed)
            return [oracle.run(window) for window in windows]

    more = [run(torch.float32, seed) for seed in range(MORE_SAMPLES)]
    return InBoth(run(torch.float64), run(torch.float32), more)


@torch.no_grad()
def round_weights(module: nn.Module, seed: int) -> None:
    """Moves every weight by a rounding of float32, up or down by chance."""
    generator = torch.Generator().manual_seed(seed)
    for weight in module.parameters():
        up = torch.randint(0, 2, weight.shape, generator=generator)
        weight.mul_((1 + (2 * up - 1) * 2.0**-23).to(weight.dtype))


class InnerOracle(InnerHooks):
    """A checkpoint of a language model."""

    def __init__(
        self, directory: Path, monkeypatch: Any, dtype: torch.dtype = torch.float32
    ) -> None:
        self._dtype = dtype
        self.module = auto_class(AutoConfig.from_pretrained(directory)).from_pretrained(
            directory, dtype=dtype, attn_implementation="eager", experts_implementation="eager"
        ).eval()
        if dtype == torch.float64:
            prepare_for_double(self.module)
        super().__init__(blocks_of(self.module), monkeypatch)
        self._on_output(part_of(decoder_of(self.module), FINAL_NORM), "final_norm")

    @torch.no_grad()
    def run(self, ids: np.ndarray) -> Inner:
        self._inner = Inner()
        with in_precision_of(self._dtype):
            self.module.base_model(torch.from_numpy(ids.astype(np.int64))[None], use_cache=False)
        return self._inner


class ImageInnerOracle(InnerHooks):
    """A checkpoint of a Vision Transformer. Its final norm is applied to every token; CLIP's own
    code applies it to the class token alone."""

    def __init__(
        self, directory: Path, monkeypatch: Any, dtype: torch.dtype = torch.float32
    ) -> None:
        self._images = VisionOracle(directory, dtype)
        self.module = self._images.encoder
        super().__init__(self._images.blocks, monkeypatch)
        norm = part_of(self._images.encoder, FINAL_NORM)
        self._images.blocks[-1].register_forward_hook(
            lambda _module, _inputs, output: self._inner.see("final_norm", norm(first(output)))
        )

    @torch.no_grad()
    def run(self, pixels: np.ndarray) -> Inner:
        """[3, height, width]."""
        self._inner = Inner()
        self._images.residual(pixels)
        return self._inner
