"""A random model of each architecture of GGUF that is read: CASES. The older ones stand here, the others in
files for their kinds."""

from __future__ import annotations

import numpy as np
import transformers

from support.gguf_cases import (
    COMMON,
    EXPERTS,
    F,
    G,
    GPT2,
    GROUPED,
    H,
    LAYERS,
    MOE,
    MOE_FIELDS,
    WIDER,
    C,
    Case,
    all_fields,
    fused_by_group,
    fused_by_head,
    head_fields,
    layer_norms,
    llama3_frequencies,
    permuted,
    plus_one,
    turned,
)
from support.gguf_encoder_cases import ENCODER_CASES
from support.gguf_expert_cases import EXPERT_CASES
from support.gguf_files import TOKENS
from support.gguf_llama_cases import LLAMA_CASES
from support.gguf_mixer_cases import MIXER_CASES
from support.gguf_state_cases import STATE_CASES

T = transformers
LLAMA3 = T.LlamaConfig(
    **WIDER, rms_norm_eps=1e-6, attention_bias=True,
    rope_parameters={
        "rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
    },
)  # fmt: skip
LONG = {"rope_type": "longrope", "rope_theta": 10000.0, "long_factor": [1.5, 2.0, 3.0, 4.0],
        "short_factor": [1.0, 1.25, 1.5, 1.75], "original_max_position_embeddings": 16}  # fmt: skip

DENSE_CASES = (
    Case(
        "llama", LLAMA3,
        all_fields(**{"rope.freq_base": 500000.0, "rope.dimension_count": 12, "vocab_size": len(TOKENS)},
                   **head_fields(12)),
        permuted, extra={"rope_freqs.weight": llama3_frequencies(LLAMA3)},
    ),
    Case(
        "mixtral", T.MixtralConfig(**GROUPED, num_local_experts=EXPERTS, rms_norm_eps=1e-6, rope_theta=1e6),
        all_fields(**{"rope.freq_base": 1e6, "rope.dimension_count": 8, "expert_count": EXPERTS,
                      "expert_used_count": 2}),
        permuted, "llama",
    ),
    Case("smollm3", T.SmolLM3Config(**GROUPED, rope_theta=10000.0),
         all_fields(**{"rope.dimension_count": 8}), permuted),
    Case("arcee", T.ArceeConfig(**WIDER, rms_norm_eps=1e-6),
         all_fields(**{"rope.dimension_count": 12}, **head_fields(12)), permuted),
    Case(
        "granite",
        T.GraniteConfig(**GROUPED, attention_multiplier=0.25, embedding_multiplier=12.0,
                        residual_multiplier=0.5, logits_scaling=8.0),
        all_fields(**{"attention.scale": 0.25, "embedding_scale": 12.0, "residual_scale": 0.5,
                      "logit_scale": 8.0, "rope.dimension_count": 8}),
        permuted,
    ),
    Case("qwen2", T.Qwen2Config(**GROUPED), all_fields()),
    Case("qwen3", T.Qwen3Config(**WIDER), all_fields(**head_fields(12))),
    Case("qwen3moe", T.Qwen3MoeConfig(**WIDER, **MOE, norm_topk_prob=True),
         all_fields(**head_fields(12), **MOE_FIELDS)),
    Case(
        "qwen2moe", T.Qwen2MoeConfig(**GROUPED, **MOE, shared_expert_intermediate_size=40),
        all_fields(**MOE_FIELDS, expert_shared_feed_forward_length=40),
    ),
    Case("olmoe", T.OlmoeConfig(**GROUPED, num_experts=EXPERTS, num_experts_per_tok=2),
         all_fields(**{"attention.layer_norm_rms_epsilon": 1e-5, "expert_count": EXPERTS,
                       "expert_used_count": 2})),
    Case("seed_oss", T.SeedOssConfig(**WIDER), all_fields(**head_fields(12))),
    Case("olmo2", T.Olmo2Config(**GROUPED), all_fields(**{"attention.layer_norm_rms_epsilon": 1e-5})),
    Case(
        "olmo3",
        T.Olmo3Config(**GROUPED, sliding_window=5, layer_types=["sliding_attention", "full_attention"]),
        all_fields(**{"attention.layer_norm_rms_epsilon": 1e-5, "attention.sliding_window": 5,
                      "attention.sliding_window_pattern": [True, False], "rope.freq_base": 500000.0}),
        architecture="olmo2",
    ),
    Case(
        "phi3", T.Phi3Config(**GROUPED, rope_parameters=LONG, rms_norm_eps=1e-6,
                             original_max_position_embeddings=16),
        all_fields(**{"rope.dimension_count": 8, "rope.scaling.original_context_length": 16,
                      "rope.scaling.attn_factor": (1 + np.log(4) / np.log(16)) ** 0.5,
                      "attention.sliding_window": 0}),
        extra={"rope_factors_long.weight": np.float32(LONG["long_factor"]),
               "rope_factors_short.weight": np.float32(LONG["short_factor"])},
    ),
    Case("gemma", T.GemmaConfig(**WIDER), all_fields(**{"rope.freq_base": None}, **head_fields(12)), plus_one,
         skipped=("lm_head.weight",)),
    Case(
        "gemma2", T.Gemma2Config(**WIDER, query_pre_attn_scalar=12, sliding_window=5,
                                 attn_logit_softcapping=7.0, final_logit_softcapping=3.0),
        all_fields(**{"rope.freq_base": None, "attention.sliding_window": 5, "attn_logit_softcapping": 7.0,
                      "final_logit_softcapping": 3.0}, **head_fields(12)),
        plus_one, skipped=("lm_head.weight",),
    ),
    Case(
        "gemma3", T.Gemma3TextConfig(**WIDER, query_pre_attn_scalar=12, sliding_window=5),
        all_fields(**{"rope.freq_base": 1e6, "attention.sliding_window": 5}, **head_fields(12)), plus_one,
        skipped=("lm_head.weight",),
    ),
    Case("gpt2", T.GPT2Config(**GPT2),
         layer_norms(**{"rope.freq_base": None, "attention.head_count_kv": None,
                        "feed_forward_length": 4 * C}),
         turned, skipped=("lm_head.weight",)),
    Case(
        "gptj", T.GPTJConfig(**GPT2, rotary_dim=4),
        layer_norms(**{"rope.freq_base": None, "attention.head_count_kv": None,
                       "feed_forward_length": 4 * C, "rope.dimension_count": 4}),
    ),
    Case("starcoder", T.GPTBigCodeConfig(**GPT2), layer_norms(**{"rope.freq_base": None,
         "attention.head_count_kv": 1, "feed_forward_length": 4 * C}), skipped=("lm_head.weight",)),
    Case(
        "bloom",
        T.BloomConfig(vocab_size=len(TOKENS), hidden_size=C, n_layer=LAYERS, n_head=H, bos_token_id=0,
                      eos_token_id=1),
        layer_norms(**{"rope.freq_base": None, "attention.head_count_kv": H, "feed_forward_length": 4 * C}),
        fused_by_head, skipped=("lm_head.weight",),
    ),
    Case(
        "falcon", T.FalconConfig(**COMMON),
        layer_norms(**{"rope.freq_base": None, "attention.head_count_kv": 1, "feed_forward_length": 4 * C,
                       "tensor_data_layout": "jploski"}),
        fused_by_group(1),
        skipped=("lm_head.weight",),
    ),
    Case(
        "falcon-40b", T.FalconConfig(**COMMON, new_decoder_architecture=True, num_kv_heads=G),
        layer_norms(**{"rope.freq_base": None, "feed_forward_length": 4 * C,
                       "tensor_data_layout": "jploski"}),
        fused_by_group(G), "falcon", skipped=("lm_head.weight",),
    ),
    Case(
        "gptneox", T.GPTNeoXConfig(**COMMON, intermediate_size=F, rotary_pct=0.5, use_parallel_residual=True),
        layer_norms(**{"rope.freq_base": None, "attention.head_count_kv": None, "rope.dimension_count": 4,
                       "use_parallel_residual": True}),
        fused_by_head,
    ),
    Case("phi2", T.PhiConfig(**COMMON, intermediate_size=4 * C, partial_rotary_factor=0.5),
         layer_norms(**{"rope.freq_base": None, "attention.head_count_kv": H, "rope.dimension_count": 4,
                        "feed_forward_length": 4 * C})),
    Case(
        "stablelm", T.StableLmConfig(**GROUPED, partial_rotary_factor=0.5, use_qkv_bias=True),
        layer_norms(**{"rope.freq_base": None, "rope.dimension_count": 4, "use_parallel_residual": False}),
    ),
    Case(
        "stablelm-12b",
        T.StableLmConfig(**GROUPED, partial_rotary_factor=0.25, qk_layernorm=True,
                         use_parallel_residual=True),
        layer_norms(**{"rope.freq_base": None, "rope.dimension_count": 2, "use_parallel_residual": True}),
        architecture="stablelm",
    ),
    Case("starcoder2", T.Starcoder2Config(**GROUPED, sliding_window=None), layer_norms()),
    Case(
        "command-r", T.CohereConfig(**GROUPED, logit_scale=0.0625, use_qk_norm=True, rope_theta=10000.0),
        layer_norms(**{"logit_scale": 0.0625, "rope.scaling.type": "none"}), skipped=("lm_head.weight",),
    ),
    Case(
        "cohere2",
        T.Cohere2Config(**WIDER | {"num_hidden_layers": LAYERS}, logit_scale=0.25, sliding_window=5,
                        rope_theta=10000.0, layer_types=["sliding_attention"] * LAYERS),
        layer_norms(**{"logit_scale": 0.25, "rope.scaling.type": "none", "attention.sliding_window": 5,
                       "rope.dimension_count": 12, "vocab_size": len(TOKENS)}, **head_fields(12)),
        skipped=("lm_head.weight",),
    ),
    Case(
        "exaone4",
        T.Exaone4Config(**WIDER, rms_norm_eps=1e-6, sliding_window=5, rope_theta=10000.0,
                        layer_types=["sliding_attention", "full_attention"]),
        all_fields(**{"attention.sliding_window": 5, "attention.sliding_window_pattern": [True, False],
                      "vocab_size": len(TOKENS)}, **head_fields(12)),
    ),
    Case("glm4", T.Glm4Config(**WIDER, rms_norm_eps=1e-6, partial_rotary_factor=0.5, attention_bias=True),
         all_fields(**{"rope.dimension_count": 6}, **head_fields(12))),
    Case("nemotron", T.NemotronConfig(**WIDER, partial_rotary_factor=0.5),
         layer_norms(**{"rope.dimension_count": 6, "rope.scaling.type": "none", "vocab_size": len(TOKENS)},
                     **head_fields(12)), plus_one),
    Case("olmo", T.OlmoConfig(**GROUPED, clip_qkv=0.75),
         layer_norms(**{"attention.clamp_kqv": 0.75}), permuted),
)  # fmt: skip

CASES = (*DENSE_CASES, *LLAMA_CASES, *EXPERT_CASES, *STATE_CASES, *MIXER_CASES, *ENCODER_CASES)
