"""Statistics of the inputs of linear layers, in the formats of two quantizers.

In: a `Sweep` with the sites `attention_input`, `attention_heads`, `mlp_input`, `mlp_hidden`, or
some of them. Out: a safetensors file of channel maxima for SmoothQuant (arXiv 2211.10438), or a
GGUF importance matrix for llama.cpp. Refuses model types whose layers have no names there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .linear_layers import family_of, linear_inputs
from .sweep import Sweep


def export_smoothquant(sweep: Sweep, path: str | os.PathLike[str]) -> int:
    """Writes max |x| of each input channel [C] float32 under the module's name; returns how many.

    The names are those that SmoothQuant's scales have: "model.layers.0.self_attn.q_proj".
    """
    from safetensors.numpy import save_file

    tensors = {}
    for inputs in linear_inputs(sweep):
        site = sweep.site(inputs.site)
        largest = site["channel_max_magnitude"].isel(layer=inputs.layer).values
        tensors |= {module: largest.copy() for module in inputs.modules}
    facts = {name: str(sweep.attributes[name]) for name in ("model_name", "model_fingerprint")}
    save_file(tensors, path, metadata=facts | {"statistic": "largest magnitude by input channel"})
    return len(tensors)


def export_imatrix(sweep: Sweep, path: str | os.PathLike[str]) -> int:
    """Writes Σx² of each input channel and the count of tokens by tensor; returns how many.

    As in llama.cpp's tools/imatrix: `NAME.in_sum2` [1, C] and `NAME.counts` [1, 1] float32, where
    NAME is "blk.0.attn_q.weight" and a chunk is a window of the sweep.
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
        tensors |= {names(module): (squares, count) for module in inputs.modules}
    for name, (squares, count) in sorted(tensors.items()):
        writer.add_tensor(f"{name}.in_sum2", squares)
        writer.add_tensor(f"{name}.counts", count)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return len(tensors)


def _gguf_names(sweep: Sweep) -> Callable[[str], str]:
    """From a module's name to its weight's name in llama.cpp."""
    import gguf

    wanted = family_of(sweep).gguf
    architectures = {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}
    if wanted not in architectures:
        family = sweep.attributes["model_family"]
        raise ValueError(f"{sweep.path}: llama.cpp has no architecture for '{family}'")
    layers = int(sweep.attributes["num_layers"])
    table = gguf.get_tensor_name_map(architectures[wanted], layers)

    def name_of(module: str) -> str:
        return f"{table.get_name(module)}.weight"

    return name_of
