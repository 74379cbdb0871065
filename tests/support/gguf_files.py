"""GGUF files as llama.cpp's converter writes them, of random models of transformers: what the tests of
data/prepare_model.py gguf share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf import GGUFValueType
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

Changes = Mapping[str, Any]  # key -> another value, (value, type), or None for none

TOKENS = ["<s>", "</s>", "a", "b", "ab", "!!"]
TOKENIZER: dict[str, Any] = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": TOKENS,
    "tokenizer.ggml.token_type": [3, 3, 1, 1, 1, 4],
    "tokenizer.ggml.merges": ["a b"],
    "tokenizer.ggml.bos_token_id": 0,
    "tokenizer.ggml.eos_token_id": 1,
}
SIZES = {
    "vocab_size": len(TOKENS), "hidden_size": 24, "intermediate_size": 20, "num_hidden_layers": 2,
    "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 8, "rms_norm_eps": 1e-5,
    "max_position_embeddings": 64, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": None,
}  # fmt: skip

# llama.cpp's name in a block -> transformers'.
LLAMA_TENSORS = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}  # fmt: skip
GEMMA_TENSORS = LLAMA_TENSORS | {
    "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
    "post_attention_norm": "post_attention_layernorm", "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}  # fmt: skip


def randomised(model: PreTrainedModel) -> PreTrainedModel:
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            mean = 1.0 if "norm" in name and "gemma" not in model.config.model_type else 0.0
            weight.copy_(mean + 0.3 * torch.randn(weight.shape, generator=generator))
    return model.eval()


def llama(**changes: Any) -> PreTrainedModel:
    return randomised(LlamaForCausalLM(LlamaConfig(**SIZES | changes)))


def gemma3(**changes: Any) -> PreTrainedModel:
    sizes = SIZES | {"sliding_window": 5, "query_pre_attn_scalar": 8, "num_hidden_layers": 7}
    return randomised(Gemma3ForCausalLM(Gemma3TextConfig(**sizes | changes)))


def fields_of(model: PreTrainedModel) -> dict[str, Any]:
    """As the converter of llama.cpp writes them."""
    config = model.config
    begin = {"llama": "llama", "gemma3_text": "gemma3"}[config.model_type]
    fields = {
        "general.architecture": begin,
        f"{begin}.block_count": config.num_hidden_layers,
        f"{begin}.context_length": config.max_position_embeddings,
        f"{begin}.embedding_length": config.hidden_size,
        f"{begin}.feed_forward_length": config.intermediate_size,
        f"{begin}.attention.head_count": config.num_attention_heads,
        f"{begin}.attention.head_count_kv": config.num_key_value_heads,
        f"{begin}.attention.layer_norm_rms_epsilon": config.rms_norm_eps,
        f"{begin}.attention.key_length": config.head_dim,
        f"{begin}.attention.value_length": config.head_dim,
        f"{begin}.rope.freq_base": 1e6 if begin == "gemma3" else 1e4,
        f"{begin}.vocab_size": config.vocab_size,
        **TOKENIZER,
    }
    if begin == "llama":
        fields["llama.rope.dimension_count"] = config.head_dim
    else:
        fields["gemma3.attention.sliding_window"] = config.sliding_window
    return fields


def tensors_of(model: PreTrainedModel) -> dict[str, np.ndarray]:
    """As the converter of llama.cpp writes them."""
    config, state = model.config, {name: w.numpy() for name, w in model.state_dict().items()}
    is_gemma = config.model_type != "llama"
    names = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}
    if not config.tie_word_embeddings:
        names["output"] = "lm_head"
    for layer in range(config.num_hidden_layers):
        for stored, name in (GEMMA_TENSORS if is_gemma else LLAMA_TENSORS).items():
            names[f"blk.{layer}.{stored}"] = f"model.layers.{layer}.{name}"
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    tensors = {}
    for stored, name in names.items():
        values = state[f"{name}.weight"]
        if is_gemma and "norm" in stored:
            values = values + np.float32(1)
        elif not is_gemma and stored.split(".")[-1] in heads:
            head_rows = values.reshape(heads[stored.split(".")[-1]], 2, -1, values.shape[1])
            values = head_rows.swapaxes(1, 2).reshape(values.shape)
        tensors[f"{stored}.weight"] = values
    return tensors


def write_value(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    if isinstance(value, tuple):
        writer.add_key_value(key, *value)
    elif isinstance(value, list):
        writer.add_array(key, value)
    else:
        kinds = {
            bool: GGUFValueType.BOOL, int: GGUFValueType.UINT32, float: GGUFValueType.FLOAT32,
            str: GGUFValueType.STRING,
        }  # fmt: skip
        writer.add_key_value(key, value, kinds[type(value)])


def write_gguf(
    path: Path,
    model: PreTrainedModel,
    changes: Changes | None = None,
    tensors: Mapping[str, np.ndarray] | None = None,
    endianess: gguf.GGUFEndian = gguf.GGUFEndian.LITTLE,
) -> Path:
    """A GGUF file of a model, with other fields, or with these tensors of it."""
    fields = fields_of(model) | dict(changes or {})
    writer = gguf.GGUFWriter(path, fields.pop("general.architecture"), endianess=endianess)
    for key, value in fields.items():
        if value is not None:
            write_value(writer, key, value)
    for name, values in (tensors_of(model) if tensors is None else tensors).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
