"""The architectures of GGUF whose models fuse queries, keys and values: GPT-2, StarCoder, BLOOM, Falcon,
MPT; and GPT-J, which has GPT-2's names for its facts."""

from __future__ import annotations

from preparation.gguf_decoders import constants, norm, product
from preparation.gguf_families import (
    DEFAULTS,
    ROPE_BASE,
    SIZES,
    Family,
    TensorRow,
    in_layers,
    with_bias,
)
from preparation.gguf_layer_norms import EPSILON, OWN_WIDTH, SAME_HEADS, layer_norm
from preparation.gguf_layouts import Config, by_head, by_key_head, transposed


def four_times(config: Config) -> int:
    return 4 * int(config["hidden_size"])


# GPT-2's names for the facts.
OLD_NAMES = {
    "hidden_size": "n_embd", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head",
    "intermediate_size": "n_inner", "max_position_embeddings": "n_positions", "head_dim": "",
    "num_key_value_heads": "",
}  # fmt: skip


def gpt2_rows(fused_rows: str, fused_columns: str, is_transposed: bool) -> tuple[TensorRow, ...]:
    def one(name: str, rows: str, columns: str) -> tuple[TensorRow, TensorRow]:
        if not is_transposed:
            return with_bias(product(name, rows, columns))
        stored = (rows, columns)
        return with_bias(TensorRow(f"{name}.weight", (columns, rows), transposed, stored_shape=stored))

    return (
        TensorRow("transformer.wte.weight", ("V", "C")),
        TensorRow("transformer.wpe.weight", ("P", "C")),
        *in_layers(
            "transformer.h.{l}.",
            *layer_norm("ln_1"), *one("attn.c_attn", fused_rows, fused_columns),
            *one("attn.c_proj", "C", "C"), *layer_norm("ln_2"), *one("mlp.c_fc", "F", "C"),
            *one("mlp.c_proj", "C", "F"),
        ),
        *layer_norm("transformer.ln_f"),
        TensorRow("lm_head.weight", ("V", "C"), optional=True),
    )  # fmt: skip


GPT2 = Family(
    constants("gpt2", "GPT2LMHeadModel") | {"activation_function": "gelu_new"},
    {**SIZES, "layer_norm_epsilon": EPSILON},
    gpt2_rows("3C", "C", is_transposed=True),
    defaults=DEFAULTS,
    fixed=OWN_WIDTH | SAME_HEADS,
    names=OLD_NAMES,
)
STARCODER = Family(
    constants("gpt_bigcode", "GPTBigCodeForCausalLM")
    | {"activation_function": "gelu_pytorch_tanh", "multi_query": True},
    {**SIZES, "layer_norm_epsilon": EPSILON},
    gpt2_rows("QKV", "C", is_transposed=False),
    defaults=DEFAULTS,
    fixed=OWN_WIDTH | {"num_key_value_heads": lambda config: 1},
    names=OLD_NAMES,
)

BLOOM = Family(
    constants("bloom", "BloomForCausalLM"),
    {**SIZES, "layer_norm_epsilon": EPSILON},
    (
        TensorRow("transformer.word_embeddings.weight", ("V", "C")),
        *with_bias(
            TensorRow(
                "transformer.word_embeddings_layernorm.weight", ("C",),
                known_as="word_embeddings_layernorm.weight",
            )
        ),
        *in_layers(
            "transformer.h.{l}.",
            *layer_norm("input_layernorm"),
            *with_bias(product("self_attention.query_key_value", "3C", "C", by_head)),
            *with_bias(product("self_attention.dense", "C", "C")),
        ),
        *with_bias(
            TensorRow(
                "transformer.h.{l}.post_attention_layernorm.weight", ("C",),
                known_as="h.{l}.post_attention_layernorm.weight",
            )
        ),
        *in_layers(
            "transformer.h.{l}.",
            *with_bias(product("mlp.dense_h_to_4h", "F", "C")),
            *with_bias(product("mlp.dense_4h_to_h", "C", "F")),
        ),
        *layer_norm("transformer.ln_f"),
        TensorRow("lm_head.weight", ("V", "C"), optional=True),
    ),
    defaults=DEFAULTS,
    fixed=OWN_WIDTH | SAME_HEADS | {"intermediate_size": four_times},
    names={
        "num_attention_heads": "n_head", "num_hidden_layers": "n_layer", "head_dim": "",
        "num_key_value_heads": "", "intermediate_size": "", "max_position_embeddings": "seq_length",
    },
)  # fmt: skip


def mpt_facts(config: Config) -> Config:
    clip = config.get("clip_qkv")
    return {"attn_config": {"alibi": True, "alibi_bias_max": int(config["_bias_max"]), "clip_qkv": clip}}


MPT = Family(
    {"architectures": ["MptForCausalLM"], "model_type": "mpt", "no_bias": True},
    {**SIZES, "layer_norm_epsilon": EPSILON, "_bias_max": "attention.max_alibi_bias"},
    (
        TensorRow("transformer.wte.weight", ("V", "C")),
        *in_layers(
            "transformer.blocks.{l}.",
            norm("norm_1"),
            product("attn.Wqkv", "3C", "C"),
            product("attn.out_proj", "C", "C"),
            norm("norm_2"),
            product("ffn.up_proj", "F", "C"),
            product("ffn.down_proj", "C", "F"),
        ),
        norm("transformer.norm_f"),
    ),
    derived=mpt_facts,
    defaults=DEFAULTS,
    optional_keys={"clip_qkv": "attention.clamp_kqv"},
    fixed=OWN_WIDTH | SAME_HEADS | {"intermediate_size": four_times},
    names={
        "hidden_size": "d_model", "num_attention_heads": "n_heads", "num_hidden_layers": "n_layers",
        "max_position_embeddings": "max_seq_len", "intermediate_size": "", "num_key_value_heads": "",
        "head_dim": "", "clip_qkv": "",
    },
)  # fmt: skip


def falcon_facts(config: Config) -> Config:
    """Falcon 7B has one key/value head; the later ones have several, in the newer architecture."""
    groups = config["num_key_value_heads"]
    return {
        "new_decoder_architecture": groups != 1,
        "multi_query": groups == 1,
        "num_kv_heads": groups,
    }


def falcon(norms: tuple[TensorRow, ...], **facts: object) -> Family:
    return Family(
        constants("falcon", "FalconForCausalLM", alibi=False, bias=False, parallel_attn=True)
        | {"activation": "gelu", **facts},
        {**SIZES, "layer_norm_epsilon": EPSILON, **ROPE_BASE},
        (
            TensorRow("transformer.word_embeddings.weight", ("V", "C")),
            *in_layers(
                "transformer.h.{l}.",
                *norms,
                product("self_attention.query_key_value", "QKV", "C", by_key_head),
                product("self_attention.dense", "C", "C"),
                product("mlp.dense_h_to_4h", "F", "C"),
                product("mlp.dense_4h_to_h", "C", "F"),
            ),
            *layer_norm("transformer.ln_f"),
            TensorRow("lm_head.weight", ("V", "C"), optional=True),
        ),
        derived=falcon_facts,
        defaults=DEFAULTS,
        fixed=OWN_WIDTH,
        names={"head_dim": "", "num_key_value_heads": "", "intermediate_size": "ffn_hidden_size"},
    )


FALCON = falcon(layer_norm("input_layernorm"), num_ln_in_parallel_attn=1)
FALCON_40B = falcon((*layer_norm("ln_attn"), *layer_norm("ln_mlp")), num_ln_in_parallel_attn=2)

# Rotary's pairs are neighbours, in transformers as in llama.cpp.
GPTJ = Family(
    constants("gptj", "GPTJForCausalLM", tie_word_embeddings=False) | {"activation_function": "gelu_new"},
    {**SIZES, "layer_norm_epsilon": EPSILON, "rotary_dim": "rope.dimension_count"},
    (
        TensorRow("transformer.wte.weight", ("V", "C")),
        *in_layers(
            "transformer.h.{l}.",
            *layer_norm("ln_1"),
            *(product(f"attn.{name}_proj", "C", "C") for name in ("q", "k", "v", "out")),
            *with_bias(product("mlp.fc_in", "F", "C")),
            *with_bias(product("mlp.fc_out", "C", "F")),
        ),
        *layer_norm("transformer.ln_f"),
        *with_bias(product("lm_head", "V", "C")),
    ),
    defaults=DEFAULTS,
    fixed=OWN_WIDTH | SAME_HEADS,
    names=OLD_NAMES,
)

GPTS: dict[str, Family] = {
    "bloom": BLOOM, "falcon": FALCON, "gpt2": GPT2, "gptj": GPTJ, "mpt": MPT, "starcoder": STARCODER,
}  # fmt: skip
