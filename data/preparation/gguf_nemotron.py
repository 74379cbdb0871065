"""Nemotron-H in GGUF: one branch in each layer, a state space, attention, an MLP or experts."""

from __future__ import annotations

from dataclasses import replace

from preparation.gguf_decoders import HEAD, KEYS, LAYER, constants, norm, product, projections
from preparation.gguf_families import DEFAULTS, Family, TensorRow, UnknownFacts, in_layers, only, optional
from preparation.gguf_fields import NEXT_LAYERS, always
from preparation.gguf_grouped_states import GROUPED_KEYS, grouped_sizes, grouped_states
from preparation.gguf_layouts import Config
from preparation.gguf_routed import ROUTED_DEFAULTS, SIGMOID
from preparation.gguf_states import KEY_HEADS, RMS, expansion, has_attention, key_heads, without


def is_mlp(config: Config, layer: int) -> bool:
    return bool(config["_widths"][layer])


def is_mixed(config: Config, layer: int) -> bool:
    return not is_mlp(config, layer) and not has_attention(config, layer)


def nemotron_facts(config: Config) -> Config:
    """One branch in each layer."""
    widths = {width for width in config["_widths"] if width}
    if len(widths) != 1:
        found = f"feed_forward_length has the numbers {sorted(widths)}"
        raise UnknownFacts(f"{found}, expected one beside 0")
    layers = range(config["num_hidden_layers"])
    kind = "moe" if "n_routed_experts" in config else "mlp"
    kinds = [
        kind if is_mlp(config, n) else "attention" if has_attention(config, n) else "mamba" for n in layers
    ]
    return {
        **key_heads(config),
        "intermediate_size": widths.pop(),
        "layers_block_type": kinds,
        "mamba_num_heads": config["_state_heads"],
        "mamba_head_dim": expansion(config, config["_state_heads"]),
        "n_groups": config["_state_groups"],
        "ssm_state_size": config["_states"],
        "conv_kernel": config["_taps"],
    }


NEMOTRON_LAYER = "backbone.layers.{l}."


def of_mixer(*rows: TensorRow) -> tuple[TensorRow, ...]:
    return tuple(replace(row, name=row.name.replace("self_attn", "mixer")) for row in rows)


def nemotron_rows(*mlp: TensorRow) -> tuple[TensorRow, ...]:
    return (
        TensorRow("backbone.embeddings.weight", ("V", "C")),
        *in_layers(
            NEMOTRON_LAYER, norm("norm"), *only(is_mixed, *grouped_states("mixer")),
            *only(has_attention, *of_mixer(*projections())),
        ),
        *only(is_mlp, *mlp),
        norm("backbone.norm_f"),
        HEAD,
    )  # fmt: skip


NEMOTRON_H = Family(
    constants("nemotron_h", "NemotronHForCausalLM", use_bias=False, mlp_bias=False)
    | {"mlp_hidden_act": "relu2", "mamba_hidden_act": "silu", "use_conv_bias": True},
    without(KEYS, "num_key_value_heads", "intermediate_size", "rms_norm_eps", "rope_theta")
    | {"layer_norm_epsilon": RMS, **GROUPED_KEYS},
    nemotron_rows(
        *in_layers(NEMOTRON_LAYER, product("mixer.up_proj", "F", "C"), product("mixer.down_proj", "C", "F"))
    ),
    derived=nemotron_facts,
    defaults=DEFAULTS,
    without_effect={
        "rope.dimension_count": None, "rope.freq_base": None, "rope.scaling.finetuned": always(False),
    },
    layer_lists={"_key_heads": KEY_HEADS, "_widths": "feed_forward_length"},
    sizes=grouped_sizes,
)  # fmt: skip

NEMOTRON_EXPERTS = (
    *in_layers(
        NEMOTRON_LAYER,
        TensorRow("mixer.gate.weight", ("E", "C")),
        TensorRow(
            "mixer.gate.e_score_correction_bias", ("E",), known_as="mixer.gate.e_score_correction.bias"
        ),
        product("mixer.shared_experts.up_proj", "S", "C"),
        product("mixer.shared_experts.down_proj", "C", "S"),
        *optional(product("mixer.fc1_latent_proj", "Z", "C"), product("mixer.fc2_latent_proj", "C", "Z")),
    ),
    *(
        TensorRow(
            f"{NEMOTRON_LAYER}mixer.experts.{{e}}.{which}.weight", shape, count="E",
            known_as=f"{LAYER}mlp.experts.{which}.weight",
        )
        for which, shape in (("up_proj", ("X", "Z")), ("down_proj", ("Z", "X")))
    ),
)  # fmt: skip
NEMOTRON_H_MOE = replace(
    NEMOTRON_H,
    config_keys=NEMOTRON_H.config_keys
    | {"n_routed_experts": "expert_count", "num_experts_per_tok": "expert_used_count"}
    | {"moe_intermediate_size": "expert_feed_forward_length", "n_group": "expert_group_count"}
    | {"moe_shared_expert_intermediate_size": "expert_shared_feed_forward_length"}
    | {"n_shared_experts": "expert_shared_count", "topk_group": "expert_group_used_count"}
    | {"routed_scaling_factor": "expert_weights_scale", "norm_topk_prob": "expert_weights_norm"}
    | {"_next_layers": NEXT_LAYERS},
    tensor_rows=nemotron_rows(*NEMOTRON_EXPERTS),
    defaults=DEFAULTS | ROUTED_DEFAULTS,
    optional_keys={"moe_latent_size": "moe_latent_size"},
    without_effect=NEMOTRON_H.without_effect | {"expert_gating_func": always(0, SIGMOID)},
    sizes=lambda config: {
        **grouped_sizes(config),
        "E": config["n_routed_experts"],
        "S": config["moe_shared_expert_intermediate_size"],
        "Z": config.get("moe_latent_size", config["hidden_size"]),
    },
)

NEMOTRONS: dict[str, Family] = {"nemotron_h": NEMOTRON_H, "nemotron_h_moe": NEMOTRON_H_MOE}
