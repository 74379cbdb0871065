"""The architectures of GGUF with state spaces: Mamba, Jamba, Granite 4, Bamba, Falcon-H1.

llama.cpp stores A = -exp(A_log), so that A_log is its logarithm within a rounding; the taps of a convolution
without the axis of 1; and of Mamba-2 A and D as columns, its norm a row for each group.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from preparation.gguf_decoders import (
    GATED,
    GRANITE,
    HEAD,
    KEYS,
    TWO_NORMS,
    EMBEDDING,
    LAYER,
    constants,
    decoder,
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
    Part,
    TensorRow,
    UnknownFacts,
    in_layers,
    only,
    with_bias,
)
from preparation.gguf_fields import always
from preparation.gguf_fused import GRANITE_EXPERTS, GRANITE_SHARED, PERMUTED, granite_sizes, stacked
from preparation.gguf_layouts import Config, as_vector, logarithm, with_channel_axis

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


# Mamba's first kind: each channel has a step of its own, of low rank.


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

# Mamba's second kind: each head has a step, and groups of heads share what writes and reads.


def flat_logarithm(values: np.ndarray, config: Config) -> np.ndarray:
    return as_vector(logarithm(values, config), config)


def grouped_states(begin: str) -> tuple[TensorRow, ...]:
    """B channels that are convolved, A heads, G groups, W channels a group."""
    return (
        product(f"{begin}.in_proj", "IBA", "C"),
        *convolution(begin, "B"),
        TensorRow(f"{begin}.dt_bias", ("A",), known_as=f"{begin}.dt_proj.bias"),
        TensorRow(f"{begin}.A_log", ("A",), flat_logarithm, stored_shape=("A", "1")),
        TensorRow(f"{begin}.D", ("A",), as_vector, stored_shape=("A", "1")),
        TensorRow(f"{begin}.norm.weight", ("I",), as_vector, stored_shape=("groups", "I/groups")),
        product(f"{begin}.out_proj", "C", "I"),
    )


def grouped_sizes(config: Config) -> dict[str, int]:
    inner, heads, groups = config["_inner"], config["_state_heads"], config["_state_groups"]
    convolved = inner + 2 * groups * config["_states"]
    return {
        "I": inner,
        "T": config["_taps"],
        "A": heads,
        "B": convolved,
        "IBA": inner + convolved + heads,
        "groups": groups,
        "I/groups": inner // groups,
    }


GROUPED_KEYS = {
    "_inner": "ssm.inner_size", "_states": "ssm.state_size", "_taps": "ssm.conv_kernel",
    "_state_heads": "ssm.time_step_rank", "_state_groups": "ssm.group_count",
}  # fmt: skip


def state_facts(config: Config) -> Config:
    """Under the names of Granite, Bamba and Falcon-H1."""
    return {
        "mamba_n_heads": config["_state_heads"],
        "mamba_d_head": expansion(config, config["_state_heads"]),
        "mamba_n_groups": config["_state_groups"],
        "mamba_d_state": config["_states"],
        "mamba_d_conv": config["_taps"],
    }


def mamba2_facts(config: Config) -> Config:
    """Where all heads have a multiple of the model's channels."""
    return {**state_facts(config), "mamba_expand": expansion(config, config["hidden_size"])}


def granite_facts(config: Config) -> Config:
    kinds = ["attention" if number else "mamba" for number in config["_key_heads"]]
    return {**mamba2_facts(config), **key_heads(config), "layer_types": kinds}


GRANITE_MIXERS = (*only(has_states, *grouped_states("mamba")), *only(has_attention, *PERMUTED))
GRANITE_HYBRID = replace(
    GRANITE,
    config_constants=constants(
        "granitemoehybrid", "GraniteMoeHybridForCausalLM", attention_bias=False,
        position_embedding_type="nope",
    ),
    config_keys=without(GRANITE.config_keys, "num_key_value_heads", "head_dim")
    | {"head_dim": "attention.key_length", "shared_intermediate_size": "expert_shared_feed_forward_length"}
    | {"num_local_experts": "expert_count", "num_experts_per_tok": "expert_used_count", **GROUPED_KEYS},
    tensor_rows=decoder(*TWO_NORMS, *GRANITE_MIXERS, *GRANITE_EXPERTS, *GRANITE_SHARED),
    derived=granite_facts,
    without_effect={
        "rope.dimension_count": None, "rope.scaling.finetuned": always(False),
    },
    flags={},
    layer_lists={"_key_heads": KEY_HEADS},
    sizes=lambda config: granite_sizes(config) | grouped_sizes(config),
)  # fmt: skip
DENSE_SHARED = (
    TensorRow(
        "shared_mlp.input_linear.weight", ("2S", "C"), join=stacked,
        parts=(Part("mlp.gate_proj.weight", ("S", "C")), Part("mlp.up_proj.weight", ("S", "C"))),
    ),
    TensorRow("shared_mlp.output_linear.weight", ("C", "S"), known_as="mlp.down_proj.weight"),
)  # fmt: skip
GRANITE_HYBRID_DENSE = replace(
    GRANITE_HYBRID,
    config_constants=GRANITE_HYBRID.config_constants | {"num_local_experts": 0, "num_experts_per_tok": 0},
    config_keys=without(GRANITE_HYBRID.config_keys, "num_local_experts", "num_experts_per_tok"),
    tensor_rows=decoder(*TWO_NORMS, *GRANITE_MIXERS, *DENSE_SHARED),
)


def bamba_facts(config: Config) -> Config:
    attending = [n for n, number in enumerate(config["_key_heads"]) if number]
    share = config["rotary_width"] / config["head_dim"]
    return {
        **mamba2_facts(config), **key_heads(config), "attn_layer_indices": attending,
        "partial_rotary_factor": share,
    }  # fmt: skip


FEED_FORWARD = tuple(
    replace(row, name=row.name.replace("mlp", "feed_forward"), known_as=row.name) for row in GATED
)
BAMBA = Family(
    constants("bamba", "BambaForCausalLM", attention_bias=False, mlp_bias=False),
    without(KEYS, "num_key_value_heads") | {"rotary_width": "rope.dimension_count"} | GROUPED_KEYS,
    (
        EMBEDDING,
        *in_layers(
            LAYER, norm("input_layernorm"), norm("pre_ff_layernorm"), *GRANITE_MIXERS, *FEED_FORWARD
        ),
        norm("model.final_layernorm"),
        HEAD,
    ),
    derived=bamba_facts,
    defaults=DEFAULTS,
    without_effect={"rope.scaling.finetuned": always(True)},
    fixed={"head_dim": divided_width},
    names={"head_dim": "", "rotary_width": ""},
    layer_lists={"_key_heads": KEY_HEADS},
    sizes=grouped_sizes,
)  # fmt: skip


# llama.cpp multiplies the weights by Falcon-H1's factors, so that here all of them are 1, and has no norm
# before the gate.
FALCON_H1 = Family(
    constants(
        "falcon_h1", "FalconH1ForCausalLM", attention_bias=False, mlp_bias=False, mamba_proj_bias=False,
        projectors_bias=False, mamba_norm_before_gate=False,
    ),
    KEYS | GROUPED_KEYS,
    (
        EMBEDDING,
        *in_layers(
            LAYER, norm("input_layernorm"), norm("pre_ff_layernorm"), *projections(), *FEED_FORWARD,
            *(replace(row, optional=".norm." in row.name) for row in grouped_states("mamba")),
        ),
        norm("model.final_layernorm"),
        HEAD,
    ),
    derived=lambda config: {**state_facts(config), "mamba_d_ssm": config["_inner"]},
    defaults=DEFAULTS,
    flags={"mamba_rms_norm": "model.layers.0.mamba.norm.weight"},
    sizes=grouped_sizes,
)  # fmt: skip


STATES: dict[str, Family] = {
    "falcon-h1": FALCON_H1,
    "granitehybrid": GRANITE_HYBRID,
    "jamba": JAMBA,
    "mamba": MAMBA,
}
