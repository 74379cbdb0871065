"""Random models of the architectures of GGUF that see a text from both sides: cases of
`gguf_architectures`."""

from __future__ import annotations

import transformers

from support.gguf_cases import COMMON, F, GROUPED, Case, all_fields, layer_norms, permuted
from support.masked_diffusion import published_name

T = transformers
BOTH_SIDES = {"attention.causal": False}
MASK = {"tokenizer.ggml.mask_token_id": 4}

ENCODER_CASES = (
    Case(
        "bert", T.BertConfig(**COMMON, intermediate_size=F, layer_norm_eps=1e-5),
        layer_norms(**BOTH_SIDES, **{"rope.freq_base": None, "attention.head_count_kv": None,
                                     "pooling_type": 2}),
        auto=T.AutoModel, published_name="bert.{}".format,
        fields_of=lambda weights: {"tokenizer.ggml.token_type_count": 2},
        skipped=("pooler.dense.weight", "pooler.dense.bias"),  # which no row passes
    ),
    Case(
        "modern-bert",
        T.ModernBertConfig(**COMMON | {"pad_token_id": 0}, intermediate_size=F, local_attention=8,
                           global_attn_every_n_layers=2, norm_eps=1e-5, global_rope_theta=160000.0,
                           local_rope_theta=10000.0),
        layer_norms(**BOTH_SIDES, **{
            "rope.freq_base": 160000.0, "rope.freq_base_swa": 10000.0, "attention.sliding_window": 8,
            "attention.sliding_window_pattern": 2, "attention.head_count_kv": None, "vocab_size": 6,
            "rope.scaling.type": "none"}),
        auto=T.AutoModel, published_name="model.{}".format,
    ),
    Case("eurobert", T.EuroBertConfig(**GROUPED | {"pad_token_id": 0}, rms_norm_eps=1e-6, rope_theta=10000.0),
         all_fields(**BOTH_SIDES, **{"rope.scaling.type": "none"}), auto=T.AutoModel,
         published_name="model.{}".format),
    Case("dream", T.Qwen2Config(**GROUPED), all_fields(**BOTH_SIDES), published="Dream",
         fields_of=lambda weights: MASK),
    Case("llada", T.LlamaConfig(**GROUPED, rms_norm_eps=1e-6),
         all_fields(**BOTH_SIDES, **{"rope.dimension_count": 8, "diffusion.shift_logits": False}), permuted,
         published="llada", published_name=published_name, fields_of=lambda weights: MASK),
)  # fmt: skip
