"""Every key of every family's config.json, left out, doubled, null, mistyped or out of range, means
what transformers takes it for, or is refused by name.

The keys come from transformers' own classes. Facts are compared for every variant that both read;
residual streams for every variant whose module is small, ours once for all that have equal facts.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from support.config_comparison import Comparison, facts_program
from support.config_reference import VISION
from support.config_variants import class_of, declared_keys, key_variants
from support.rope_variants import rope_variants

# Channels of a head that are rotated, in pairs; families without rotary positions have none.
PAIRS = {
    "gpt_neox": 2, "falcon": 8, "phi": 4, "phi3": 8, "llama": 8, "mistral": 4, "qwen2": 8, "qwen3": 12,
    "mixtral": 8, "qwen2_moe": 8, "qwen3_moe": 12, "gemma": 12, "gemma2": 12, "gemma3_text": 12,
    "modernbert": 8, "eurobert": 8,
    "olmo2": 8, "cohere": 8, "stablelm": 2, "starcoder2": 8, "gpt_oss": 8,
    "qwen3_next": 3, "qwen3_5_text": 3, "qwen3_5_moe_text": 3, "lfm2": 8, "bamba": 4, "falcon_h1": 8,
    "glm4_moe": 4, "dots1": 8, "minimax_m2": 8, "ernie4_5_moe": 8,
    "deepseek_v2": 4, "deepseek_v3": 4, "glm4_moe_lite": 4,
    "olmo3": 8, "smollm3": 8, "seed_oss": 12, "cohere2": 8, "ministral3": 8, "exaone4": 8, "glm": 6,
    "glm4": 6, "ernie4_5": 12,
    "granite": 8, "nemotron": 4, "arcee": 8, "olmo": 8, "olmoe": 8, "apertus": 8,
    "granitemoe": 8, "granitemoeshared": 8, "hunyuan_v1_dense": 12, "hunyuan_v1_moe": 12,
    "helium": 8, "phimoe": 8, "llama4_text": 8,
}  # fmt: skip
FAMILIES = (
    *PAIRS, "gpt2", "gpt_bigcode", "opt", "mpt", "bert", "roberta", "xlm-roberta", "gpt_neo", "gptj",
    "codegen", "bloom", "biogpt", "dbrx", "gemma4_text", "gemma4_unified_text", "nemotron_h",
    "granitemoehybrid", "mamba", "falcon_mamba", "jamba", *VISION,
)  # fmt: skip

# One of each kind; the variants of the others take minutes together, so `make test-slow` has them.
QUICK = ("llama", "gpt2", "gemma3_text", "deepseek_v2", "mamba", "vit")

# Types of parts that only a model of several has, and the types of such models.
PARTS = (
    "qwen2_vl_text", "qwen2_5_vl_text", "qwen3_vl_text", "qwen3_vl_moe_text", "glm4v_text",
    "glm4v_moe_text", "mllama_text_model", "internvl_vision",
)  # fmt: skip
OWN_CODE = ("kimi_vl",)  # wrappers that are published with code of their own
OWN_FAMILIES = ("llada", "Dream")  # and families
WRAPPERS = (
    "gemma3", "llava", "mistral3", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "qwen3_5",
    "qwen3_5_moe", "internvl", "paligemma", "llava_next", "llava_onevision", "idefics3", "smolvlm", "glm4v",
    "glm4v_moe", "kimi_k25", "kimi_vl", "mllama",
    "gemma4", "gemma4_unified", "llama4",
)  # fmt: skip


def asked(what: str) -> list[dict[str, Any]]:
    """What the program holds for declared."""
    result = subprocess.run(
        [str(facts_program()), what], capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def declared() -> dict[str, dict[str, dict[str, Any]]]:
    """By family and key."""
    return {
        family["model_type"]: {key["name"]: key for key in family["keys"]}
        for family in asked("keys")
    }


def test_every_family_is_here(declared: dict[str, Any]) -> None:
    assert set(declared) == {*FAMILIES, *PARTS, *OWN_FAMILIES}
    assert {wrapper["model_type"] for wrapper in asked("wrappers")} == set(WRAPPERS)


def test_wrappers_have_the_defaults_of_transformers() -> None:
    """Of the tie of the head, and of the type of the language model."""
    for wrapper in asked("wrappers"):
        if wrapper["model_type"] in OWN_CODE:
            continue
        cls = class_of(wrapper["model_type"])
        ties = declared_keys(cls).get("tie_word_embeddings", ("bool", False))
        assert ties[1] == wrapper["ties"], wrapper
        assert cls().get_text_config().model_type == wrapper["text_type"], wrapper


@pytest.mark.parametrize("family", (*FAMILIES, *PARTS))
def test_keys_types_and_defaults_are_those_of_transformers(
    family: str, declared: dict[str, dict[str, dict[str, Any]]]
) -> None:
    mine = {
        name: (key["type"], key["fallback"])
        for name, key in declared[family].items()
        if key["is_of_class"]
    }
    assert mine == declared_keys(class_of(family))


@pytest.mark.parametrize(
    "family", [pytest.param(f, marks=() if f in QUICK else pytest.mark.slow) for f in FAMILIES]
)
def test_every_variant_is_as_transformers_or_refused_by_name(family: str, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    variants = list(key_variants(family))
    if family in PAIRS:
        variants += rope_variants(family, PAIRS[family])
    comparison = Comparison(family, tmp_path)
    comparison.compare(variants)
    print(
        f"{family}: {len(variants)} variants, {comparison.read} read by both, "
        f"{len(comparison.groups)} swept, {len(comparison.refused)} refused by the program alone"
    )
    for variant, message in comparison.refused:
        print(f"  {variant.name}: {message.partition('config.json: ')[2]}")
    assert not comparison.problems, "\n".join(comparison.problems)
