"""The architectures of GGUF whose layers mix tokens by a delta rule or a short convolution: Qwen3-Next,
Qwen3.5, LFM2.

Of a delta rule llama.cpp stores A = -exp(A_log), norms that multiply by 1 + w with the 1 added, and Qwen3.5's
value heads in the order of their places behind a key head; transformers has those of a key head together.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from preparation.gguf_decoders import (
    EMBEDDING,
    EXPERT_KEYS,
    GATED,
    HEAD,
    KEYS,
    LAYER,
    QWEN2_MOE,
    constants,
    decoder,
    divided_width,
    norm,
    product,
    projections,
    rotary_share,
)
from preparation.gguf_families import DEFAULTS, Default, Family, Part, TensorRow, in_layers, only
from preparation.gguf_layouts import Config, Layout, logarithm, with_channel_axis, without_one
from preparation.gguf_states import KEY_HEADS, RMS, has_attention, has_states, key_heads, without

DELTA_KEYS = {
    "linear_conv_kernel_dim": "ssm.conv_kernel", "linear_key_head_dim": "ssm.state_size",
    "linear_num_key_heads": "ssm.group_count", "linear_num_value_heads": "ssm.time_step_rank",
    "_inner": "ssm.inner_size", "_interval": "full_attention_interval",
    "rotary_width": "rope.dimension_count", "_next_layers": "nextn_predict_layers",
}  # fmt: skip
DELTA_DEFAULTS: dict[str, Default] = {
    "_interval": lambda config, fields: 4,
    "_next_layers": lambda config, fields: 0,
}


def is_full(config: Config, layer: int) -> bool:
    return bool((layer + 1) % config["_interval"] == 0)


def is_linear(config: Config, layer: int) -> bool:
    return not is_full(config, layer)


def delta_facts(config: Config) -> Config:
    layers = range(config["num_hidden_layers"])
    return {
        **rotary_share(config),
        "linear_value_head_dim": config["_inner"] // config["linear_num_value_heads"],
        "layer_types": ["full_attention" if is_full(config, n) else "linear_attention" for n in layers],
    }


def delta_sizes(config: Config) -> dict[str, int]:
    """I rows of values, U of queries, keys and values, A and W the value heads and their width."""
    keys = config["linear_num_key_heads"] * config["linear_key_head_dim"]
    inner, heads = config["_inner"], config["linear_num_value_heads"]
    return {
        "2Q": 2 * config["num_attention_heads"] * config["head_dim"],
        "I": inner,
        "U": 2 * keys + inner,
        "UI": 2 * keys + 2 * inner,
        "A": heads,
        "2A": 2 * heads,
        "W": inner // heads,
        "T": config["linear_conv_kernel_dim"],
    }


def by_key_heads(parts: list[np.ndarray], config: Config) -> np.ndarray:
    """Rows of all queries, keys and values, and of all gates -> for each key head its own four."""
    mixed, gates = parts
    heads, rest = config["linear_num_key_heads"], mixed.shape[1:]
    keys = heads * config["linear_key_head_dim"]
    kinds = (*np.split(mixed, [keys, 2 * keys]), gates)
    return np.concatenate([rows.reshape(heads, -1, *rest) for rows in kinds], axis=1).reshape(-1, *rest)


def together(values: np.ndarray, config: Config) -> np.ndarray:
    """Value heads [place, key head, …] -> [key head, place, …]."""
    heads, keys = config["linear_num_value_heads"], config["linear_num_key_heads"]
    found = values.reshape(heads // keys, keys, -1, *values.shape[1:])
    return found.swapaxes(0, 1).reshape(values.shape)


def columns_together(values: np.ndarray, config: Config) -> np.ndarray:
    return together(values.T, config).T


def values_together(values: np.ndarray, config: Config) -> np.ndarray:
    """The values' rows, behind those of queries and keys."""
    begin = 2 * config["linear_num_key_heads"] * config["linear_key_head_dim"]
    return np.concatenate([values[:begin], together(values[begin:], config)])


def both(first: Layout, then: Layout) -> Layout:
    return lambda values, config: then(first(values, config), config)


SHIFTED = (
    norm("input_layernorm", without_one),
    norm("post_attention_layernorm", without_one),
)
GATED_ATTENTION = (
    product("self_attn.q_proj", "2Q", "C"),
    *projections()[1:],
    norm("self_attn.q_norm", without_one, "D"),
    norm("self_attn.k_norm", without_one, "D"),
)


def delta_rows(heads: Layout, taps: Layout, outputs: Layout) -> tuple[TensorRow, ...]:
    """Those of both generations, with the layouts of value heads."""
    return (
        TensorRow("linear_attn.conv1d.weight", ("U", "1", "T"), taps, stored_shape=("U", "T")),
        TensorRow("linear_attn.A_log", ("A",), both(heads, logarithm)),
        TensorRow("linear_attn.dt_bias", ("A",), heads, known_as="linear_attn.dt_proj.bias"),
        norm("linear_attn.norm", size="W"),
        product("linear_attn.out_proj", "C", "I", outputs),
    )


def unchanged(values: np.ndarray, config: Config) -> np.ndarray:
    return values


def is_split(config: Config, layer: int) -> bool:
    return is_linear(config, layer) and bool(config["_is_split"])


def is_whole(config: Config, layer: int) -> bool:
    return is_linear(config, layer) and not config["_is_split"]


NEXT_DELTA = (
    *only(
        is_split,
        TensorRow(
            "linear_attn.in_proj_qkvz.weight", ("UI", "C"), join=by_key_heads,
            parts=(
                Part("linear_attn.in_proj_qkv.weight", ("U", "C")),
                Part("linear_attn.in_proj_z.weight", ("I", "C")),
            ),
        ),
    ),
    *only(is_whole, product("linear_attn.in_proj_qkvz", "UI", "C")),
    *only(
        is_linear, product("linear_attn.in_proj_ba", "2A", "C"),
        *delta_rows(unchanged, with_channel_axis, unchanged),
    ),
)  # fmt: skip
QWEN35_DELTA = only(
    is_linear,
    product("linear_attn.in_proj_qkv", "U", "C", values_together),
    product("linear_attn.in_proj_z", "I", "C", together),
    product("linear_attn.in_proj_b", "A", "C", together),
    product("linear_attn.in_proj_a", "A", "C", together),
    *delta_rows(together, both(values_together, with_channel_axis), columns_together),
)
# Qwen2's router, experts and shared expert, behind its norms and attention.
SHARING_EXPERTS = tuple(
    row for row in QWEN2_MOE.tensor_rows if ".mlp." in row.name
)  # with the whole name of a layer


def is_split_file(config: Config, tensors: Collection[str]) -> Config:
    return {"_is_split": any(name.endswith("attn_gate.weight") for name in tensors)}


def delta_family(
    model_type: str, architecture: str, delta: tuple[TensorRow, ...], mlp: tuple[TensorRow, ...]
) -> Family:
    """`mlp`: rows with the whole name of a layer."""
    has_experts = mlp is SHARING_EXPERTS
    more: Config = {"norm_topk_prob": True} if has_experts else {}
    if model_type == "qwen3_next":
        more |= {"decoder_sparse_step": 1, "mlp_only_layers": []}
    keys = {key: QWEN2_MOE.config_keys[key] for key in EXPERT_FACTS} if has_experts else {}
    return Family(
        constants(model_type, architecture, attention_bias=False, **more),
        (without(KEYS, "intermediate_size") if has_experts else KEYS) | keys | DELTA_KEYS,
        (
            EMBEDDING,
            *in_layers(LAYER, *SHIFTED, *only(is_full, *GATED_ATTENTION), *delta),
            *mlp,
            norm("model.norm", without_one),
            HEAD,
        ),
        derived=delta_facts,
        defaults=DEFAULTS | DELTA_DEFAULTS,
        without_effect={"rope.dimension_sections": None, "feed_forward_length": None}
        if has_experts
        else {"rope.dimension_sections": None},
        names={"rotary_width": ""},
        from_tensors=is_split_file,
        sizes=delta_sizes,
    )


EXPERT_FACTS = (*EXPERT_KEYS, "moe_intermediate_size", "shared_expert_intermediate_size")
DENSE = in_layers(LAYER, *GATED)
QWEN3_NEXT = delta_family("qwen3_next", "Qwen3NextForCausalLM", NEXT_DELTA, SHARING_EXPERTS)
QWEN35 = delta_family("qwen3_5_text", "Qwen3_5ForCausalLM", QWEN35_DELTA, DENSE)
QWEN35_MOE = delta_family(
    "qwen3_5_moe_text", "Qwen3_5MoeForCausalLM", QWEN35_DELTA, SHARING_EXPERTS
)


def lfm2_facts(config: Config) -> Config:
    kinds = ["full_attention" if number else "conv" for number in config["_key_heads"]]
    return {**key_heads(config), "layer_types": kinds}


LFM2 = Family(
    constants("lfm2", "Lfm2ForCausalLM", conv_bias=False, block_auto_adjust_ff_dim=False),
    without(KEYS, "num_key_value_heads", "rms_norm_eps")
    | {"norm_eps": RMS, "conv_L_cache": "shortconv.l_cache"},
    decoder(
        norm("operator_norm"), norm("ffn_norm"),
        *only(
            has_states,
            TensorRow("conv.conv.weight", ("C", "1", "T"), with_channel_axis, stored_shape=("C", "T")),
            product("conv.in_proj", "3C", "C"), product("conv.out_proj", "C", "C"),
        ),
        *only(
            has_attention, *projections()[:-1], product("self_attn.out_proj", "C", "Q"),
            norm("self_attn.q_layernorm", size="D"), norm("self_attn.k_layernorm", size="D"),
        ),
        product("feed_forward.w1", "F", "C"), product("feed_forward.w3", "F", "C"),
        product("feed_forward.w2", "C", "F"), final=norm("model.embedding_norm"),
    ),
    derived=lfm2_facts,
    defaults=DEFAULTS,
    fixed={"head_dim": divided_width},
    names={"head_dim": ""},
    layer_lists={"_key_heads": KEY_HEADS},
    sizes=lambda config: {"T": config["conv_L_cache"]},
)  # fmt: skip

MIXERS: dict[str, Family] = {
    "lfm2": LFM2,
    "qwen35": QWEN35,
    "qwen35moe": QWEN35_MOE,
    "qwen3next": QWEN3_NEXT,
}
