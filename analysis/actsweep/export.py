"""Statistics of the inputs of linear layers, in the formats of three quantizers.

In: a `Sweep` with the sites `attention_input`, `attention_heads`, `mlp_input`, `mlp_hidden` and the
inputs of routed experts, or some of them. Out: a safetensors file of channel maxima for SmoothQuant
(arXiv 2211.10438) or of signed ranges as llm-compressor's observers keep them, or a GGUF importance
matrix for llama.cpp, of finite numbers alone; and which layers and experts have no values. Refuses
model types that llama.cpp does not have.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .linear_layers import (
    ExpertInputs,
    Inputs,
    expert_inputs,
    layers_without_experts,
    linear_inputs,
)
from .llama_cpp import ARCHITECTURES
from .output import whole_file
from .sweep import Sweep

# llama.cpp keeps the experts of a block in these tensors, whatever the model calls them.
IMATRIX_PARTS = ("in_sum2", "counts", "in_sum")
EXPERT_TENSORS = {"input": ("FFN_GATE_EXP", "FFN_UP_EXP"), "hidden": ("FFN_DOWN_EXP",)}


@dataclass
class Export:
    """What an export holds: arrays by the names of linear layers; and what it has no values of."""

    tensors: dict[str, tuple[np.ndarray, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _silent: dict[int, tuple[list[str], list[str]]] = field(default_factory=dict)

    def add(self, layer: int, names: Iterable[str], *arrays: np.ndarray) -> None:
        """Adds the arrays under each name, unless a value is beyond float32."""
        names = list(names)
        if all(np.isfinite(array).all() for array in arrays):
            self.tensors |= {name: tuple(array.copy() for array in arrays) for name in names}
        elif names:
            self.notes.append(f"layer {layer}: values beyond float32: without {', '.join(names)}")

    def add_experts(self, inputs: ExpertInputs, *arrays: np.ndarray) -> None:
        """Adds arrays [E, …]: by expert, or whole where the model keeps its experts in one tensor."""
        for module in inputs.modules:
            if "{}" not in module:
                self.add(inputs.layer, [module], *arrays)
                continue
            for expert, rows in enumerate(zip(*arrays, strict=True)):
                self.add(inputs.layer, [module.format(expert)], *rows)

    def note_layer(self, inputs: Inputs, names: Iterable[str]) -> None:
        """Of a layer without a finite token at a site."""
        sites, left_out = self._silent.setdefault(inputs.layer, ([], []))
        sites.append(inputs.site)
        left_out += names

    def note_experts(self, inputs: ExpertInputs, names: Iterable[str]) -> None:
        """Of experts that no token chose, if there are any."""
        unused = [str(expert) for expert in np.flatnonzero(inputs.tokens == 0)]
        if unused:
            experts = "expert" if len(unused) == 1 else "experts"
            self.notes.append(
                f"layer {inputs.layer}: no token chose {experts} {', '.join(unused)} of"
                f" {len(inputs.tokens)}: zeros in {', '.join(names)}"
            )

    def finish(self, sweep: Sweep) -> None:
        """Notes layers without a finite token, also those of which it is not known whether they have
        experts; refuses an empty export."""
        for layer, (sites, names) in self._silent.items():
            self.notes.append(
                f"layer {layer}: no finite token at {', '.join(sites)}: without {', '.join(names)}"
            )
        for layer in layers_without_experts(sweep):
            self.notes.append(f"layer {layer}: no finite token: without its experts")
        if not self.tensors:
            reason = self.notes[0] if self.notes else "none of its layers has a name there"
            raise ValueError(f"{sweep.path}: nothing to export: {reason}")


def export_smoothquant(sweep: Sweep, path: str | os.PathLike[str]) -> Export:
    """Writes max |x| of each input channel [C] float32 under the module's name.

    The names are those that SmoothQuant's scales have: "model.layers.0.self_attn.q_proj". Routed
    experts have a tensor each, or one [E, C] where the model keeps them in one; an expert that no
    token chose has zeros.
    """
    export = Export()
    for inputs in linear_inputs(sweep):
        if not inputs.tokens:
            export.note_layer(inputs, inputs.modules)
            continue
        site = sweep.site(inputs.site)
        largest = site["channel_max_magnitude"].isel(layer=inputs.layer).values
        export.add(inputs.layer, inputs.modules, largest * np.float32(abs(inputs.factor)))
    for inputs in expert_inputs(sweep):
        maxima = sweep.group("experts")[f"{inputs.part}_max_magnitude"]
        export.add_experts(inputs, maxima.isel(layer=inputs.layer).values)
        export.note_experts(inputs, [module.format("…") for module in inputs.modules])
    export.finish(sweep)
    tensors = {name: array for name, (array,) in export.tensors.items()}
    _write_safetensors(sweep, tensors, "largest magnitude by input channel", path)
    return export


def export_llm_compressor(sweep: Sweep, path: str | os.PathLike[str]) -> Export:
    """Writes the smallest and largest input of each linear layer, as llm-compressor's `static_minmax`
    observer keeps them for an activation's scale, under names as compressed-tensors has them.

    Of the whole tensor (strategy "tensor") `MODULE.input_min_vals` and `.input_max_vals` [1] float32,
    and by channel `MODULE.input_channel_min_vals` and `.input_channel_max_vals` [C]. Routed experts have
    them each, or [E, 1] and [E, C] where the model keeps them in one tensor; an expert that no token
    chose has zeros. Refuses a file without `quantisation = true`.
    """
    export = Export()
    for inputs in linear_inputs(sweep):
        if not sweep.has(f"{inputs.site}/channel_min"):
            raise ValueError(
                f"{sweep.path}: expected signed ranges of the inputs of linear layers, found no"
                f" /{inputs.site}/channel_min; the job key [statistics] quantisation = true brings it"
            )
        if not inputs.tokens:
            export.note_layer(inputs, inputs.modules)
            continue
        site = sweep.site(inputs.site)[["channel_min", "channel_max"]].isel(layer=inputs.layer)
        ends = [site[end].values * np.float32(inputs.factor) for end in ("channel_min", "channel_max")]
        export.add(inputs.layer, inputs.modules, np.minimum(*ends), np.maximum(*ends))
    for inputs in expert_inputs(sweep):
        names = [module.format("…") for module in inputs.modules]
        experts = sweep.group("experts").isel(layer=inputs.layer)
        if f"{inputs.part}_min" not in experts:  # a file that was written before it was measured
            export.notes.append(
                f"layer {inputs.layer}: signed ranges of experts: without {', '.join(names)}"
            )
            continue
        is_used = inputs.tokens[:, None] > 0
        ends = [np.where(is_used, experts[f"{inputs.part}_{end}"].values, 0) for end in ("min", "max")]
        export.add_experts(inputs, *ends)
        export.note_experts(inputs, names)
    export.finish(sweep)
    tensors = {}
    for module, (lowest, highest) in export.tensors.items():
        tensors[f"{module}.input_min_vals"] = lowest.min(axis=-1, keepdims=True)
        tensors[f"{module}.input_max_vals"] = highest.max(axis=-1, keepdims=True)
        tensors[f"{module}.input_channel_min_vals"] = lowest
        tensors[f"{module}.input_channel_max_vals"] = highest
    _write_safetensors(sweep, tensors, "smallest and largest input", path)
    return export


def _write_safetensors(
    sweep: Sweep, tensors: dict[str, np.ndarray], statistic: str, path: str | os.PathLike[str]
) -> None:
    from safetensors.numpy import save

    facts = {name: str(sweep.attributes[name]) for name in ("model_name", "model_fingerprint")}
    content = save(tensors, metadata=facts | {"statistic": statistic})
    with whole_file(path, sweep.path) as partial:
        partial.write_bytes(content)


def export_imatrix(sweep: Sweep, path: str | os.PathLike[str]) -> Export:
    """Writes Σx² and Σx of each input channel and the count of tokens by tensor.

    As in llama.cpp's tools/imatrix: `NAME.in_sum2` [1, C], `NAME.counts` [1, 1] and `NAME.in_sum`
    [1, C] float32, where NAME is "blk.0.attn_q.weight" and a chunk is a window of the sweep; of the E
    routed experts of "blk.0.ffn_up_exps.weight" [E, C] and [E, 1]. Files that were written before
    Σx of experts was measured have no `in_sum` of these. A factor of what a module reads is in the
    weights that llama.cpp has.
    """
    export = _sums(sweep)
    with whole_file(path, sweep.path) as partial:
        _write_imatrix(sweep, export, partial)
    return export


def _sums(sweep: Sweep) -> Export:
    """By the names of llama.cpp: arrays in the order of IMATRIX_PARTS."""
    import gguf

    names = _gguf_names(sweep)
    export = Export()
    for inputs in linear_inputs(sweep):
        if not inputs.tokens:
            export.note_layer(inputs, names(inputs.modules) or inputs.modules)
            continue
        site = sweep.site(inputs.site)[["channel_sum_square", "channel_sum"]].isel(layer=inputs.layer)
        squares, sums = (_as_float32(values.values[None]) for values in site.values())
        count = np.full((1, 1), inputs.tokens, np.float32)
        export.add(inputs.layer, names(inputs.modules), squares, count, sums)
    for inputs in expert_inputs(sweep):
        experts = sweep.group("experts").isel(layer=inputs.layer)
        squares = _as_float32(experts[f"{inputs.part}_sum_square"].values)
        sums = [experts[name] for name in (f"{inputs.part}_sum",) if name in experts]
        count = inputs.tokens.astype(np.float32)[:, None]
        kinds = EXPERT_TENSORS[inputs.part]
        stems = [gguf.TENSOR_NAMES[gguf.MODEL_TENSOR[kind]] for kind in kinds]
        tensors = [f"{stem.format(bid=inputs.layer - 1)}.weight" for stem in stems]
        export.add(
            inputs.layer, tensors, squares, count, *(_as_float32(one.values) for one in sums)
        )
        export.note_experts(inputs, tensors)
    export.finish(sweep)
    return export


def _as_float32(sums: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # what is beyond is named and left out
        return sums.astype(np.float32)


def _write_imatrix(sweep: Sweep, export: Export, path: Path) -> None:
    import gguf

    writer = gguf.GGUFWriter(path, "")
    writer.kv_data[0].clear()  # an importance matrix has no architecture
    writer.add_type("imatrix")
    corpus = sweep.job.get("corpus", {})
    writer.add_array("imatrix.datasets", [Path(str(corpus.get("path", "corpus"))).name])
    writer.add_uint32("imatrix.chunk_count", sweep.sequences.sizes["sequence"])
    writer.add_uint32("imatrix.chunk_size", int(sweep.sequences["length"].max()))
    for name, arrays in sorted(export.tensors.items()):
        for part, values in zip(IMATRIX_PARTS, arrays, strict=False):
            writer.add_tensor(f"{name}.{part}", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _gguf_names(sweep: Sweep) -> Callable[[Iterable[str]], list[str]]:
    """From modules to the names of their weights in llama.cpp, of those that its architecture has.

    (It knows no dense blocks between those of routed experts, for one.)
    """
    import gguf

    family = str(sweep.attributes["model_family"])
    wanted = ARCHITECTURES.get(family)
    architectures = {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}
    if wanted not in architectures:
        raise ValueError(f"{sweep.path}: llama.cpp has no architecture for '{family}'")
    layers = int(sweep.attributes["num_layers"])
    table = gguf.get_tensor_name_map(architectures[wanted], layers)

    def names_of(modules: Iterable[str]) -> list[str]:
        # Its converter drops what stands around the language model of a model of several parts.
        found = [table.get_name(module.replace("model.language_model.", "model.")) for module in modules]
        return [f"{name}.weight" for name in found if name is not None]

    return names_of
