"""The architectures of GGUF with dense layers and layers of routed experts: DeepSeek 2 and 3, GLM-4.5, …

How experts are scored (softmax, sigmoid) is the family's; `expert_gating_func` must agree.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from preparation.gguf_decoders import (
    GATED,
    HEAD_NORMS,
    KEYS,
    ROUTER,
    TWO_NORMS,
    constants,
    decoder,
    experts,
    norm,
    product,
    projections,
    rotary_share,
)
from preparation.gguf_families import DEFAULTS, Default, Family, Part, TensorRow, optional, only
from preparation.gguf_layouts import Config

SOFTMAX, SIGMOID = 1, 2  # values of expert_gating_func
ROUTED_KEYS = {
    "n_routed_experts": "expert_count",
    "num_experts_per_tok": "expert_used_count",
    "moe_intermediate_size": "expert_feed_forward_length",
    "n_shared_experts": "expert_shared_count",
    "first_k_dense_replace": "leading_dense_block_count",
    "routed_scaling_factor": "expert_weights_scale",
    "norm_topk_prob": "expert_weights_norm",
    "n_group": "expert_group_count",
    "topk_group": "expert_group_used_count",
    "_next_layers": "nextn_predict_layers",
}
ROUTED_DEFAULTS: dict[str, Default] = {
    "n_shared_experts": lambda config, fields: 0,
    "first_k_dense_replace": lambda config, fields: 0,
    "routed_scaling_factor": lambda config, fields: 1.0,
    "norm_topk_prob": lambda config, fields: False,
    "n_group": lambda config, fields: 1,
    "topk_group": lambda config, fields: 1,
    "_next_layers": lambda config, fields: 0,
}


def is_dense(config: Config, layer: int) -> bool:
    return bool(layer < config["first_k_dense_replace"])


def is_routed(config: Config, layer: int) -> bool:
    return not is_dense(config, layer)


def routed_sizes(config: Config) -> dict[str, int]:
    shared = config["n_shared_experts"] * config["moe_intermediate_size"]
    return {"E": config["n_routed_experts"], "S": shared}


def shared_expert(begin: str) -> tuple[TensorRow, ...]:
    return (
        product(f"{begin}.gate_proj", "S", "C"),
        product(f"{begin}.up_proj", "S", "C"),
        product(f"{begin}.down_proj", "C", "S"),
    )


EXPERTS = experts("mlp.experts", "gate_proj", "up_proj", "down_proj")
# What a sigmoid's scores are shifted by in choosing experts.
SHIFT = TensorRow(
    "mlp.gate.e_score_correction_bias", ("E",), known_as="mlp.gate.e_score_correction.bias"
)
SOFTMAX_LAYERS = (
    *only(is_dense, *GATED),
    *only(is_routed, ROUTER, *EXPERTS, *optional(*shared_expert("mlp.shared_experts"))),
)
SIGMOID_LAYERS = (*SOFTMAX_LAYERS, *only(is_routed, SHIFT))


def joined_latent(parts: list[np.ndarray], config: Config) -> np.ndarray:
    """k_b [H, R, N] and v_b [H, M, R] -> [H (N + M), R]: a head's keys and values out of the latent ones."""
    keys, values = parts
    return np.concatenate([keys.swapaxes(1, 2), values], axis=1).reshape(-1, keys.shape[1])


def has_query_rank(config: Config, layer: int) -> bool:
    return config["q_lora_rank"] is not None


def has_no_query_rank(config: Config, layer: int) -> bool:
    return config["q_lora_rank"] is None


def is_split(config: Config, layer: int) -> bool:
    """As llama.cpp's converter stores the latent projection since April 2025."""
    return bool(config["_is_split"])


def is_whole(config: Config, layer: int) -> bool:
    return not config["_is_split"]


LATENT_ATTENTION = (
    *only(has_no_query_rank, product("self_attn.q_proj", "HQ", "C")),
    *only(
        has_query_rank,
        product("self_attn.q_a_proj", "L", "C"),
        norm("self_attn.q_a_layernorm", size="L"),
        product("self_attn.q_b_proj", "HQ", "L"),
    ),
    product("self_attn.kv_a_proj_with_mqa", "RT", "C"),
    norm("self_attn.kv_a_layernorm", size="R"),
    *only(is_whole, product("self_attn.kv_b_proj", "HNM", "R")),
    *only(
        is_split,
        TensorRow(
            "self_attn.kv_b_proj.weight", ("HNM", "R"), join=joined_latent,
            parts=(
                Part("self_attn.k_b_proj.weight", ("H", "R", "N")),
                Part("self_attn.v_b_proj.weight", ("H", "M", "R")),
            ),
        ),
    ),
    product("self_attn.o_proj", "C", "HM"),
)  # fmt: skip


def latent_sizes(config: Config) -> dict[str, int]:
    """L and R ranks of queries, and of keys and values; T, N and M of a head's parts that are turned, that
    are not, and of its values."""
    heads, turned, value = config["num_attention_heads"], config["qk_rope_head_dim"], config["v_head_dim"]
    query, rank = config["_query_width"], config["kv_lora_rank"]
    return {
        **routed_sizes(config),
        "L": config["q_lora_rank"] or 0,
        "R": rank,
        "N": query - turned,
        "M": value,
        "RT": rank + turned,
        "HQ": heads * query,
        "HNM": heads * (query - turned + value),
        "HM": heads * value,
    }


def latent_facts(config: Config) -> Config:
    return {
        "qk_nope_head_dim": config["_query_width"] - config["qk_rope_head_dim"],
        "num_key_value_heads": config["num_attention_heads"],
    }


def grouped_facts(config: Config) -> Config:
    """DeepSeek-V2 chooses groups of experts where there are several; the Lite one has a single group."""
    method = "group_limited_greedy" if config["n_group"] > 1 else "greedy"
    return {**latent_facts(config), "topk_method": method}


def split_facts(config: Config, tensors: Collection[str]) -> Config:
    return {"_is_split": any(name.endswith("attn_k_b.weight") for name in tensors)}


def latent_yarn(log_multiplier: float, config: Config) -> Config:
    """llama.cpp's 0.1 of DeepSeek's `mscale_all_dim`; both read cosines and sines as unscaled."""
    if log_multiplier == 0:
        return {"attention_factor": 1.0}
    multiplier = round(10 * float(str(np.float32(log_multiplier))), 6)
    return {"mscale": multiplier, "mscale_all_dim": multiplier}


def latent(model_type: str, architecture: str, is_sigmoid: bool, **more: object) -> Family:
    keys = {
        **{key: name for key, name in KEYS.items() if key not in ("head_dim", "num_key_value_heads")},
        **ROUTED_KEYS,
        "kv_lora_rank": "attention.kv_lora_rank",
        "qk_rope_head_dim": "rope.dimension_count",
        "_query_width": "attention.key_length_mla",
        "v_head_dim": "attention.value_length_mla",
    }
    older: dict[str, Default] = {
        "_query_width": lambda config, fields: fields.get("attention.key_length"),
        "v_head_dim": lambda config, fields: fields.get("attention.value_length"),
    }
    return Family(
        constants(model_type, architecture, attention_bias=False, q_lora_rank=None, **more),
        keys,
        decoder(*TWO_NORMS, *LATENT_ATTENTION, *(SIGMOID_LAYERS if is_sigmoid else SOFTMAX_LAYERS)),
        derived=latent_facts if is_sigmoid else grouped_facts,
        defaults=DEFAULTS | ROUTED_DEFAULTS | older,
        optional_keys={"q_lora_rank": "attention.q_lora_rank"},
        without_effect={
            "attention.head_count_kv": lambda config: (1, config["num_attention_heads"]),
            "attention.key_length": lambda config: (
                config["_query_width"], config["kv_lora_rank"] + config["qk_rope_head_dim"]),
            "attention.value_length": lambda config: (config["v_head_dim"], config["kv_lora_rank"]),
            "expert_gating_func": lambda config: (SIGMOID,) if is_sigmoid else (0, SOFTMAX),
        },
        from_tensors=split_facts,
        sizes=latent_sizes,
        yarn=latent_yarn,
    )  # fmt: skip


DEEPSEEK_V2 = latent("deepseek_v2", "DeepseekV2ForCausalLM", is_sigmoid=False)
DEEPSEEK_V3 = latent("deepseek_v3", "DeepseekV3ForCausalLM", is_sigmoid=True, rope_interleave=True)

GLM4_MOE = Family(
    constants("glm4_moe", "Glm4MoeForCausalLM"),
    KEYS | ROUTED_KEYS | {"rotary_width": "rope.dimension_count"},
    decoder(*TWO_NORMS, *projections("optional")[:-1], *optional(*HEAD_NORMS), *SIGMOID_LAYERS),
    derived=rotary_share,
    defaults=DEFAULTS | ROUTED_DEFAULTS,
    without_effect={"expert_gating_func": lambda config: (SIGMOID,)},
    flags={
        "attention_bias": "model.layers.0.self_attn.q_proj.bias",
        "use_qk_norm": "model.layers.0.self_attn.q_norm.weight",
    },
    names={"rotary_width": ""},
    sizes=routed_sizes,
)
DOTS1 = Family(
    constants("dots1", "Dots1ForCausalLM", attention_bias=False, sliding_window=None),
    KEYS | ROUTED_KEYS,
    decoder(*TWO_NORMS, *projections(), *HEAD_NORMS, *SIGMOID_LAYERS),
    defaults=DEFAULTS | ROUTED_DEFAULTS,
    without_effect={"expert_gating_func": lambda config: (0, SIGMOID)},
    sizes=routed_sizes,
)


def is_ernie_routed(config: Config, layer: int) -> bool:
    starts = layer >= config["moe_layer_start_index"]
    return bool(starts and (layer + 1) % config["moe_layer_interval"] == 0)


def is_ernie_dense(config: Config, layer: int) -> bool:
    return not is_ernie_routed(config, layer)


ERNIE_MOE = Family(
    constants("ernie4_5_moe", "Ernie4_5_MoeForCausalLM", use_bias=False, moe_layer_end_index=-1),
    KEYS
    | {"moe_num_experts": "expert_count", "moe_k": "expert_used_count"}
    | {"moe_intermediate_size": "expert_feed_forward_length"}
    | {"moe_num_shared_experts": "expert_shared_count"}
    | {"moe_layer_start_index": "leading_dense_block_count"}
    | {"moe_layer_interval": "interleave_moe_layer_step"},
    decoder(
        *TWO_NORMS, *projections(), *only(is_ernie_dense, *GATED),
        *only(
            is_ernie_routed, ROUTER, *EXPERTS, *optional(*shared_expert("mlp.shared_experts")),
            TensorRow(
                "mlp.moe_statics.e_score_correction_bias", ("1", "E"),
                known_as="mlp.moe_statics.e_score_correction.bias",
            ),
        ),
    ),
    defaults=DEFAULTS
    | {
        "moe_num_shared_experts": lambda config, fields: 0,
        "moe_layer_start_index": lambda config, fields: 0,
        "moe_layer_interval": lambda config, fields: 1,
    },
    without_effect={
        "expert_gating_func": lambda config: (SOFTMAX,),
        # The converter's number, which no tensor has.
        "expert_shared_feed_forward_length": lambda config: (
            config["intermediate_size"] // config["num_key_value_heads"],
            config["moe_intermediate_size"] * config["moe_num_shared_experts"],
        ),
    },
    fixed={"head_dim": lambda config: config["hidden_size"] // config["num_attention_heads"]},
    names={"head_dim": ""},
    sizes=lambda config: {
        "E": config["moe_num_experts"],
        "S": config["moe_num_shared_experts"] * config["moe_intermediate_size"],
    },
)  # fmt: skip

MINIMAX_M2 = Family(
    constants("minimax_m2", "MiniMaxM2ForCausalLM"),
    KEYS
    | {"rotary_width": "rope.dimension_count", "num_local_experts": "expert_count"}
    | {"num_experts_per_tok": "expert_used_count"},
    decoder(
        *TWO_NORMS, *projections(), norm("self_attn.q_norm", size="Q"), norm("self_attn.k_norm", size="K"),
        TensorRow("block_sparse_moe.gate.weight", ("E", "C")),
        *experts("block_sparse_moe.experts", "w1", "w3", "w2"),
        TensorRow(
            "block_sparse_moe.e_score_correction_bias", ("E",),
            known_as="block_sparse_moe.e_score_correction.bias",
        ),
    ),
    derived=rotary_share,
    defaults=DEFAULTS,
    without_effect={
        "expert_feed_forward_length": lambda config: (config["intermediate_size"],),
        "expert_gating_func": lambda config: (SIGMOID,),
    },
    names={"rotary_width": ""},
)  # fmt: skip

HUNYUAN_NORMS = (
    norm("self_attn.query_layernorm", size="D"),
    norm("self_attn.key_layernorm", size="D"),
)
HUNYUAN_MOE = Family(
    constants("hunyuan_v1_moe", "HunYuanMoEV1ForCausalLM", attention_bias=False),
    KEYS | {"num_experts": "expert_count", "moe_topk": "expert_used_count"},
    decoder(
        *TWO_NORMS, *projections(), *HUNYUAN_NORMS, TensorRow("mlp.gate.wg.weight", ("E", "C")), *EXPERTS,
        *shared_expert("mlp.shared_mlp"),
    ),
    defaults=DEFAULTS,
    without_effect={
        "expert_feed_forward_length": lambda config: (config["intermediate_size"],),
        "expert_shared_count": lambda config: (1,),
        "expert_shared_feed_forward_length": lambda config: (config["intermediate_size"],),
    },
    sizes=lambda config: {"S": config["intermediate_size"]},
)  # fmt: skip

ROUTED: dict[str, Family] = {
    "deepseek2": DEEPSEEK_V2,
    "dots1": DOTS1,
    "ernie4_5-moe": ERNIE_MOE,
    "glm4moe": GLM4_MOE,
    "hunyuan-moe": HUNYUAN_MOE,
    "minimax-m2": MINIMAX_M2,
}
