"""The architectures of GGUF whose models have RMS norms: Llama, Mixtral, Qwen, Phi-3, OLMo 2, Granite, …

Facts that GGUF leaves to the program that reads it (the activation, which layers slide, how experts are
weighted) are those of the released models, as llama.cpp has them.
"""

from __future__ import annotations

import math
from dataclasses import replace

from preparation.gguf_families import (
    DEFAULTS,
    ROPE_BASE,
    SIZES,
    Family,
    TensorRow,
    in_layers,
    with_bias,
)
from preparation.gguf_layouts import (
    Config,
    Layout,
    as_row,
    as_stored,
    interleaved_key,
    interleaved_query,
)

LAYER = "model.layers.{l}."
RMS_EPSILON = {"rms_norm_eps": "attention.layer_norm_rms_epsilon"}
KEYS = {**SIZES, **RMS_EPSILON, **ROPE_BASE}
EXPERT_KEYS = {"num_experts": "expert_count", "num_experts_per_tok": "expert_used_count"}

EMBEDDING = TensorRow("model.embed_tokens.weight", ("V", "C"))
HEAD = TensorRow("lm_head.weight", ("V", "C"), optional=True)  # absent: tied


def norm(name: str, layout: Layout = as_stored, size: str = "C") -> TensorRow:
    return TensorRow(f"{name}.weight", (size,), layout)


def product(name: str, rows: str, columns: str, layout: Layout = as_stored) -> TensorRow:
    return TensorRow(f"{name}.weight", (rows, columns), layout)


def projections(
    bias: str = "", query: Layout = as_stored, key: Layout = as_stored
) -> tuple[TensorRow, ...]:
    """Of attention; `bias`: "" none, "qkv" of those three, "optional" of all four where it is there."""
    inner = (
        product("self_attn.q_proj", "Q", "C", query),
        product("self_attn.k_proj", "K", "C", key),
        product("self_attn.v_proj", "K", "C"),
    )
    output = product("self_attn.o_proj", "C", "Q")
    if not bias:
        return (*inner, output)
    pairs = tuple(row for each in inner for row in with_bias(each, bias == "optional"))
    return (*pairs, *(with_bias(output, optional=True) if bias == "optional" else (output,)))


def divided_width(config: Config) -> int:
    """Of heads, where config.json has no key for it."""
    return int(config["hidden_size"]) // int(config["num_attention_heads"])


PERMUTED = projections("optional", interleaved_query, interleaved_key)
GATED = (
    product("mlp.gate_proj", "F", "C"),
    product("mlp.up_proj", "F", "C"),
    product("mlp.down_proj", "C", "F"),
)
HEAD_NORMS = (norm("self_attn.q_norm", size="D"), norm("self_attn.k_norm", size="D"))
AFTER_NORMS = (norm("post_attention_layernorm"), norm("post_feedforward_layernorm"))
TWO_NORMS = (norm("input_layernorm"), norm("post_attention_layernorm"))


def experts(begin: str, gate: str, up: str, down: str) -> tuple[TensorRow, ...]:
    """Those of all experts of a layer are one tensor in the file."""
    return (
        TensorRow(f"{begin}.{{e}}.{gate}.weight", ("X", "C"), count="E"),
        TensorRow(f"{begin}.{{e}}.{up}.weight", ("X", "C"), count="E"),
        TensorRow(f"{begin}.{{e}}.{down}.weight", ("C", "X"), count="E"),
    )


def decoder(
    *rows: TensorRow, final: TensorRow | None = norm("model.norm"), is_tied: bool = False
) -> tuple[TensorRow, ...]:
    """A whole model of these rows in each layer; llama.cpp has no head of some that are always tied."""
    end = [row for row in (final, None if is_tied else HEAD) if row is not None]
    return (EMBEDDING, *in_layers(LAYER, *rows), *end)


def constants(model_type: str, architecture: str, activation: str = "silu", **more: object) -> Config:
    return {
        "architectures": [architecture],
        "model_type": model_type,
        "hidden_act": activation,
        "initializer_range": 0.02,
        **more,
    }


LLAMA = Family(
    constants("llama", "LlamaForCausalLM", mlp_bias=False),
    KEYS | {"head_dim": "rope.dimension_count"},
    decoder(*TWO_NORMS, *PERMUTED, *GATED),
    defaults=DEFAULTS,
    flags={"attention_bias": "model.layers.0.self_attn.q_proj.bias"},
)
MIXTRAL = Family(
    constants("mixtral", "MixtralForCausalLM", sliding_window=None),
    KEYS
    | {"head_dim": "rope.dimension_count", "num_local_experts": "expert_count"}
    | {"num_experts_per_tok": "expert_used_count"},
    decoder(
        *TWO_NORMS,
        *projections("", interleaved_query, interleaved_key),
        TensorRow("block_sparse_moe.gate.weight", ("E", "C")),
        *experts("block_sparse_moe.experts", "w1", "w3", "w2"),
    ),
    defaults=DEFAULTS,
)
SMOLLM3 = replace(
    LLAMA,
    config_constants=constants(
        "smollm3", "SmolLM3ForCausalLM", mlp_bias=False, no_rope_layer_interval=4,
        use_sliding_window=False,
    ),
)  # fmt: skip
ARCEE = replace(
    LLAMA,
    config_constants=constants("arcee", "ArceeForCausalLM", "relu2", mlp_bias=False),
    tensor_rows=decoder(*TWO_NORMS, *PERMUTED, *GATED[1:]),
)
GRANITE = replace(
    LLAMA,
    config_constants=constants("granite", "GraniteForCausalLM", mlp_bias=False),
    config_keys=LLAMA.config_keys
    | {"attention_multiplier": "attention.scale", "embedding_multiplier": "embedding_scale"}
    | {"residual_multiplier": "residual_scale", "logits_scaling": "logit_scale"},
    defaults=DEFAULTS
    | {
        key: lambda config, fields: 1.0
        for key in ("attention_multiplier", "embedding_multiplier", "residual_multiplier", "logits_scaling")
    },
    fixed={"head_dim": divided_width},
    names={"head_dim": ""},
)
QWEN2 = Family(
    constants("qwen2", "Qwen2ForCausalLM", use_sliding_window=False),
    KEYS,
    decoder(*TWO_NORMS, *projections("qkv"), *GATED),
    defaults=DEFAULTS,
    fixed={"head_dim": divided_width},
    names={"head_dim": ""},
)
QWEN3 = Family(
    constants("qwen3", "Qwen3ForCausalLM", attention_bias=False, use_sliding_window=False),
    KEYS,
    decoder(*TWO_NORMS, *projections(), *HEAD_NORMS, *GATED),
    defaults=DEFAULTS,
)
ROUTER = TensorRow("mlp.gate.weight", ("E", "C"))
QWEN3_MOE = Family(
    constants(
        "qwen3_moe", "Qwen3MoeForCausalLM", attention_bias=False, use_sliding_window=False,
        norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[],
    ),
    KEYS | EXPERT_KEYS | {"moe_intermediate_size": "expert_feed_forward_length"},
    decoder(
        *TWO_NORMS, *projections(), *HEAD_NORMS, ROUTER,
        *experts("mlp.experts", "gate_proj", "up_proj", "down_proj"),
    ),
    defaults=DEFAULTS,
)  # fmt: skip
QWEN2_MOE = Family(
    constants(
        "qwen2_moe", "Qwen2MoeForCausalLM", use_sliding_window=False, norm_topk_prob=False,
        decoder_sparse_step=1, mlp_only_layers=[],
    ),
    KEYS
    | EXPERT_KEYS
    | {"moe_intermediate_size": "expert_feed_forward_length"}
    | {"shared_expert_intermediate_size": "expert_shared_feed_forward_length"},
    decoder(
        *TWO_NORMS, *projections("qkv"), ROUTER,
        *experts("mlp.experts", "gate_proj", "up_proj", "down_proj"),
        product("mlp.shared_expert.gate_proj", "S", "C"),
        product("mlp.shared_expert.up_proj", "S", "C"),
        product("mlp.shared_expert.down_proj", "C", "S"),
        TensorRow("mlp.shared_expert_gate.weight", ("1", "C"), as_row, stored_shape=("C",)),
    ),
    defaults=DEFAULTS,
    fixed={"head_dim": divided_width},
    names={"head_dim": ""},
)  # fmt: skip
OLMOE = Family(
    constants("olmoe", "OlmoeForCausalLM", attention_bias=False, norm_topk_prob=False, clip_qkv=None),
    KEYS | EXPERT_KEYS,
    decoder(
        *TWO_NORMS, *projections(), norm("self_attn.q_norm", size="Q"), norm("self_attn.k_norm", size="K"),
        ROUTER, *experts("mlp.experts", "gate_proj", "up_proj", "down_proj"),
    ),
    defaults=DEFAULTS,
    fixed={"head_dim": divided_width},
    names={"head_dim": ""},
)  # fmt: skip
SEED_OSS = Family(
    constants(
        "seed_oss", "SeedOssForCausalLM", attention_bias=True, attention_out_bias=False, mlp_bias=False
    ),
    KEYS,
    decoder(*TWO_NORMS, *projections("qkv"), *GATED),
    defaults=DEFAULTS,
)


def olmo_facts(config: Config) -> Config:
    """OLMo 3 is OLMo 2 with layers that slide."""
    if "sliding_window" not in config:
        return {}
    return {"model_type": "olmo3", "architectures": ["Olmo3ForCausalLM"]}


OLMO2 = Family(
    constants("olmo2", "Olmo2ForCausalLM", attention_bias=False),
    KEYS,
    decoder(
        *projections(), norm("self_attn.q_norm", size="Q"), norm("self_attn.k_norm", size="K"),
        *AFTER_NORMS, *GATED,
    ),
    derived=olmo_facts,
    defaults=DEFAULTS,
    optional_keys={
        "sliding_window": "attention.sliding_window",
        "layer_types": "attention.sliding_window_pattern",
    },
    fixed={"head_dim": divided_width},
    names={"head_dim": ""},
)  # fmt: skip


def rotary_share(config: Config) -> Config:
    """Of a head's width, which is turned."""
    return {"partial_rotary_factor": config["rotary_width"] / config["head_dim"]}


def long_factor(config: Config) -> float:
    """By which transformers multiplies the cosines and sines of longer windows than trained on."""
    original = config.get("original_max_position_embeddings", 0)
    if original < 2 or config["max_position_embeddings"] <= original:
        return 1.0
    times = config["max_position_embeddings"] / original
    return math.sqrt(1 + math.log(times) / math.log(original))


PHI3 = Family(
    constants("phi3", "Phi3ForCausalLM", attention_dropout=0.0, embd_pdrop=0.0, resid_pdrop=0.0),
    KEYS | {"rotary_width": "rope.dimension_count"},
    decoder(
        *TWO_NORMS, product("self_attn.qkv_proj", "QKV", "C"), product("self_attn.o_proj", "C", "Q"),
        product("mlp.gate_up_proj", "2F", "C"), product("mlp.down_proj", "C", "F"),
    ),
    derived=rotary_share,
    defaults=DEFAULTS,
    optional_keys={
        "sliding_window": "attention.sliding_window",
        "original_max_position_embeddings": "rope.scaling.original_context_length",
    },
    without_effect={"rope.scaling.attn_factor": lambda config: (0, long_factor(config))},
    fixed={"head_dim": divided_width},
    names={"head_dim": "", "rotary_width": ""},
)  # fmt: skip

EXAONE4 = Family(
    constants("exaone4", "Exaone4ForCausalLM", sliding_window=None),
    KEYS,
    decoder(*projections(), *HEAD_NORMS, *AFTER_NORMS, *GATED),
    defaults=DEFAULTS,
    optional_keys={
        "sliding_window": "attention.sliding_window",
        "layer_types": "attention.sliding_window_pattern",
    },
)
GLM4 = Family(
    constants("glm4", "Glm4ForCausalLM"),
    KEYS | {"rotary_width": "rope.dimension_count"},
    decoder(
        *TWO_NORMS, norm("post_self_attn_layernorm"), norm("post_mlp_layernorm"),
        *projections("optional")[:-1], product("mlp.gate_up_proj", "2F", "C"),
        product("mlp.down_proj", "C", "F"),
    ),
    derived=rotary_share,
    defaults=DEFAULTS,
    flags={"attention_bias": "model.layers.0.self_attn.q_proj.bias"},
    names={"rotary_width": ""},
)  # fmt: skip



def text_of(family: Family) -> Family:
    """The language model of one that sees: where there is text alone, its positions are one number."""
    return replace(
        family,
        without_effect={"rope.dimension_sections": None, "n_deepstack_layers": None} | family.without_effect,
    )


DECODERS: dict[str, Family] = {
    "arcee": ARCEE,
    "exaone4": EXAONE4,
    "glm4": GLM4,
    "granite": GRANITE,
    "llama": LLAMA,
    "olmo2": OLMO2,
    "olmoe": OLMOE,
    "phi3": PHI3,
    "qwen2": QWEN2,
    "qwen2moe": QWEN2_MOE,
    "qwen2vl": text_of(QWEN2),
    "qwen3": QWEN3,
    "qwen3moe": QWEN3_MOE,
    "qwen3vl": text_of(QWEN3),
    "qwen3vlmoe": text_of(QWEN3_MOE),
    "seed_oss": SEED_OSS,
    "smollm3": SMOLLM3,
}
