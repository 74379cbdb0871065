"""The architectures of GGUF of Llama's shape: those that have something of their own (Apertus, ERNIE 4.5,
GLM, Hunyuan, Ministral 3), and those of which transformers has no class, whose models are Llamas or Granites
under other names (EXAONE 3, InternLM2, MiniCPM, XVERSE)."""

from __future__ import annotations

from dataclasses import replace

from preparation.gguf_decoders import (
    GATED,
    GRANITE,
    HEAD_NORMS,
    KEYS,
    LLAMA,
    TWO_NORMS,
    constants,
    decoder,
    divided_width,
    norm,
    product,
    projections,
    rotary_share,
)
from preparation.gguf_families import DEFAULTS, Family, TensorRow
from preparation.gguf_fused import from_fused
from preparation.gguf_layouts import Config
from preparation.gguf_routed import HUNYUAN_NORMS

# xIELU's two learned numbers, and two that stay: fields of the file without the architecture's name.
XIELU = (
    TensorRow("mlp.act_fn.alpha_n", ("1",), field="xielu.alpha_n"),
    TensorRow("mlp.act_fn.alpha_p", ("1",), field="xielu.alpha_p"),
    TensorRow("mlp.act_fn.beta", (), field="xielu.beta"),
    TensorRow("mlp.act_fn.eps", (), field="xielu.eps"),
)
APERTUS = Family(
    constants("apertus", "ApertusForCausalLM", "xielu", attention_bias=False),
    KEYS | {"head_dim": "rope.dimension_count"},
    decoder(
        norm("attention_layernorm"), norm("feedforward_layernorm"), *projections(), *HEAD_NORMS,
        *GATED[1:], *XIELU,
    ),
    defaults=DEFAULTS,
    fixed={"head_dim": divided_width},
    names={"head_dim": ""},
    has_scaled_default=True,
)  # fmt: skip
ERNIE = Family(
    constants("ernie4_5", "Ernie4_5ForCausalLM", use_bias=False),
    KEYS,
    decoder(*TWO_NORMS, *projections(), *GATED),
    defaults=DEFAULTS,
)
HUNYUAN = Family(
    constants("hunyuan_v1_dense", "HunYuanDenseV1ForCausalLM", attention_bias=False),
    KEYS,
    decoder(*TWO_NORMS, *projections(), *HUNYUAN_NORMS, *GATED),
    defaults=DEFAULTS,
)


def glm_rows(attention: tuple[TensorRow, ...]) -> tuple[TensorRow, ...]:
    return decoder(
        *TWO_NORMS, *attention, product("self_attn.o_proj", "C", "Q"),
        product("mlp.gate_up_proj", "2F", "C"), product("mlp.down_proj", "C", "F"),
    )  # fmt: skip


GLM = Family(
    constants("glm", "GlmForCausalLM"),
    KEYS | {"rotary_width": "rope.dimension_count"},
    glm_rows(projections("optional")[:-2]),
    derived=rotary_share,
    defaults=DEFAULTS,
    flags={"attention_bias": "model.layers.0.self_attn.q_proj.bias"},
    names={"rotary_width": ""},
)
GLM_FUSED = replace(GLM, tensor_rows=glm_rows(from_fused("self_attn.qkv_proj")))


def ministral_yarn(log_multiplier: float, config: Config) -> Config:
    return {
        "mscale": log_multiplier, "mscale_all_dim": log_multiplier,
        "llama_4_scaling_beta": config["_scaling_beta"],
    }  # fmt: skip


# Mistral's models are Llamas; Ministral 3's queries grow with their position.
MINISTRAL3 = replace(
    LLAMA,
    config_constants=constants("ministral3", "Ministral3ForCausalLM", sliding_window=None),
    config_keys=LLAMA.config_keys | {"_scaling_beta": "attention.temperature_scale"},
    without_effect={
        "attention.temperature_length": lambda config: (
            config["rope_scaling"]["original_max_position_embeddings"],
        )
    },
    yarn=ministral_yarn,
    needs_yarn=True,
)

EXAONE3 = replace(LLAMA, tensor_rows=decoder(*TWO_NORMS, *projections(), *GATED), flags={})
MINICPM = replace(
    GRANITE,
    config_keys={key: name for key, name in GRANITE.config_keys.items() if key != "attention_multiplier"},
    derived=lambda config: {"attention_multiplier": config["head_dim"] ** -0.5},
)
# Its converter permutes keys that queries share in a way of its own; no released model has such.
XVERSE = replace(LLAMA, fixed={"num_key_value_heads": lambda config: config["num_attention_heads"]})

LLAMAS: dict[str, Family] = {
    "apertus": APERTUS,
    "chatglm": GLM,
    "ernie4_5": ERNIE,
    "exaone": EXAONE3,
    "hunyuan-dense": HUNYUAN,
    "internlm2": LLAMA,
    "minicpm": MINICPM,
    "mistral3": LLAMA,
    "xverse": XVERSE,
}
