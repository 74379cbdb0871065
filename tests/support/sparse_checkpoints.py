"""Checkpoints of any size that take no room on the disk: headers, and holes for the weights.

The shape is that of Qwen3-MoE, whose experts' tensors stand alone.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BYTES = 2  # of a bfloat16
HEADS, KV_HEADS, HEAD_WIDTH = 4, 2, 16


@dataclass(frozen=True)
class SparseCheckpoint:
    layers: int
    experts: int
    channels: int
    expert_width: int
    vocabulary: int = 97

    def config(self) -> dict[str, object]:
        return {
            "model_type": "qwen3_moe",
            "decoder_sparse_step": 1,
            "head_dim": HEAD_WIDTH,
            "hidden_act": "silu",
            "hidden_size": self.channels,
            "intermediate_size": self.channels,
            "max_position_embeddings": 4096,
            "mlp_only_layers": [],
            "moe_intermediate_size": self.expert_width,
            "norm_topk_prob": True,
            "num_attention_heads": HEADS,
            "num_experts": self.experts,
            "num_experts_per_tok": min(8, self.experts),
            "num_hidden_layers": self.layers,
            "num_key_value_heads": KV_HEADS,
            "rms_norm_eps": 1e-06,
            "rope_theta": 1000000.0,
            "tie_word_embeddings": False,
            "vocab_size": self.vocabulary,
        }

    def shapes(self) -> Iterator[tuple[str, list[int]]]:
        channels, width = self.channels, self.expert_width
        yield "model.embed_tokens.weight", [self.vocabulary, channels]
        for layer in range(self.layers):
            name = f"model.layers.{layer}."
            yield f"{name}input_layernorm.weight", [channels]
            yield f"{name}post_attention_layernorm.weight", [channels]
            for part, heads in (("q", HEADS), ("k", KV_HEADS), ("v", KV_HEADS)):
                yield f"{name}self_attn.{part}_proj.weight", [heads * HEAD_WIDTH, channels]
            yield f"{name}self_attn.o_proj.weight", [channels, HEADS * HEAD_WIDTH]
            yield f"{name}self_attn.q_norm.weight", [HEAD_WIDTH]
            yield f"{name}self_attn.k_norm.weight", [HEAD_WIDTH]
            yield f"{name}mlp.gate.weight", [self.experts, channels]
            for expert in range(self.experts):
                own = f"{name}mlp.experts.{expert}."
                yield f"{own}gate_proj.weight", [width, channels]
                yield f"{own}up_proj.weight", [width, channels]
                yield f"{own}down_proj.weight", [channels, width]
        yield "model.norm.weight", [channels]
        yield "lm_head.weight", [self.vocabulary, channels]

    def tensors(self) -> int:
        return sum(1 for _ in self.shapes())

    def write(self, directory: Path, shards: int) -> Path:
        directory.mkdir(parents=True)
        (directory / "config.json").write_text(json.dumps(self.config()))
        shapes = list(self.shapes())
        weight_map = {}
        for part in range(shards):
            own = shapes[len(shapes) * part // shards : len(shapes) * (part + 1) // shards]
            file = f"model-{part + 1:05}-of-{shards:05}.safetensors"
            write_shard(directory / file, own)
            weight_map |= {name: file for name, _ in own}
        index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
        (directory / "model.safetensors.index.json").write_text(json.dumps(index))
        return directory


def write_shard(path: Path, shapes: list[tuple[str, list[int]]]) -> None:
    header, end = {}, 0
    for name, shape in shapes:
        begin = end
        elements = 1
        for length in shape:
            elements *= length
        end += elements * BYTES
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
