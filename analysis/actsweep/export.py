"""Statistics of the inputs of linear layers, in the formats of two quantizers.

In: a `Sweep` with the sites `attention_input`, `attention_heads`, `mlp_input`, `mlp_hidden` and the
inputs of routed experts, or some of them. Out: a safetensors file of channel maxima for SmoothQuant
(arXiv 2211.10438), or a GGUF importance matrix for llama.cpp. Refuses model types whose layers have no names there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from .linear_layers import expert_inputs, family_of, linear_inputs
from .sweep import Sweep

# llama.cpp keeps the experts of a block in these tensors, whatever the model calls them.
EXPERT_TENSORS = {"input": ("FFN_GATE_EXP", "FFN_UP_EXP"), "hidden": ("FFN_DOWN_EXP",)}


def export_smoothquant(sweep: Sweep, path: str | os.PathLike[str]) -> int:
    """Writes max |x| of each input channel [C] float32 under the module's name; returns how many.

    The names are those that SmoothQuant's scales have: "model.layers.0.self_attn.q_proj". Routed
    experts have a tensor each, or one [E, C] where the model keeps them in one; an expert that no
    token chose has zeros.
    """
    from safetensors.numpy import save_file

    tensors = {}
    for inputs in linear_inputs(sweep):
        site = sweep.site(inputs.site)
        largest = site["channel_max_magnitude"].isel(layer=inputs.layer).values
        tensors |= {module: largest.copy() for module in inputs.modules}
    for inputs in expert_inputs(sweep):
        maxima = sweep.group("experts")[f"{inputs.part}_max_magnitude"]
        largest = maxima.isel(layer=inputs.layer).values
        for module in inputs.modules:
            if "{}" in module:
                tensors |= {module.format(e): row.copy() for e, row in enumerate(largest)}
            else:
                tensors[module] = largest.copy()
    facts = {name: str(sweep.attributes[name]) for name in ("model_name", "model_fingerprint")}
    save_file(tensors, path, metadata=facts | {"statistic": "largest magnitude by input channel"})
    return len(tensors)


def export_imatrix(sweep: Sweep, path: str | os.PathLike[str]) -> int:
    """Writes Σx² of each input channel and the count of tokens by tensor; returns how many.

    As in llama.cpp's tools/imatrix: `NAME.in_sum2` [1, C] and `NAME.counts` [1, 1] float32, where
    NAME is "blk.0.attn_q.weight" and a chunk is a window of the sweep; of the E routed experts of
    "blk.0.ffn_up_exps.weight" [E, C] and [E, 1].
    """
    import gguf

    names = _gguf_names(sweep)
    writer = gguf.GGUFWriter(path, "")
    writer.kv_data[0].clear()  # an importance matrix has no architecture
    writer.add_type("imatrix")
    corpus = sweep.job.get("corpus", {})
    writer.add_array("imatrix.datasets", [Path(str(corpus.get("path", "corpus"))).name])
    writer.add_uint32("imatrix.chunk_count", sweep.sequences.sizes["sequence"])
    writer.add_uint32("imatrix.chunk_size", int(sweep.sequences["length"].max()))
    tensors = {}
    for inputs in linear_inputs(sweep):
        site = sweep.site(inputs.site)[["channel_sum_square", "count"]].isel(layer=inputs.layer)
        squares = site["channel_sum_square"].values.astype(np.float32)[None]
        count = np.full((1, 1), site["count"].item(), np.float32)
        tensors |= {name: (squares, count) for name in names(inputs.modules)}
    for inputs in expert_inputs(sweep):
        experts = sweep.group("experts").isel(layer=inputs.layer)
        squares = experts[f"{inputs.part}_sum_square"].values.astype(np.float32)
        count = experts["token_count"].values.astype(np.float32)[:, None]
        for kind in EXPERT_TENSORS[inputs.part]:
            name = gguf.TENSOR_NAMES[gguf.MODEL_TENSOR[kind]].format(bid=inputs.layer - 1)
            tensors[f"{name}.weight"] = (squares, count)
    for name, (squares, count) in sorted(tensors.items()):
        writer.add_tensor(f"{name}.in_sum2", squares)
        writer.add_tensor(f"{name}.counts", count)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return len(tensors)


def _gguf_names(sweep: Sweep) -> Callable[[Iterable[str]], list[str]]:
    """From modules to the names of their weights in llama.cpp, of those that its architecture has.

    (It knows no dense blocks between those of routed experts, for one.)
    """
    import gguf

    wanted = family_of(sweep).gguf
    architectures = {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}
    if wanted not in architectures:
        family = sweep.attributes["model_family"]
        raise ValueError(f"{sweep.path}: llama.cpp has no architecture for '{family}'")
    layers = int(sweep.attributes["num_layers"])
    table = gguf.get_tensor_name_map(architectures[wanted], layers)

    def names_of(modules: Iterable[str]) -> list[str]:
        found = [table.get_name(module) for module in modules]
        return [f"{name}.weight" for name in found if name is not None]

    return names_of
