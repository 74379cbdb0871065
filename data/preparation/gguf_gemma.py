"""The three generations of Gemma in GGUF: norms that multiply by 1 + w, stored with the 1 added."""

from __future__ import annotations

from preparation.gguf_decoders import GATED, KEYS, constants, decoder, norm, projections
from preparation.gguf_families import DEFAULTS, Family
from preparation.gguf_layouts import Config, without_one

SHIFTED_NORMS = (
    norm("input_layernorm", without_one),
    norm("post_attention_layernorm", without_one),
    norm("pre_feedforward_layernorm", without_one),
    norm("post_feedforward_layernorm", without_one),
)
FINAL_SHIFTED = norm("model.norm", without_one)
# Facts of Gemma that GGUF leaves to the program that reads it.
GEMMA3_LAYERS_PER_GLOBAL = 6  # every sixth layer sees the whole window
GEMMA2_27B_LAYERS, GEMMA3_27B_LAYERS = 46, 62  # whose queries are not scaled by the head width


def _gemma_facts(config: Config, large: int, layers_per_global: int) -> Config:
    layers = config["num_hidden_layers"]
    scalar = config["head_dim"]
    if layers == large:
        scalar = config["hidden_size"] // config["num_attention_heads"]
    return {
        "query_pre_attn_scalar": scalar,
        "layer_types": [
            "sliding_attention" if layer % layers_per_global else "full_attention"
            for layer in range(1, layers + 1)
        ],
    }


GEMMA = Family(
    constants(
        "gemma", "GemmaForCausalLM", "gelu_pytorch_tanh", hidden_activation="gelu_pytorch_tanh",
        attention_bias=False,
    ),
    KEYS,
    decoder(
        norm("input_layernorm", without_one), norm("post_attention_layernorm", without_one),
        *projections(), *GATED, final=FINAL_SHIFTED, is_tied=True,
    ),
    defaults=DEFAULTS,
)  # fmt: skip
GEMMA2 = Family(
    constants(
        "gemma2", "Gemma2ForCausalLM", "gelu_pytorch_tanh", hidden_activation="gelu_pytorch_tanh",
        attention_bias=False, attn_logit_softcapping=None, final_logit_softcapping=None,
    ),
    KEYS | {"sliding_window": "attention.sliding_window"},
    decoder(*SHIFTED_NORMS, *projections(), *GATED, final=FINAL_SHIFTED, is_tied=True),
    derived=lambda config: _gemma_facts(config, GEMMA2_27B_LAYERS, 2),
    defaults=DEFAULTS,
    optional_keys={
        "attn_logit_softcapping": "attn_logit_softcapping",
        "final_logit_softcapping": "final_logit_softcapping",
    },
)  # fmt: skip
GEMMA3 = Family(
    {
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "hidden_activation": "gelu_pytorch_tanh",
        "attention_bias": False,
        "attn_logit_softcapping": None,
        "final_logit_softcapping": None,
        "rope_local_base_freq": 10000.0,
        "initializer_range": 0.02,
    },
    KEYS | {"sliding_window": "attention.sliding_window"},
    decoder(
        *SHIFTED_NORMS, *projections(), norm("self_attn.q_norm", without_one, "D"),
        norm("self_attn.k_norm", without_one, "D"), *GATED, final=FINAL_SHIFTED,
    ),
    derived=lambda config: _gemma_facts(config, GEMMA3_27B_LAYERS, GEMMA3_LAYERS_PER_GLOBAL),
    optional_keys={"final_logit_softcapping": "final_logit_softcapping"},
    without_effect={
        "attention.sliding_window_pattern": lambda config: (
            GEMMA3_LAYERS_PER_GLOBAL,
            [kind == "sliding_attention" for kind in config["layer_types"]],
        ),
        "rope.freq_base_swa": lambda config: (config["rope_local_base_freq"],),
    },
)  # fmt: skip

GEMMAS: dict[str, Family] = {"gemma": GEMMA, "gemma2": GEMMA2, "gemma3": GEMMA3}
