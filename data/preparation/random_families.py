"""The tensors of a family of transformers, by name and shape, from a config.json: an explicit
table.

In: the content of a config.json. Out: the list of tensors in module order, each with how it is
initialised. Refuses a model_type that is not in FAMILIES and a config without a key that a shape
needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from preparation.checkpoint_writer import Tensor
from preparation.errors import MODEL, PreparationError

Config = dict[str, Any]

NORMAL = "normal"  # normal(0, initializer_range)
ONES = "ones"


@dataclass(frozen=True)
class TensorRow:
    """One kind of tensor, where config[`where`] is true or always; shapes name `sizes_of`. A name
    with "{e}" is there once for each expert."""

    name: str
    shape: tuple[str, ...]
    values: str = NORMAL
    where: str | None = None


@dataclass(frozen=True)
class Family:
    """One model_type of transformers."""

    architecture: str
    layer_rows: tuple[TensorRow, ...]  # names behind "model.layers.{l}."
    defaults: Config  # keys that transformers fills in; a missing key that is not here is refused
    needs: tuple[str, ...] = ()  # keys beside REQUIRED_KEYS


@dataclass(frozen=True)
class RandomTensor:
    tensor: Tensor
    values: str


ATTENTION_WEIGHTS = (
    TensorRow("self_attn.q_proj.weight", ("Q", "C")),
    TensorRow("self_attn.k_proj.weight", ("K", "C")),
    TensorRow("self_attn.v_proj.weight", ("K", "C")),
    TensorRow("self_attn.o_proj.weight", ("C", "Q")),
)

NORM_WEIGHTS = (
    TensorRow("input_layernorm.weight", ("C",), ONES),
    TensorRow("post_attention_layernorm.weight", ("C",), ONES),
)

BLOCK_WEIGHTS = (
    *ATTENTION_WEIGHTS,
    TensorRow("mlp.gate_proj.weight", ("F", "C")),
    TensorRow("mlp.up_proj.weight", ("F", "C")),
    TensorRow("mlp.down_proj.weight", ("C", "F")),
    *NORM_WEIGHTS,
)

EXPERT_WEIGHTS = (
    TensorRow("block_sparse_moe.gate.weight", ("E", "C")),
    TensorRow("block_sparse_moe.experts.{e}.w1.weight", ("F", "C")),
    TensorRow("block_sparse_moe.experts.{e}.w2.weight", ("C", "F")),
    TensorRow("block_sparse_moe.experts.{e}.w3.weight", ("F", "C")),
)

LLAMA_BIASES = (
    TensorRow("self_attn.q_proj.bias", ("Q",), where="attention_bias"),
    TensorRow("self_attn.k_proj.bias", ("K",), where="attention_bias"),
    TensorRow("self_attn.v_proj.bias", ("K",), where="attention_bias"),
    TensorRow("self_attn.o_proj.bias", ("C",), where="attention_bias"),
    TensorRow("mlp.gate_proj.bias", ("F",), where="mlp_bias"),
    TensorRow("mlp.up_proj.bias", ("F",), where="mlp_bias"),
    TensorRow("mlp.down_proj.bias", ("C",), where="mlp_bias"),
)

QWEN2_BIASES = (
    TensorRow("self_attn.q_proj.bias", ("Q",)),
    TensorRow("self_attn.k_proj.bias", ("K",)),
    TensorRow("self_attn.v_proj.bias", ("K",)),
)

FAMILIES: dict[str, Family] = {
    "llama": Family(
        "LlamaForCausalLM",
        BLOCK_WEIGHTS + LLAMA_BIASES,
        {"attention_bias": False, "mlp_bias": False, "tie_word_embeddings": False},
    ),
    "mistral": Family("MistralForCausalLM", BLOCK_WEIGHTS, {"tie_word_embeddings": False}),
    "mixtral": Family(
        "MixtralForCausalLM",
        ATTENTION_WEIGHTS + EXPERT_WEIGHTS + NORM_WEIGHTS,
        {"tie_word_embeddings": False},
        needs=("num_local_experts", "num_experts_per_tok"),
    ),
    "qwen2": Family(
        "Qwen2ForCausalLM", BLOCK_WEIGHTS + QWEN2_BIASES, {"tie_word_embeddings": False}
    ),
}

REQUIRED_KEYS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
)


def sizes_of(config: Config) -> dict[str, int]:
    """C channels, Q and K rows of queries and keys, F feed-forward width, E experts."""
    head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    return {
        "C": config["hidden_size"],
        "F": config["intermediate_size"],
        "Q": config["num_attention_heads"] * head_dim,
        "K": config["num_key_value_heads"] * head_dim,
        "E": config.get("num_local_experts", 0),
    }


def family_of(path: str, config: Config) -> Family:
    model_type = config.get("model_type")
    if model_type not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise PreparationError(
            MODEL, f'{path}: model_type "{model_type}" is not known (known: {known})'
        )
    for key in REQUIRED_KEYS + FAMILIES[model_type].needs:
        value = config.get(key)
        if not isinstance(value, int) or value < 1:
            raise PreparationError(
                MODEL, f"{path}: {key} is {value!r}, expected a positive integer"
            )
    return FAMILIES[model_type]


def names_of(row: TensorRow, experts: int) -> list[str]:
    if "{e}" not in row.name:
        return [row.name]
    return [row.name.replace("{e}", str(expert)) for expert in range(experts)]


def tensors_of(path: str, config: Config) -> list[RandomTensor]:
    """Every tensor of the model, in module order."""
    family = family_of(path, config)
    config = family.defaults | config
    sizes = sizes_of(config)
    embedding_shape = (config["vocab_size"], config["hidden_size"])
    tensors = [RandomTensor(Tensor("model.embed_tokens.weight", embedding_shape), NORMAL)]
    for layer in range(config["num_hidden_layers"]):
        for row in family.layer_rows:
            if row.where is None or config[row.where]:
                shape = tuple(sizes[name] for name in row.shape)
                tensors += [
                    RandomTensor(Tensor(f"model.layers.{layer}.{name}", shape), row.values)
                    for name in names_of(row, sizes["E"])
                ]
    tensors.append(RandomTensor(Tensor("model.norm.weight", (config["hidden_size"],)), ONES))
    if not config["tie_word_embeddings"]:
        tensors.append(RandomTensor(Tensor("lm_head.weight", embedding_shape), NORMAL))
    return tensors
