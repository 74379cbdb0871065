"""The architectures of GGUF whose models have layer norms: GPT-NeoX, Phi 2, StableLM, Cohere, Nemotron, …

As in gguf_decoders.py, facts that GGUF leaves out are those of the released models.
"""

from __future__ import annotations

from preparation.gguf_decoders import (
    GATED,
    LAYER,
    constants,
    decoder,
    divided_width,
    norm,
    product,
    projections,
    rotary_share,
)
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
    by_head,
    interleaved_key,
    interleaved_query,
    without_one,
)

EPSILON = "attention.layer_norm_epsilon"
ROTARY = {**SIZES, "layer_norm_eps": EPSILON, **ROPE_BASE, "rotary_width": "rope.dimension_count"}
SAME_HEADS = {"num_key_value_heads": lambda config: config["num_attention_heads"]}
OWN_WIDTH = {"head_dim": divided_width}
WITHOUT_WIDTHS = {"head_dim": "", "rotary_width": ""}


def layer_norm(name: str, size: str = "C", optional: bool = False) -> tuple[TensorRow, TensorRow]:
    return with_bias(TensorRow(f"{name}.weight", (size,), optional=optional))


NEOX = Family(
    constants("gpt_neox", "GPTNeoXForCausalLM", "gelu", attention_bias=True),
    ROTARY | {"use_parallel_residual": "use_parallel_residual"},
    (
        TensorRow("gpt_neox.embed_in.weight", ("V", "C")),
        *in_layers(
            "gpt_neox.layers.{l}.",
            *layer_norm("input_layernorm"),
            *layer_norm("post_attention_layernorm"),
            *with_bias(product("attention.query_key_value", "3C", "C", by_head)),
            *with_bias(product("attention.dense", "C", "C")),
            *with_bias(product("mlp.dense_h_to_4h", "F", "C")),
            *with_bias(product("mlp.dense_4h_to_h", "C", "F")),
        ),
        *layer_norm("gpt_neox.final_layer_norm"),
        TensorRow("embed_out.weight", ("V", "C"), optional=True),
    ),
    derived=lambda config: {"rotary_pct": config["rotary_width"] / config["head_dim"]},
    defaults=DEFAULTS | {"use_parallel_residual": lambda config, fields: True},
    fixed=OWN_WIDTH | SAME_HEADS,
    names=WITHOUT_WIDTHS | {"num_key_value_heads": "", "rope_theta": "rotary_emb_base"},
)

PHI2 = Family(
    constants("phi", "PhiForCausalLM", "gelu_new", qk_layernorm=False),
    ROTARY,
    (
        TensorRow("model.embed_tokens.weight", ("V", "C")),
        *in_layers(
            LAYER,
            *layer_norm("input_layernorm"),
            *projections("qkv")[:-1],
            *with_bias(product("self_attn.dense", "C", "Q")),
            *with_bias(product("mlp.fc1", "F", "C")),
            *with_bias(product("mlp.fc2", "C", "F")),
        ),
        *layer_norm("model.final_layernorm"),
        *with_bias(TensorRow("lm_head.weight", ("V", "C"))),
    ),
    derived=rotary_share,
    defaults=DEFAULTS,
    fixed=OWN_WIDTH,
    names=WITHOUT_WIDTHS,
)

HEAD_NORM_ROWS = tuple(
    TensorRow(
        f"self_attn.{which}_layernorm.norms.{{e}}.weight", ("D",), optional=True, count=count,
        known_as=f"self_attn.{which}_layernorm.weight",
    )
    for which, count in (("q", "H"), ("k", "G"))
)  # fmt: skip
STABLELM = Family(
    constants("stablelm", "StableLmForCausalLM"),
    ROTARY | {"use_parallel_residual": "use_parallel_residual"},
    (
        *decoder(
            *layer_norm("input_layernorm"),
            *layer_norm("post_attention_layernorm", optional=True),
            *projections("optional")[:-1],
            *HEAD_NORM_ROWS,
            *GATED,
            final=norm("model.norm"),
        ),
        TensorRow("model.norm.bias", ("C",)),
    ),
    derived=rotary_share,
    defaults=DEFAULTS | {"use_parallel_residual": lambda config, fields: True},
    flags={
        "use_qkv_bias": "model.layers.0.self_attn.q_proj.bias",
        "qk_layernorm": "model.layers.0.self_attn.q_layernorm.norms.0.weight",
    },
    fixed=OWN_WIDTH,
    names=WITHOUT_WIDTHS,
)

STARCODER2 = Family(
    constants("starcoder2", "Starcoder2ForCausalLM", "gelu_pytorch_tanh", use_bias=True, sliding_window=None),
    {**SIZES, "norm_epsilon": EPSILON, **ROPE_BASE},
    (
        *decoder(
            *layer_norm("input_layernorm"),
            *layer_norm("post_attention_layernorm"),
            *projections("qkv")[:-1],
            *with_bias(product("self_attn.o_proj", "C", "Q")),
            *with_bias(product("mlp.c_fc", "F", "C")),
            *with_bias(product("mlp.c_proj", "C", "F")),
        ),
        TensorRow("model.norm.bias", ("C",)),
    ),
    defaults=DEFAULTS,
    fixed=OWN_WIDTH,
    names={"head_dim": ""},
)

COHERE = Family(
    constants("cohere", "CohereForCausalLM", attention_bias=False),
    {**SIZES, "layer_norm_eps": EPSILON, **ROPE_BASE, "logit_scale": "logit_scale"},
    decoder(
        norm("input_layernorm"),
        *projections(),
        TensorRow("self_attn.q_norm.weight", ("H", "D"), optional=True),
        TensorRow("self_attn.k_norm.weight", ("G", "D"), optional=True),
        *GATED,
        is_tied=True,
    ),
    defaults=DEFAULTS,
    flags={"use_qk_norm": "model.layers.0.self_attn.q_norm.weight"},
    fixed=OWN_WIDTH,
    names={"head_dim": ""},
)


COHERE2_LAYERS_PER_GLOBAL = 4  # of which the last sees the whole window, without rotary positions


def cohere2_facts(config: Config) -> Config:
    kinds = [
        "sliding_attention" if layer % COHERE2_LAYERS_PER_GLOBAL else "full_attention"
        for layer in range(1, config["num_hidden_layers"] + 1)
    ]
    return {"layer_types": kinds}


COHERE2 = Family(
    constants("cohere2", "Cohere2ForCausalLM", attention_bias=False),
    COHERE.config_keys | {"sliding_window": "attention.sliding_window"},
    decoder(norm("input_layernorm"), *projections(), *GATED, is_tied=True),
    derived=cohere2_facts,
    defaults=DEFAULTS,
)


def shifted(name: str) -> tuple[TensorRow, TensorRow]:
    weight, bias = layer_norm(name)
    return norm(name, without_one), bias


NEMOTRON = Family(
    constants("nemotron", "NemotronForCausalLM", "relu2", attention_bias=False, mlp_bias=False),
    {**SIZES, "norm_eps": EPSILON, **ROPE_BASE, "rotary_width": "rope.dimension_count"},
    (
        *decoder(
            *shifted("input_layernorm"), *shifted("post_attention_layernorm"), *projections(),
            *GATED[1:], final=norm("model.norm", without_one),
        ),
        TensorRow("model.norm.bias", ("C",)),
    ),
    derived=rotary_share,
    defaults=DEFAULTS,
    names={"rotary_width": ""},
)  # fmt: skip

OLMO = Family(
    constants("olmo", "OlmoForCausalLM", attention_bias=False, clip_qkv=None),
    {**SIZES, **ROPE_BASE},
    decoder(*projections("", interleaved_query, interleaved_key), *GATED, final=None),
    defaults=DEFAULTS,
    optional_keys={"clip_qkv": "attention.clamp_kqv"},
    without_effect={EPSILON: lambda config: (1e-5,)},
    fixed=OWN_WIDTH,
    names={"head_dim": ""},
)

LAYER_NORMS: dict[str, Family] = {
    "cohere2": COHERE2,
    "command-r": COHERE,
    "gptneox": NEOX,
    "nemotron": NEMOTRON,
    "olmo": OLMO,
    "phi2": PHI2,
    "stablelm": STABLELM,
    "starcoder2": STARCODER2,
}
