"""An ONNX file with a DINOv2 backbone inside -> a Hugging Face checkpoint directory.

In: an ONNX file that torch exported, whose weights keep transformers' names of DINOv2 but for those
of linear layers, behind any prefix; what is not the backbone's (a head, a decoder) is left out.
Out: model.safetensors, config.json, preprocessor_config.json. Refuses a file without such a
backbone, with another activation, and weights whose shapes contradict each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from preparation.checkpoint_writer import CheckpointWriter, Tensor, to_bytes
from preparation.onnx_graph import OnnxGraph

SHARD_BYTES = 5_000_000_000
CLASS_TOKEN = "embeddings.cls_token"
RENAMED = "onnx::"  # how torch's exporter names weights that it changed

# Behind "encoder.layer.{l}.": vectors by name, and linear layers, which are stored transposed.
LAYER_VECTORS = (
    "norm1.weight",
    "norm1.bias",
    "layer_scale1.lambda1",
    "norm2.weight",
    "norm2.bias",
    "layer_scale2.lambda1",
)
LAYER_LINEARS = {  # name -> [out, in], in letters: C channels, F feed-forward width
    "attention.attention.query": "CC",
    "attention.attention.key": "CC",
    "attention.attention.value": "CC",
    "attention.output.dense": "CC",
    "mlp.fc1": "FC",
    "mlp.fc2": "CF",
}

# DINOv2's own: facebook/dinov2-small.
PREPROCESSOR: dict[str, Any] = {
    "image_processor_type": "BitImageProcessor",
    "do_convert_rgb": True,
    "do_resize": True,
    "size": {"shortest_edge": 256},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}

Source = Callable[[], np.ndarray]


class Backbone:
    """The DINOv2 inside a graph: its configuration and its tensors, by checkpoint name."""

    def __init__(self, graph: OnnxGraph) -> None:
        self._graph = graph
        found = [name for name in graph.names() if name.endswith(CLASS_TOKEN)]
        if len(found) != 1:
            raise graph.refuse(f"{len(found)} weights are named …{CLASS_TOKEN}, expected one")
        self._prefix = found[0].removesuffix(CLASS_TOKEN)
        self._channels = graph.shape_of(found[0])[-1]
        self._width = graph.shape_of(f"{self._layer(0)}mlp.fc1.bias")[0]
        self.tensors: dict[str, tuple[tuple[int, ...], Source]] = {}
        self._add_embeddings()
        layers = self._num_layers()
        for layer in range(layers):
            self._add_layer(layer)
        for name in ("layernorm.weight", "layernorm.bias"):
            self._add(name, (self._channels,))
        self.config = self._config(layers)

    def _layer(self, layer: int) -> str:
        return f"{self._prefix}encoder.layer.{layer}."

    def _num_layers(self) -> int:
        begin = f"{self._prefix}encoder.layer."
        numbers = {
            int(name.removeprefix(begin).split(".")[0])
            for name in self._graph.names()
            if name.startswith(begin)
        }
        return max(numbers) + 1

    def _add(self, name: str, shape: tuple[int, ...]) -> None:
        """A tensor that is stored under its own name."""
        stored = self._prefix + name
        found = self._graph.shape_of(stored)
        if found != shape:
            raise self._graph.refuse(f"{stored} has shape {found}, expected {shape}")
        self.tensors[name] = (shape, lambda: self._graph.values_of(stored))

    def _add_embeddings(self) -> None:
        channels = self._channels
        self._add(CLASS_TOKEN, (1, 1, channels))
        projection = "embeddings.patch_embeddings.projection."
        shape = self._graph.shape_of(f"{self._prefix}{projection}weight")
        if shape != (channels, 3, shape[-1], shape[-1]):
            raise self._graph.refuse(f"{projection}weight has shape {shape}, no square RGB patches")
        self.patch_size = shape[-1]
        self._add(f"{projection}weight", shape)
        self._add(f"{projection}bias", (channels,))
        # The exporter divides the positions into the class token's and the patches'.
        parts = {
            name: self._graph.shape_of(name)
            for name in self._graph.names()
            if name.startswith(RENAMED) and len(self._graph.shape_of(name)) == 3
        }
        if sorted(shape[1] == 1 for shape in parts.values()) != [False, True]:
            raise self._graph.refuse(
                f"found positions of shape {[*parts.values()]}, expected the class token's and the"
                " patches'"
            )
        first, patches = sorted(parts, key=lambda name: parts[name][1])
        count = parts[patches][1]
        if parts != {first: (1, 1, channels), patches: (1, count, channels)}:
            raise self._graph.refuse(
                f"positions have shape {[*parts.values()]} for {channels} channels"
            )
        self.grid = math.isqrt(count)
        if self.grid**2 != count:
            raise self._graph.refuse(f"{patches} has {count} positions, no square grid")

        def positions() -> np.ndarray:
            values = self._graph.values_of
            return np.concatenate([values(first), values(patches)], axis=1)

        self.tensors["embeddings.position_embeddings"] = ((1, 1 + count, channels), positions)

    def _add_layer(self, layer: int) -> None:
        sizes = {"C": self._channels, "F": self._width}
        begin = f"encoder.layer.{layer}."
        for name in LAYER_VECTORS:
            self._add(begin + name, (self._channels,))
        for name, letters in LAYER_LINEARS.items():
            outputs, inputs = (sizes[letter] for letter in letters)
            bias = f"{begin}{name}.bias"
            self._add(bias, (outputs,))
            stored = self._graph.linear_of(self._prefix + bias)
            found = self._graph.shape_of(stored)
            if found != (inputs, outputs):
                raise self._graph.refuse(
                    f"{stored}, the weight of {begin}{name}, has shape {found}, expected"
                    f" {(inputs, outputs)}"
                )
            self.tensors[f"{begin}{name}.weight"] = (
                (outputs, inputs),
                self._transposed(stored),
            )

    def _transposed(self, stored: str) -> Source:
        return lambda: self._graph.values_of(stored).T

    def _config(self, layers: int) -> dict[str, Any]:
        heads, head_width = self._graph.head_shape(
            f"{self._layer(0)}attention.attention.query.bias"
        )
        if heads * head_width != self._channels:
            raise self._graph.refuse(
                f"{heads} heads of width {head_width} do not make {self._channels} channels"
            )
        if self._width % self._channels != 0:
            raise self._graph.refuse(
                f"the feed-forward width {self._width} is no multiple of {self._channels} channels"
            )
        if not self._graph.has("Erf"):
            raise self._graph.refuse("expected the activation GELU made of Erf, found no Erf")
        return {
            "architectures": ["Dinov2Model"],
            "model_type": "dinov2",
            "hidden_size": self._channels,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "mlp_ratio": self._width // self._channels,
            "hidden_act": "gelu",
            "layer_norm_eps": self._graph.epsilon_of(f"{self._layer(0)}norm1.weight"),
            "image_size": self.grid * self.patch_size,
            "patch_size": self.patch_size,
            "num_channels": 3,
            "qkv_bias": True,
            "use_swiglu_ffn": False,
            "use_mask_token": False,  # it serves training only, and is not in the file
            "layerscale_value": 1.0,
            "drop_path_rate": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "hidden_dropout_prob": 0.0,
            "initializer_range": 0.02,
        }


def _backbone_of(graph: OnnxGraph) -> Backbone:
    try:
        return Backbone(graph)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise graph.refuse(f"its graph is not that of a DINOv2 as torch exports it: {reason}") from None


def convert(path: Path, directory: Path, dtype: str) -> list[str]:
    """Writes the checkpoint directory; returns the names of its weight files."""
    backbone = _backbone_of(OnnxGraph(path))
    tensors = [Tensor(name, shape) for name, (shape, _) in backbone.tensors.items()]
    with CheckpointWriter(directory, dtype) as writer:
        with tqdm(total=len(tensors), unit="tensor", desc=directory.name, disable=None) as progress:

            def chunks_of(tensor: Tensor) -> Iterator[bytes]:
                yield to_bytes(backbone.tensors[tensor.name][1](), dtype)
                progress.update()

            names = writer.write_tensors(tensors, SHARD_BYTES, chunks_of)
        writer.write_json("config.json", backbone.config | {"torch_dtype": dtype})
        writer.write_json("preprocessor_config.json", PREPROCESSOR)
    return names
