"""Gemma 4 in GGUF: norms as transformers has them, full layers with heads of their own sizes, experts beside
the MLP, vectors for each layer beside the embedding."""

from __future__ import annotations

from collections.abc import Collection

from preparation.gguf_decoders import GATED, RMS_EPSILON, decoder, norm, product
from preparation.gguf_families import (
    DEFAULTS,
    VOCAB_SIZE,
    Default,
    Family,
    TensorRow,
    UnknownFacts,
    Where,
    only,
)
from preparation.gguf_layouts import Config

FULL = "full_attention"


def is_full(config: Config, layer: int) -> bool:
    return bool(config["layer_types"][layer] == FULL)


def is_sliding(config: Config, layer: int) -> bool:
    return not is_full(config, layer)


def has_keys(config: Config, layer: int) -> bool:
    """The last layers take the keys and values of an earlier one of their kind."""
    return bool(layer < config["num_hidden_layers"] - config["num_kv_shared_layers"])


def has_values(config: Config, layer: int) -> bool:
    return has_keys(config, layer) and not (is_full(config, layer) and config["attention_k_eq_v"])


def both(*conditions: Where) -> Where:
    return lambda config, layer: all(condition(config, layer) for condition in conditions)


def attention(kind: Where, queries: str, keys: str, width: str) -> tuple[TensorRow, ...]:
    return (
        *only(
            kind, product("self_attn.q_proj", queries, "C"), norm("self_attn.q_norm", size=width),
            product("self_attn.o_proj", "C", queries),
        ),
        *only(
            both(kind, has_keys), product("self_attn.k_proj", keys, "C"), norm("self_attn.k_norm", size=width)
        ),
        *only(both(kind, has_values), product("self_attn.v_proj", keys, "C")),
    )  # fmt: skip


def is_narrow(config: Config, layer: int) -> bool:
    return bool(config["_widths"][layer] == config["intermediate_size"])


def is_wide(config: Config, layer: int) -> bool:
    return not is_narrow(config, layer)


def has_experts(config: Config, layer: int) -> bool:
    return bool(config["enable_moe_block"])


def has_layer_vectors(config: Config, layer: int) -> bool:
    return bool(config["hidden_size_per_layer_input"])


WIDE = (
    product("mlp.gate_proj", "2F", "C"),
    product("mlp.up_proj", "2F", "C"),
    product("mlp.down_proj", "C", "2F"),
)
EXPERTS = only(
    has_experts,
    TensorRow("router.proj.weight", ("E", "C")),
    TensorRow("router.scale", ("C",), known_as="router.proj.scale"),
    TensorRow("router.per_expert_scale", ("E",), known_as="experts.down_proj.scale"),
    TensorRow("experts.gate_up_proj", ("E", "2X", "C"), known_as="experts.gate_up_proj.weight"),
    TensorRow("experts.down_proj", ("E", "C", "X"), known_as="experts.down_proj.weight"),
    norm("post_feedforward_layernorm_1"),
    norm("pre_feedforward_layernorm_2"),
    norm("post_feedforward_layernorm_2"),
)
OF_LAYERS = only(
    has_layer_vectors,
    TensorRow("model.embed_tokens_per_layer.weight", ("V", "LY")),
    TensorRow("model.per_layer_model_projection.weight", ("LY", "C")),
    norm("model.per_layer_projection_norm", size="Y"),
)
IN_LAYER = only(
    has_layer_vectors,
    product("per_layer_input_gate", "Y", "C"),
    product("per_layer_projection", "C", "Y"),
    norm("post_per_layer_input_norm"),
)


def sizes(config: Config) -> dict[str, int]:
    """B the width of a full layer's heads, QB and KB its queries' and keys' rows, Y a layer's vector."""
    wide, layers = config["global_head_dim"], config["num_hidden_layers"]
    vector = config["hidden_size_per_layer_input"]
    return {
        "B": wide,
        "QB": config["num_attention_heads"] * wide,
        "KB": config["_full_key_heads"] * wide,
        "2X": 2 * config.get("moe_intermediate_size", 0),
        "Y": vector,
        "LY": layers * vector,
    }


def of_kind(config: Config, key: str, is_of_kind: Where, what: str) -> int:
    numbers = {config[key][n] for n in range(config["num_hidden_layers"]) if is_of_kind(config, n)}
    if len(numbers) != 1:
        raise UnknownFacts(f"its {what} layers have {sorted(numbers)} key/value heads, expected one number")
    return int(numbers.pop())


def seen(config: Config, tensors: Collection[str]) -> Config:
    """A model whose full layers take keys for values has no values there."""
    if LAYER_TYPES not in config:
        raise UnknownFacts("there is no field gemma4.attention.sliding_window_pattern")
    full = [n for n in range(config["num_hidden_layers"]) if is_full(config, n) and has_keys(config, n)]
    return {"attention_k_eq_v": not any(f"blk.{n}.attn_v.weight" in tensors for n in full)}


def widths(config: Config) -> Config:
    """Of MLPs: one, or twice as many in the layers that take an earlier one's keys."""
    narrow = min(config["_widths"])
    layers = range(config["num_hidden_layers"])
    doubled = [narrow if has_keys(config, n) else 2 * narrow for n in layers]
    if config["_widths"] not in ([narrow] * len(layers), doubled):
        raise UnknownFacts(f"feed_forward_length has other numbers than {narrow}, twice in shared layers")
    return {"intermediate_size": narrow, "use_double_wide_mlp": max(config["_widths"]) > narrow}


def facts(config: Config) -> Config:
    sliding = of_kind(config, "_key_heads", is_sliding, "sliding")
    full = of_kind(config, "_key_heads", is_full, "full")
    if full != sliding and not config["attention_k_eq_v"]:
        raise UnknownFacts(f"its full layers have {full} key/value heads and values, expected {sliding}")
    return {
        **widths(config),
        "num_key_value_heads": sliding,
        "num_global_key_value_heads": full if full != sliding else None,
        "_full_key_heads": full,
        "enable_moe_block": "num_experts" in config,
        "vocab_size_per_layer_input": config["vocab_size"],
        "_proportional": True,
    }


LAYER_TYPES = "layer_types"
NOTHING: dict[str, Default] = {
    "num_kv_shared_layers": lambda config, fields: 0,
    "hidden_size_per_layer_input": lambda config, fields: 0,
    "_sliding_theta": lambda config, fields: 10000.0,
}


def is_unused(config: Config, tensor: str) -> bool:
    """Keys and values of layers that take those of an earlier one: released models have them."""
    ends = ("attn_k.weight", "attn_k_norm.weight", "attn_v.weight")
    begin, layer, *_ = (*tensor.split("."), "", "")
    return begin == "blk" and tensor.endswith(ends) and not has_keys(config, int(layer))


GEMMA4 = Family(
    {
        "architectures": ["Gemma4ForCausalLM"],
        "model_type": "gemma4_text",
        "hidden_activation": "gelu_pytorch_tanh",
        "attention_bias": False,
        "final_logit_softcapping": None,
        "initializer_range": 0.02,
    },
    {
        "hidden_size": "embedding_length", "num_hidden_layers": "block_count", "vocab_size": VOCAB_SIZE,
        "num_attention_heads": "attention.head_count", "max_position_embeddings": "context_length",
        "global_head_dim": "attention.key_length", "head_dim": "attention.key_length_swa",
        "sliding_window": "attention.sliding_window", "num_kv_shared_layers": "attention.shared_kv_layers",
        "hidden_size_per_layer_input": "embedding_length_per_layer_input", **RMS_EPSILON,
        "rope_theta": "rope.freq_base", "_sliding_theta": "rope.freq_base_swa",
    },
    (
        *decoder(
            norm("input_layernorm"), norm("post_attention_layernorm"), norm("pre_feedforward_layernorm"),
            norm("post_feedforward_layernorm"), *attention(is_sliding, "Q", "K", "D"),
            *attention(is_full, "QB", "KB", "B"), *only(is_narrow, *GATED), *only(is_wide, *WIDE), *EXPERTS,
            *IN_LAYER, TensorRow("layer_scalar", ("1",), known_as="layer_scalar.weight"),
        ),
        *OF_LAYERS,
    ),
    derived=facts,
    defaults=DEFAULTS | NOTHING,
    optional_keys={
        LAYER_TYPES: "attention.sliding_window_pattern", "num_experts": "expert_count",
        "top_k_experts": "expert_used_count", "moe_intermediate_size": "expert_feed_forward_length",
        "final_logit_softcapping": "final_logit_softcapping",
    },
    without_effect={
        "attention.value_length": lambda config: (config["global_head_dim"],),
        "attention.value_length_swa": lambda config: (config["head_dim"],),
        "expert_feed_forward_length": lambda config: (0,),
        "rope.dimension_count": lambda config: (config["global_head_dim"],),
        "rope.dimension_count_swa": lambda config: (config["head_dim"],),
    },
    names={"rope_theta": ""},
    layer_lists={"_key_heads": "attention.head_count_kv", "_widths": "feed_forward_length"},
    from_tensors=seen,
    sizes=sizes,
    ignored=is_unused,
)  # fmt: skip
