"""The architectures of GGUF with state spaces of Mamba's first kind: Mamba, Falcon Mamba, Jamba.

Each channel has a step of its own, of low rank. llama.cpp stores A = -exp(A_log), so that A_log is its
logarithm within a rounding, and the taps of a convolution without the axis of 1.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from preparation.gguf_decoders import (
    EMBEDDING,
    HEAD,
    KEYS,
    LAYER,
    constants,
    divided_width,
    experts,
    norm,
    product,
    projections,
)
from preparation.gguf_families import (
    DEFAULTS,
    VOCAB_SIZE,
    Family,
    TensorRow,
    UnknownFacts,
    in_layers,
    only,
    with_bias,
)
from preparation.gguf_fields import always
from preparation.gguf_layouts import Config, logarithm, with_channel_axis

RMS = "attention.layer_norm_rms_epsilon"
KEY_HEADS = "attention.head_count_kv"


def has_attention(config: Config, layer: int) -> bool:
    return bool(config["_key_heads"][layer])


def key_heads(config: Config) -> Config:
    """One number for the layers that attend; the others have 0."""
    found = {number for number in config["_key_heads"] if number}
    if len(found) != 1:
        raise UnknownFacts(f"{KEY_HEADS} has the numbers {sorted(found)}, expected one beside 0")
    return {"num_key_value_heads": found.pop()}


def expansion(config: Config, channels: int) -> int:
    """By which the channels of a state space are more."""
    if config["_inner"] % channels:
        raise UnknownFacts(f"ssm.inner_size is {config['_inner']}, expected a multiple of {channels}")
    return int(config["_inner"]) // channels


def selective(begin: str) -> tuple[TensorRow, ...]:
    """I channels, N states, K taps, R the rank of time steps."""
    return (
        product(f"{begin}.in_proj", "2I", "C"),
        *convolution(begin, "I"),
        product(f"{begin}.x_proj", "R2N", "I"),
        *with_bias(product(f"{begin}.dt_proj", "I", "R")),
        TensorRow(f"{begin}.A_log", ("I", "N"), logarithm),
        TensorRow(f"{begin}.D", ("I",)),
        product(f"{begin}.out_proj", "C", "I"),
    )


def convolution(begin: str, channels: str) -> tuple[TensorRow, ...]:
    return (
        TensorRow(
            f"{begin}.conv1d.weight", (channels, "1", "T"), with_channel_axis, stored_shape=(channels, "T")
        ),
        TensorRow(f"{begin}.conv1d.bias", (channels,)),
    )


def state_sizes(inner: int, states: int, taps: int, rank: int) -> dict[str, int]:
    return {"I": inner, "2I": 2 * inner, "N": states, "T": taps, "R": rank, "R2N": rank + 2 * states}


def mamba_facts(config: Config) -> Config:
    """FalconMamba is Mamba with norms, that have no weights, of time steps and of what writes and reads."""
    facts: Config = {"expand": expansion(config, config["hidden_size"])}
    if config["_has_norms"]:
        facts |= {"model_type": "falcon_mamba", "architectures": ["FalconMambaForCausalLM"]}
    return facts


MAMBA = Family(
    constants("mamba", "MambaForCausalLM", use_bias=False, use_conv_bias=True),
    {
        "hidden_size": "embedding_length", "num_hidden_layers": "block_count", "vocab_size": VOCAB_SIZE,
        "max_position_embeddings": "context_length", "layer_norm_epsilon": RMS, "_inner": "ssm.inner_size",
        "state_size": "ssm.state_size", "conv_kernel": "ssm.conv_kernel",
        "time_step_rank": "ssm.time_step_rank", "_has_norms": "ssm.dt_b_c_rms",
    },
    (
        TensorRow("backbone.embeddings.weight", ("V", "C")),
        *in_layers("backbone.layers.{l}.", norm("norm"), *selective("mixer")),
        norm("backbone.norm_f"),
        HEAD,
    ),
    derived=mamba_facts,
    defaults={"_has_norms": lambda config, fields: False},
    without_effect={"feed_forward_length": always(0), "attention.head_count": always(0)},
    names={"max_position_embeddings": ""},
    sizes=lambda config: state_sizes(
        config["_inner"], config["state_size"], config["conv_kernel"], config["time_step_rank"]
    ),
)  # fmt: skip


def period(layers: Sequence[int], count: int, what: str) -> tuple[int, int]:
    """Distance and first of layers that come at one distance, of so many."""
    if not layers:
        raise UnknownFacts(f"no layer has {what}")
    distance = layers[1] - layers[0] if len(layers) > 1 else max(count, layers[0] + 1)
    expected = [n for n in range(count) if n % distance == layers[0]]
    if list(layers) != expected:
        raise UnknownFacts(f"the layers {list(layers)} have {what}, expected one distance between them")
    return distance, layers[0]


def is_routed(config: Config, layer: int) -> bool:
    return layer in config["_routed"]


def is_gated(config: Config, layer: int) -> bool:
    return layer not in config["_routed"]


def has_states(config: Config, layer: int) -> bool:
    return not has_attention(config, layer)


def routed_layers(config: Config, tensors: Collection[str]) -> Config:
    layers = range(config["num_hidden_layers"])
    return {"_routed": [n for n in layers if f"blk.{n}.ffn_gate_inp.weight" in tensors]}


def jamba_facts(config: Config) -> Config:
    count = config["num_hidden_layers"]
    attending = [n for n in range(count) if has_attention(config, n)]
    facts = key_heads(config) | {"mamba_expand": expansion(config, config["hidden_size"])}
    facts["attn_layer_period"], facts["attn_layer_offset"] = period(attending, count, "attention")
    if config["num_experts"] > 1:
        found = period(config["_routed"], count, "experts")
        facts["expert_layer_period"], facts["expert_layer_offset"] = found
    return facts


def without(keys: dict[str, str], *names: str) -> dict[str, str]:
    return {key: name for key, name in keys.items() if key not in names}


JAMBA = Family(
    constants("jamba", "JambaForCausalLM"),
    without(KEYS, "num_key_value_heads", "rope_theta")
    | {"num_experts": "expert_count", "num_experts_per_tok": "expert_used_count"}
    | {"_inner": "ssm.inner_size", "mamba_d_state": "ssm.state_size", "mamba_d_conv": "ssm.conv_kernel"}
    | {"mamba_dt_rank": "ssm.time_step_rank"},
    (
        EMBEDDING,
        *in_layers(
            LAYER, norm("input_layernorm"), norm("pre_ff_layernorm"),
            *only(
                has_states, *selective("mamba"), norm("mamba.dt_layernorm", size="R"),
                norm("mamba.b_layernorm", size="N"), norm("mamba.c_layernorm", size="N"),
            ),
            *only(has_attention, *projections()),
            *only(
                is_gated, product("feed_forward.gate_proj", "F", "C"),
                product("feed_forward.up_proj", "F", "C"), product("feed_forward.down_proj", "C", "F"),
            ),
            *only(
                is_routed, TensorRow("feed_forward.router.weight", ("E", "C")),
                *experts("feed_forward.experts", "gate_proj", "up_proj", "down_proj"),
            ),
        ),
        norm("model.final_layernorm"),
        HEAD,
    ),
    derived=jamba_facts,
    defaults=DEFAULTS | {"num_experts": lambda config, fields: 1},
    fixed={"head_dim": divided_width},
    names={"head_dim": ""},
    layer_lists={"_key_heads": KEY_HEADS},
    from_tensors=routed_layers,
    sizes=lambda config: state_sizes(
        config["_inner"], config["mamba_d_state"], config["mamba_d_conv"], config["mamba_dt_rank"]
    ),
)  # fmt: skip


SELECTIVE: dict[str, Family] = {"jamba": JAMBA, "mamba": MAMBA}
