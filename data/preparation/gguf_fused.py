"""The architectures of GGUF whose experts are fused to transformers, and apart in the file: Granite, gpt-oss,
Llama 4, DBRX; and Phi-3.5-MoE, whose attention may be fused in the file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from preparation.gguf_decoders import (
    GRANITE,
    HEAD,
    KEYS,
    TWO_NORMS,
    constants,
    decoder,
    divided_width,
    experts,
    long_factor,
    norm,
    product,
    projections,
)
from preparation.gguf_families import (
    DEFAULTS,
    ROPE_BASE,
    SIZES,
    Family,
    Part,
    TensorRow,
    in_layers,
    only,
    with_bias,
)
from preparation.gguf_layer_norms import EPSILON, OWN_WIDTH, layer_norm
from preparation.gguf_layouts import (
    Config,
    Layout,
    interleaved_key,
    interleaved_query,
)
from preparation.gguf_routed import shared_expert

GATES = Part("mlp.experts.gate_proj.weight", ("E", "X", "C"))
UPS = Part("mlp.experts.up_proj.weight", ("E", "X", "C"))


def stacked(parts: list[np.ndarray], config: Config) -> np.ndarray:
    """Gates and ups [..., X, C] -> [..., 2X, C], the gates first."""
    return np.concatenate(parts, axis=-2)


def as_inputs(parts: list[np.ndarray], config: Config) -> np.ndarray:
    """[E, X, C] twice -> [E, C, 2X], the gates first: Llama 4 multiplies from the left."""
    return stacked(parts, config).swapaxes(1, 2)


def alternating(parts: list[np.ndarray], config: Config) -> np.ndarray:
    """[E, X] or [E, X, C] twice -> [E, 2X] or [E, C, 2X], a gate and an up in turn, as gpt-oss has them."""
    pairs = np.stack(parts, axis=2).reshape(parts[0].shape[0], -1, *parts[0].shape[2:])
    return pairs if pairs.ndim == 2 else pairs.swapaxes(1, 2)


def turned(values: np.ndarray, config: Config) -> np.ndarray:
    """[E, out, in] -> [E, in, out]."""
    return values.swapaxes(1, 2)


GRANITE_EXPERTS = (
    TensorRow("block_sparse_moe.router.layer.weight", ("E", "C")),
    TensorRow("block_sparse_moe.input_linear.weight", ("E", "2X", "C"), join=stacked, parts=(GATES, UPS)),
    TensorRow("block_sparse_moe.output_linear.weight", ("E", "C", "X")),
)
GRANITE_SHARED = (
    TensorRow(
        "shared_mlp.input_linear.weight", ("2S", "C"), join=stacked,
        parts=(
            Part("mlp.shared_experts.gate_proj.weight", ("S", "C")),
            Part("mlp.shared_experts.up_proj.weight", ("S", "C")),
        ),
    ),
    TensorRow("shared_mlp.output_linear.weight", ("C", "S")),
)  # fmt: skip


def granite_sizes(config: Config) -> dict[str, int]:
    shared = config.get("shared_intermediate_size", 0)
    return {"2X": 2 * config["intermediate_size"], "S": shared, "2S": 2 * shared}


PERMUTED = projections("", interleaved_query, interleaved_key)
GRANITE_MOE = replace(
    GRANITE,
    config_constants=constants("granitemoe", "GraniteMoeForCausalLM", attention_bias=False),
    config_keys=GRANITE.config_keys
    | {"num_local_experts": "expert_count", "num_experts_per_tok": "expert_used_count"},
    tensor_rows=decoder(*TWO_NORMS, *PERMUTED, *GRANITE_EXPERTS),
    flags={},
    sizes=granite_sizes,
)
GRANITE_MOE_SHARED = replace(
    GRANITE_MOE,
    config_constants=constants(
        "granitemoeshared", "GraniteMoeSharedForCausalLM", attention_bias=False
    ),
    config_keys=GRANITE_MOE.config_keys
    | {"shared_intermediate_size": "expert_shared_feed_forward_length"},
    tensor_rows=decoder(*TWO_NORMS, *PERMUTED, *GRANITE_EXPERTS, *GRANITE_SHARED),
)


def every_other_slides(config: Config) -> Config:
    kinds = ("sliding_attention", "full_attention")
    return {"layer_types": [kinds[layer % 2] for layer in range(config["num_hidden_layers"])]}


def parts_of(kind: str, shape: tuple[str, ...]) -> tuple[Part, Part]:
    return (Part(f"mlp.experts.gate_proj.{kind}", shape), Part(f"mlp.experts.up_proj.{kind}", shape))


GPT_OSS = Family(
    constants("gpt_oss", "GptOssForCausalLM", attention_bias=True),
    KEYS
    | {"sliding_window": "attention.sliding_window", "num_local_experts": "expert_count"}
    | {"num_experts_per_tok": "expert_used_count"},
    decoder(
        *TWO_NORMS, *projections("qkv")[:-1], *with_bias(product("self_attn.o_proj", "C", "Q")),
        TensorRow("self_attn.sinks", ("H",), known_as="self_attn.sinks.weight"),
        *with_bias(TensorRow("mlp.router.weight", ("E", "C"))),
        TensorRow(
            "mlp.experts.gate_up_proj", ("E", "C", "2X"), join=alternating,
            parts=parts_of("weight", ("E", "X", "C")),
        ),
        TensorRow(
            "mlp.experts.gate_up_proj_bias", ("E", "2X"), join=alternating,
            parts=parts_of("bias", ("E", "X")),
        ),
        TensorRow(
            "mlp.experts.down_proj", ("E", "X", "C"), turned, stored_shape=("E", "C", "X"),
            known_as="mlp.experts.down_proj.weight",
        ),
        TensorRow("mlp.experts.down_proj_bias", ("E", "C"), known_as="mlp.experts.down_proj.bias"),
    ),
    derived=every_other_slides,
    defaults=DEFAULTS,
    without_effect={
        "attention.sliding_window_pattern": lambda config: (2,),
        "expert_feed_forward_length": lambda config: (config["intermediate_size"],),
        "expert_gating_func": lambda config: (0, 3),  # a softmax over the chosen ones
    },
    sizes=lambda config: {"2X": 2 * config["intermediate_size"]},
    yarn=lambda log_multiplier, config: {"truncate": False},
    has_scaled_default=True,
)  # fmt: skip


def is_llama4_routed(config: Config, layer: int) -> bool:
    return bool((layer + 1) % config["interleave_moe_layer_step"] == 0)


def is_llama4_dense(config: Config, layer: int) -> bool:
    return not is_llama4_routed(config, layer)


UNNORMED_EXPERTS = 128  # Maverick's, whose queries and keys have no norm; llama.cpp knows it so, too


def llama4_facts(config: Config) -> Config:
    return {"use_qk_norm": config["num_local_experts"] != UNNORMED_EXPERTS}


LLAMA4 = Family(
    constants(
        "llama4_text", "Llama4ForCausalLM", attention_bias=False, no_rope_layer_interval=4,
        attention_chunk_size=8192, attn_temperature_tuning=True, floor_scale=8192, attn_scale=0.1,
    ),
    {key: name for key, name in KEYS.items() if key != "intermediate_size"}
    | {"intermediate_size_mlp": "feed_forward_length", "intermediate_size": "expert_feed_forward_length"}
    | {"num_local_experts": "expert_count", "num_experts_per_tok": "expert_used_count"}
    | {"interleave_moe_layer_step": "interleave_moe_layer_step"},
    decoder(
        *TWO_NORMS, *projections(),
        *only(
            is_llama4_dense, product("feed_forward.gate_proj", "M", "C"),
            product("feed_forward.up_proj", "M", "C"), product("feed_forward.down_proj", "C", "M"),
        ),
        *only(
            is_llama4_routed, TensorRow("feed_forward.router.weight", ("E", "C")),
            TensorRow(
                "feed_forward.experts.gate_up_proj", ("E", "C", "2X"), join=as_inputs, parts=(GATES, UPS)
            ),
            TensorRow(
                "feed_forward.experts.down_proj", ("E", "X", "C"), turned, stored_shape=("E", "C", "X"),
                known_as="mlp.experts.down_proj.weight",
            ),
            *shared_expert("feed_forward.shared_expert"),
        ),
    ),
    derived=llama4_facts,
    defaults=DEFAULTS,
    sizes=lambda config: {
        "M": config["intermediate_size_mlp"],
        "S": config["intermediate_size"],
        "2X": 2 * config["intermediate_size"],
    },
)  # fmt: skip


def fused_rows(begin: str, end: str) -> Layout:
    """Those of queries, keys or values in one tensor of them all: rows from one of the sizes to another."""

    def rows(values: np.ndarray, config: Config) -> np.ndarray:
        width, groups = config["head_dim"], config["num_key_value_heads"]
        queries = config["num_attention_heads"] * width
        places = {"": 0, "Q": queries, "QK": queries + groups * width, "QKV": queries + 2 * groups * width}
        return values[places[begin] : places[end]]

    return rows


def from_fused(known_as: str) -> tuple[TensorRow, ...]:
    """Queries, keys and values, which the file has in one tensor."""
    parts = (("q", "Q", "", "Q"), ("k", "K", "Q", "QK"), ("v", "K", "QK", "QKV"))
    return tuple(
        TensorRow(
            f"self_attn.{which}_proj.{kind}", (size, *columns), fused_rows(begin, end), kind == "bias",
            stored_shape=("QKV", *columns), known_as=f"{known_as}.{kind}",
        )
        for kind, columns in (("weight", ("C",)), ("bias", ()))
        for which, size, begin, end in parts
    )  # fmt: skip


def phimoe_rows(attention: tuple[TensorRow, ...]) -> tuple[TensorRow, ...]:
    """The output projection has a bias where the others have one."""
    (o_proj, o_bias) = with_bias(product("self_attn.o_proj", "C", "Q"), optional=True)
    return (
        *decoder(
            *layer_norm("input_layernorm"), *layer_norm("post_attention_layernorm"), *attention,
            o_proj, o_bias, TensorRow("block_sparse_moe.gate.weight", ("E", "C")),
            *experts("block_sparse_moe.experts", "w1", "w3", "w2"),
        ),
        TensorRow("lm_head.bias", ("V",), optional=True),
        TensorRow("model.norm.bias", ("C",)),
    )  # fmt: skip


def phimoe_scaling(config: Config) -> Config:
    """Of cosines and sines: one number for short and long windows, as llama.cpp has it."""
    factor = long_factor(config)
    return {"_long_scaling": {"short_mscale": factor, "long_mscale": factor}}


PHIMOE = Family(
    constants("phimoe", "PhimoeForCausalLM", sliding_window=None),
    KEYS | {"num_local_experts": "expert_count", "num_experts_per_tok": "expert_used_count"},
    phimoe_rows(projections("optional")[:-2]),
    derived=phimoe_scaling,
    defaults=DEFAULTS,
    optional_keys={"original_max_position_embeddings": "rope.scaling.original_context_length"},
    without_effect={"rope.scaling.attn_factor": lambda config: (0, long_factor(config))},
    flags={
        "attention_bias": "model.layers.0.self_attn.q_proj.bias",
        "lm_head_bias": "lm_head.bias",
    },
    fixed={"head_dim": divided_width},
    names={"head_dim": ""},
)
PHIMOE_FUSED = replace(PHIMOE, tensor_rows=phimoe_rows(from_fused("self_attn.qkv_proj")))

DBRX_BLOCK = "transformer.blocks.{l}."


def as_rows(values: np.ndarray, config: Config) -> np.ndarray:
    """[E, X, C] -> [E X, C]: DBRX has those of all experts in one matrix."""
    return values.reshape(-1, values.shape[-1])


def as_turned_rows(values: np.ndarray, config: Config) -> np.ndarray:
    """[E, C, X] -> [E X, C]."""
    return as_rows(turned(values, config), config)


def dbrx_experts(name: str, layout: Layout, *stored: str) -> TensorRow:
    name = f"ffn.experts.mlp.{name}"
    return TensorRow(name, ("EX", "C"), layout, stored_shape=stored, known_as=f"{name}.weight")


def dbrx_facts(config: Config) -> Config:
    return {
        "attn_config": {
            "kv_n_heads": config["num_key_value_heads"],
            "rope_theta": config["rope_theta"],
            "clip_qkv": config.get("clip_qkv"),
        },
        "ffn_config": {
            "hidden_size": config["hidden_size"],
            "ffn_hidden_size": config["intermediate_size"],
            "moe_num_experts": config["num_local_experts"],
            "moe_top_k": config["num_experts_per_tok"],
            "ffn_act_fn": {"name": "silu"},
        },
    }


DBRX = Family(
    {"architectures": ["DbrxForCausalLM"], "model_type": "dbrx"},
    {**SIZES, **ROPE_BASE}
    | {"num_local_experts": "expert_count", "num_experts_per_tok": "expert_used_count"},
    (
        TensorRow("transformer.wte.weight", ("V", "C")),
        *in_layers(
            DBRX_BLOCK,
            norm("norm_attn_norm.norm_1"),
            product("norm_attn_norm.attn.Wqkv", "QKV", "C"),
            product("norm_attn_norm.attn.out_proj", "C", "Q"),
            norm("norm_attn_norm.norm_2"),
            TensorRow("ffn.router.layer.weight", ("E", "C")),
            dbrx_experts("w1", as_rows, "E", "X", "C"),
            dbrx_experts("v1", as_rows, "E", "X", "C"),
            dbrx_experts("w2", as_turned_rows, "E", "C", "X"),
        ),
        norm("transformer.norm_f"),
        HEAD,
    ),
    derived=dbrx_facts,
    defaults=DEFAULTS,
    optional_keys={"clip_qkv": "attention.clamp_kqv"},
    without_effect={EPSILON: lambda config: (1e-5,)},
    fixed=OWN_WIDTH,
    names={
        "hidden_size": "d_model", "num_attention_heads": "n_heads", "num_hidden_layers": "n_layers",
        "max_position_embeddings": "max_seq_len", "intermediate_size": "", "num_key_value_heads": "",
        "head_dim": "", "num_local_experts": "", "num_experts_per_tok": "", "rope_theta": "", "clip_qkv": "",
    },
    sizes=lambda config: {"EX": config["num_local_experts"] * config["intermediate_size"]},
)  # fmt: skip

FUSED: dict[str, Family] = {
    "dbrx": DBRX,
    "gpt-oss": GPT_OSS,
    "granitemoe": GRANITE_MOE,
    "llama4": LLAMA4,
    "phimoe": PHIMOE,
}
