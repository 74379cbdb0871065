"""Which linear layers read which site, by their names in Hugging Face's models.

In: a sweep file of a language model. Out: for each block the modules and the site that is their
input. The names of other programs follow from these. Routed experts have no row: each sees the
tokens that chose it, and no site holds those.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .sweep import Sweep

ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")


@dataclass(frozen=True)
class Family:
    """Module names of one model type; `gguf` is its architecture in llama.cpp, if it has one."""

    gguf: str | None
    block: str = "model.layers.{}."
    attention_input: tuple[str, ...] = ATTENTION
    attention_heads: tuple[str, ...] = ("self_attn.o_proj",)
    mlp_input: tuple[str, ...] = ("mlp.gate_proj", "mlp.up_proj")
    mlp_hidden: tuple[str, ...] = ("mlp.down_proj",)


INPUT_SITES = ("attention_input", "attention_heads", "mlp_input", "mlp_hidden")


def _gpt2(gguf: str) -> Family:
    block = "transformer.h.{}."
    return Family(gguf, block, ("attn.c_attn",), ("attn.c_proj",), ("mlp.c_fc",), ("mlp.c_proj",))


def _routed(gguf: str) -> Family:
    return Family(gguf, mlp_input=(), mlp_hidden=())


FAMILIES = {
    "llama": Family("llama"),
    "mistral": Family("llama"),
    "qwen2": Family("qwen2"),
    "qwen3": Family("qwen3"),
    "gemma": Family("gemma"),
    "gemma2": Family("gemma2"),
    "gemma3_text": Family("gemma3"),
    "olmo2": Family("olmo2"),
    "cohere": Family("command-r"),
    "stablelm": Family("stablelm"),
    "starcoder2": Family("starcoder2", mlp_input=("mlp.c_fc",), mlp_hidden=("mlp.c_proj",)),
    "phi": Family(
        "phi2", "model.layers.{}.", ATTENTION, ("self_attn.dense",), ("mlp.fc1",), ("mlp.fc2",)
    ),
    "phi3": Family(
        "phi3", attention_input=("self_attn.qkv_proj",), mlp_input=("mlp.gate_up_proj",)
    ),
    "opt": Family(
        None, "model.decoder.layers.{}.", ATTENTION, ("self_attn.out_proj",), ("fc1",), ("fc2",)
    ),
    "gpt2": _gpt2("gpt2"),
    "gpt_bigcode": _gpt2("starcoder"),
    "gpt_neox": Family(
        "gptneox",
        "gpt_neox.layers.{}.",
        ("attention.query_key_value",),
        ("attention.dense",),
        ("mlp.dense_h_to_4h",),
        ("mlp.dense_4h_to_h",),
    ),
    "falcon": Family(
        "falcon",
        "transformer.h.{}.",
        ("self_attention.query_key_value",),
        ("self_attention.dense",),
        ("mlp.dense_h_to_4h",),
        ("mlp.dense_4h_to_h",),
    ),
    "mpt": Family(
        "mpt",
        "transformer.blocks.{}.",
        ("attn.Wqkv",),
        ("attn.out_proj",),
        ("ffn.up_proj",),
        ("ffn.down_proj",),
    ),
    "mixtral": _routed("llama"),
    "qwen2_moe": _routed("qwen2moe"),
    "qwen3_moe": _routed("qwen3moe"),
    "gpt_oss": _routed("gpt-oss"),
}


@dataclass(frozen=True)
class Inputs:
    """The modules of one block that read one site at `layer`, numbered from 1."""

    layer: int
    site: str
    modules: tuple[str, ...]


def family_of(sweep: Sweep) -> Family:
    """The row of the file's model type; refuses those without one."""
    name = str(sweep.attributes["model_family"])
    if name not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise ValueError(f"{sweep.path}: no names of linear layers for '{name}'; known: {known}")
    return FAMILIES[name]


def linear_inputs(sweep: Sweep) -> Iterator[Inputs]:
    """All blocks and their sites that the file holds, in the order of the model."""
    family = family_of(sweep)
    held = [site for site in INPUT_SITES if sweep.has(site) and getattr(family, site)]
    if not held:
        sites = ", ".join(f'"{site}"' for site in INPUT_SITES)
        raise ValueError(
            f"{sweep.path}: expected inputs of linear layers, found none of the sites {sites};"
            " ask for them with the job key [statistics] sites"
        )
    counts = {site: sweep.site(site)["count"].values for site in held}
    for layer in range(1, int(sweep.attributes["num_layers"]) + 1):
        for site in held:
            if counts[site][layer]:
                block = family.block.format(layer - 1)
                modules = tuple(block + module for module in getattr(family, site))
                yield Inputs(layer, site, modules)
