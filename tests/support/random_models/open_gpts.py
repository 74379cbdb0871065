"""The first open successors of GPT-2: GPT-Neo, GPT-J, CodeGen."""

from __future__ import annotations

from typing import Any

from .model import RandomModel, gpt_sizes


def neo_sizes(
    channels: int, layers: int, heads: int, ffn: int | None, vocabulary: int, **more: Any
) -> dict[str, Any]:
    return {
        "hidden_size": channels,
        "num_layers": layers,
        "num_heads": heads,
        "intermediate_size": ffn,
        "vocab_size": vocabulary,
        "max_position_embeddings": 96,
        "bos_token_id": 1,
        "eos_token_id": 2,
        **more,
    }


OPEN_GPTS = (
    RandomModel(
        "gpt_neo-5heads-window13-tied",
        "gpt_neo",
        neo_sizes(80, 4, 5, None, 251, window_size=13, attention_types=[[["global", "local"], 2]]),
    ),
    RandomModel(
        "gpt_neo-7heads-window16-gelu-untied",
        "gpt_neo",
        neo_sizes(
            105, 3, 7, 149, 263, window_size=16, activation_function="gelu",
            attention_types=[[["local"], 2], [["global"], 1]], tie_word_embeddings=False,
        ),
    ),
    RandomModel(
        "gpt_neo-3heads-global-bfloat16",
        "gpt_neo",
        neo_sizes(
            75, 3, 3, 113, 239, attention_types=[[["global"], 3]], layer_norm_epsilon=1e-6
        ),
        dtype="bfloat16",
    ),
    RandomModel("gptj-5heads-half-rotary", "gptj", gpt_sizes(80, 3, 5, None, 251, rotary_dim=8)),
    RandomModel(
        "gptj-7heads-whole-rotary-gelu-tied",
        "gptj",
        gpt_sizes(
            112, 3, 7, 149, 263, rotary_dim=16, activation_function="gelu", tie_word_embeddings=True
        ),
    ),
    RandomModel(
        "gptj-3heads-quarter-rotary-bfloat16",
        "gptj",
        gpt_sizes(72, 4, 3, 113, 239, rotary_dim=6, layer_norm_epsilon=1e-6),
        dtype="bfloat16",
    ),
    RandomModel("codegen-4heads-half-rotary", "codegen", gpt_sizes(72, 3, 4, None, 251, rotary_dim=8)),
    RandomModel(
        "codegen-8heads-whole-rotary-gelu-tied",
        "codegen",
        gpt_sizes(
            112, 3, 8, 149, 263, rotary_dim=14, activation_function="gelu", tie_word_embeddings=True
        ),
    ),
    RandomModel(
        "codegen-12heads-quarter-rotary-bfloat16",
        "codegen",
        gpt_sizes(144, 3, 12, 113, 239, rotary_dim=4, layer_norm_epsilon=1e-6),
        dtype="bfloat16",
    ),
)
