"""The architectures of GGUF that see a text from both sides: BERT (and RoBERTa: the file leaves out its first
positions, so that it is a BERT), ModernBERT, EuroBERT; LLaDA and Dream, which predict masked tokens."""

from __future__ import annotations

from dataclasses import replace

from preparation.gguf_decoders import (
    EMBEDDING,
    GATED,
    HEAD,
    KEYS,
    LAYER,
    PERMUTED,
    QWEN2,
    TWO_NORMS,
    constants,
    divided_width,
    norm,
    product,
    projections,
)
from preparation.gguf_families import (
    DEFAULTS,
    ROPE_BASE,
    SIZES,
    Family,
    TensorRow,
    in_layers,
    only,
    with_bias,
)
from preparation.gguf_fields import always
from preparation.gguf_layer_norms import EPSILON, OWN_WIDTH, SAME_HEADS, layer_norm
from preparation.gguf_layouts import Config

BOTH_SIDES = {"attention.causal": always(False)}
WITHOUT_HEADS = {"head_dim": "", "num_key_value_heads": ""}


def behind(begin: str, *rows: TensorRow) -> tuple[TensorRow, ...]:
    """Names as checkpoints with a head have them; to the tables without."""
    return tuple(
        replace(row, name=f"{begin}.{row.name}", known_as=row.known_as or row.name) for row in rows
    )


BERT_LAYER = (
    *with_bias(product("attention.self.query", "C", "C")),
    *with_bias(product("attention.self.key", "C", "C")),
    *with_bias(product("attention.self.value", "C", "C")),
    *with_bias(product("attention.output.dense", "C", "C")),
    *layer_norm("attention.output.LayerNorm"),
    *with_bias(product("intermediate.dense", "F", "C")),
    *with_bias(product("output.dense", "C", "F")),
    *layer_norm("output.LayerNorm"),
)
BERT = Family(
    constants("bert", "BertModel", "gelu"),
    {**SIZES, "layer_norm_eps": EPSILON},
    behind(
        "bert",
        TensorRow("embeddings.word_embeddings.weight", ("V", "C")),
        TensorRow("embeddings.position_embeddings.weight", ("P", "C")),
        TensorRow("embeddings.token_type_embeddings.weight", ("kinds", "C")),
        *layer_norm("embeddings.LayerNorm"),
        *in_layers("encoder.layer.{l}.", *BERT_LAYER),
    ),
    defaults=DEFAULTS,
    without_effect=BOTH_SIDES,
    fixed=OWN_WIDTH | SAME_HEADS,
    names=WITHOUT_HEADS,
    whole_keys={"type_vocab_size": "tokenizer.ggml.token_type_count"},
    sizes=lambda config: {"kinds": config["type_vocab_size"]},
)


def is_not_first(config: Config, layer: int) -> bool:
    return layer > 0


MODERN_BERT = Family(
    {
        "architectures": ["ModernBertModel"], "model_type": "modernbert", "hidden_activation": "gelu",
        "attention_bias": False, "mlp_bias": False, "norm_bias": False, "embedding_dropout": 0.0,
        "mlp_dropout": 0.0, "attention_dropout": 0.0,
    },
    {**SIZES, "norm_eps": EPSILON, "rope_theta": "rope.freq_base", "local_rope_theta": "rope.freq_base_swa"}
    | {"local_attention": "attention.sliding_window"}
    | {"global_attn_every_n_layers": "attention.sliding_window_pattern"},
    behind(
        "model",
        TensorRow("embeddings.tok_embeddings.weight", ("V", "C")),
        norm("embeddings.norm"),
        *in_layers(
            "layers.{l}.", *only(is_not_first, norm("attn_norm")), product("attn.Wqkv", "3C", "C"),
            product("attn.Wo", "C", "C"), norm("mlp_norm"), product("mlp.Wi", "2F", "C"),
            product("mlp.Wo", "C", "F"),
        ),
        norm("final_norm"),
    ),
    defaults=DEFAULTS
    | {
        "local_rope_theta": lambda config, fields: config["rope_theta"],
        "global_attn_every_n_layers": lambda config, fields: 3,
    },
    without_effect=BOTH_SIDES
    | {"attention.layer_norm_rms_epsilon": lambda config: (config["norm_eps"],)},
    fixed=OWN_WIDTH | SAME_HEADS,
    names={**WITHOUT_HEADS, "rope_theta": "global_rope_theta"},
)  # fmt: skip
EUROBERT = Family(
    constants("eurobert", "EuroBertModel", attention_bias=False, mlp_bias=False),
    KEYS,
    (
        EMBEDDING,
        *in_layers(LAYER, *TWO_NORMS, *projections(), *GATED),
        norm("model.norm"),
    ),
    defaults=DEFAULTS,
    without_effect=BOTH_SIDES,
    fixed={"head_dim": divided_width},
    names={"head_dim": ""},
)

MASK = {"mask_token_id": "tokenizer.ggml.mask_token_id"}
DREAM = replace(
    QWEN2,
    config_constants=constants("Dream", "DreamModel", use_sliding_window=False, use_mrope=False),
    without_effect=BOTH_SIDES,
    whole_keys=MASK,
)
LLADA_NAMES = {
    "self_attn.q_proj": "q_proj", "self_attn.k_proj": "k_proj", "self_attn.v_proj": "v_proj",
    "self_attn.o_proj": "attn_out", "input_layernorm": "attn_norm", "post_attention_layernorm": "ff_norm",
    "mlp.gate_proj": "ff_proj", "mlp.up_proj": "up_proj", "mlp.down_proj": "ff_out",
}  # fmt: skip


def llada_row(row: TensorRow) -> TensorRow:
    begin, _, kind = row.name.rpartition(".")
    return replace(row, name=f"{LLADA_NAMES[begin]}.{kind}")


def has_llada_name(row: TensorRow) -> bool:
    """Its output projection has no bias."""
    return row.name != "self_attn.o_proj.bias"


LLADA = Family(
    {
        "architectures": ["LLaDAModelLM"], "model_type": "llada", "activation_type": "silu",
        "block_type": "llama", "layer_norm_type": "rms", "layer_norm_with_affine": True,
        "bias_for_layer_norm": False, "attention_layer_norm": False, "input_emb_norm": False,
        "scale_logits": False, "alibi": False, "rope": True, "rope_full_precision": True,
        "include_bias": False, "multi_query_attention": None, "mlp_ratio": 4, "block_group_size": 1,
    },
    KEYS | ROPE_BASE | {"head_dim": "rope.dimension_count"},
    (
        TensorRow("model.transformer.wte.weight", ("V", "C")),
        *in_layers(
            "model.transformer.blocks.{l}.",
            *(llada_row(row) for row in (*TWO_NORMS, *PERMUTED, *GATED) if has_llada_name(row)),
        ),
        norm("model.transformer.ln_f"),
        replace(HEAD, name="model.transformer.ff_out.weight"),
    ),
    derived=lambda config: {"embedding_size": config["vocab_size"]},
    defaults=DEFAULTS,
    without_effect=BOTH_SIDES | {"diffusion.shift_logits": always(False)},
    flags={"include_qkv_bias": "model.transformer.blocks.0.q_proj.bias"},
    fixed={"head_dim": divided_width},
    names={
        "head_dim": "", "hidden_size": "d_model", "num_attention_heads": "n_heads",
        "num_key_value_heads": "n_kv_heads", "num_hidden_layers": "n_layers",
        "intermediate_size": "mlp_hidden_size", "max_position_embeddings": "max_sequence_length",
    },
    whole_keys=MASK,
)  # fmt: skip

BOTH_SIDED: dict[str, Family] = {
    "bert": BERT,
    "dream": DREAM,
    "eurobert": EUROBERT,
    "llada": LLADA,
    "modern-bert": MODERN_BERT,
}
