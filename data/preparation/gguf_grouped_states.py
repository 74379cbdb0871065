"""The architectures of GGUF with state spaces of Mamba's second kind: Granite 4, Bamba, Falcon-H1.

Each head has a step, and groups of heads share what writes and reads. Beside what gguf_states.py says,
llama.cpp stores A and D as columns, and the norm as a row for each group.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from preparation.gguf_decoders import (
    EMBEDDING,
    GATED,
    GRANITE,
    HEAD,
    KEYS,
    LAYER,
    TWO_NORMS,
    constants,
    decoder,
    divided_width,
    norm,
    product,
    projections,
)
from preparation.gguf_families import DEFAULTS, Family, Part, TensorRow, in_layers, only
from preparation.gguf_fields import always
from preparation.gguf_fused import GRANITE_EXPERTS, GRANITE_SHARED, PERMUTED, granite_sizes, stacked
from preparation.gguf_layouts import Config, as_vector, logarithm
from preparation.gguf_states import (
    KEY_HEADS,
    convolution,
    expansion,
    has_attention,
    has_states,
    key_heads,
    without,
)


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

GROUPED: dict[str, Family] = {"falcon-h1": FALCON_H1, "granitehybrid": GRANITE_HYBRID}
