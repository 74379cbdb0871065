"""Which linear layers read which site, by their names in Hugging Face's models.

In: a sweep file of a language model. Out: for each block the modules and the site that is their
input, and those of routed experts, each of which reads the tokens that chose it. The names of other
programs follow from these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .sweep import Sweep

ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")


@dataclass(frozen=True)
class Experts:
    """Module names of a layer of routed experts.

    "{}" stands for the expert; a name without it is one tensor that holds all experts.
    """

    router: str = "mlp.gate"
    input: tuple[str, ...] = ("mlp.experts.{}.gate_proj", "mlp.experts.{}.up_proj")
    hidden: tuple[str, ...] = ("mlp.experts.{}.down_proj",)
    shared_input: tuple[str, ...] = ()
    shared_hidden: tuple[str, ...] = ()


@dataclass(frozen=True)
class Family:
    """Module names of one model type; `gguf` is its architecture in llama.cpp, if it has one.

    `experts` is there where layers may have routed experts in the place of the dense MLP.
    """

    gguf: str | None
    block: str = "model.layers.{}."
    attention_input: tuple[str, ...] = ATTENTION
    attention_heads: tuple[str, ...] = ("self_attn.o_proj",)
    mlp_input: tuple[str, ...] = ("mlp.gate_proj", "mlp.up_proj")
    mlp_hidden: tuple[str, ...] = ("mlp.down_proj",)
    experts: Experts | None = None

    def reading(self, site: str, routed: bool) -> tuple[str, ...]:
        """Modules of a block that read a site of all its tokens."""
        if routed and self.experts is not None and site in ("mlp_input", "mlp_hidden"):
            if site == "mlp_input":
                return (self.experts.router, *self.experts.shared_input)
            return self.experts.shared_hidden
        return getattr(self, site)


INPUT_SITES = ("attention_input", "attention_heads", "mlp_input", "mlp_hidden")


def _gpt2(gguf: str) -> Family:
    block = "transformer.h.{}."
    return Family(gguf, block, ("attn.c_attn",), ("attn.c_proj",), ("mlp.c_fc",), ("mlp.c_proj",))


def _gptj(*attention_input: str) -> Family:
    block = "transformer.h.{}."
    return Family(None, block, attention_input, ("attn.out_proj",), ("mlp.fc_in",), ("mlp.fc_out",))


SHARED = "mlp.shared_expert"
MIXTRAL = "block_sparse_moe.experts.{}"
EXPERT_PARTS = ("input", "hidden")  # of the gate and up projections, and of the down projection

FAMILIES = {
    "llama": Family("llama"),
    "mistral": Family("llama"),
    "qwen2": Family("qwen2"),
    "qwen3": Family("qwen3"),
    "gemma": Family("gemma"),
    "gemma2": Family("gemma2"),
    "gemma3_text": Family("gemma3"),
    "olmo2": Family("olmo2"),
    "olmo3": Family("olmo2"),
    "smollm3": Family("smollm3"),
    "seed_oss": Family("seed_oss"),
    "ministral3": Family("mistral3"),
    "exaone4": Family("exaone4"),
    "ernie4_5": Family("ernie4_5"),
    "glm": Family("chatglm", mlp_input=("mlp.gate_up_proj",)),
    "glm4": Family("glm4", mlp_input=("mlp.gate_up_proj",)),
    "cohere": Family("command-r"),
    "cohere2": Family("cohere2"),
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
    "gpt_neo": Family(
        None,
        "transformer.h.{}.",
        tuple(f"attn.attention.{name}_proj" for name in "qkv"),
        ("attn.attention.out_proj",),
        ("mlp.c_fc",),
        ("mlp.c_proj",),
    ),
    "gptj": _gptj("attn.q_proj", "attn.k_proj", "attn.v_proj"),
    "codegen": _gptj("attn.qkv_proj"),
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
    "mixtral": Family(
        "llama",
        mlp_input=(),
        mlp_hidden=(),
        experts=Experts(
            "block_sparse_moe.gate", (f"{MIXTRAL}.w1", f"{MIXTRAL}.w3"), (f"{MIXTRAL}.w2",)
        ),
    ),
    "qwen2_moe": Family(
        "qwen2moe",
        experts=Experts(
            shared_input=(f"{SHARED}_gate", f"{SHARED}.gate_proj", f"{SHARED}.up_proj"),
            shared_hidden=(f"{SHARED}.down_proj",),
        ),
    ),
    "qwen3_moe": Family("qwen3moe", experts=Experts()),
    "gpt_oss": Family(
        "gpt-oss",
        mlp_input=(),
        mlp_hidden=(),
        experts=Experts("mlp.router", ("mlp.experts.gate_up_proj",), ("mlp.experts.down_proj",)),
    ),
}


@dataclass(frozen=True)
class Inputs:
    """The modules of one block that read one site at `layer`, numbered from 1."""

    layer: int
    site: str
    modules: tuple[str, ...]
    tokens: int  # finite ones; without any there are no values


@dataclass(frozen=True)
class ExpertInputs:
    """The modules of one block's routed experts that read `part`: "input" or "hidden"."""

    layer: int
    part: str
    modules: tuple[str, ...]  # "{}" stands for the expert
    tokens: np.ndarray  # [E] int64, those that chose each expert


def family_of(sweep: Sweep) -> Family:
    """The row of the file's model type; refuses those without one."""
    name = str(sweep.attributes["model_family"])
    if name not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise ValueError(f"{sweep.path}: no names of linear layers for '{name}'; known: {known}")
    return FAMILIES[name]


def missing_inputs(sweep: Sweep) -> list[str]:
    """What an export of all linear layers needs, and the file lacks, by the names in the job."""
    family = family_of(sweep)
    # Where all layers have routed experts there may be no dense MLP to ask for.
    has_hidden = bool(family.mlp_hidden or family.reading("mlp_hidden", routed=True))
    wanted = [site for site in INPUT_SITES if site != "mlp_hidden" or has_hidden]
    missing = [site for site in wanted if not sweep.has(site)]
    if family.experts and not sweep.has("experts/input_sum_square"):
        missing.append("expert_inputs")
    return missing


def linear_inputs(sweep: Sweep) -> Iterator[Inputs]:
    """All blocks and their sites that the file holds, in the order of the model; those too at which
    no token was finite.

    Refuses a file without any. Without `/experts` in the file it is not known which blocks of a model
    with routed experts have a dense MLP; then no MLP is named.
    """
    family = family_of(sweep)
    held = [site for site in INPUT_SITES if sweep.has(site)]
    if not held and not sweep.has("experts/input_sum_square"):
        sites = ", ".join(f'"{site}"' for site in INPUT_SITES)
        raise ValueError(
            f"{sweep.path}: expected inputs of linear layers, found none of the sites {sites};"
            " ask for them with the job key [statistics] sites"
        )
    if family.experts and not sweep.has("experts"):
        held = [site for site in held if not site.startswith("mlp")]
    counts = {site: sweep.site(site)["count"].values for site in held}
    left_out = {site: sweep.site(site)["nonfinite_tokens"].values for site in held}
    routed = _routed_layers(sweep)
    silent = layers_without_experts(sweep)
    for layer in range(1, int(sweep.attributes["num_layers"]) + 1):
        block = family.block.format(layer - 1)
        for site in held:
            tokens = int(counts[site][layer])
            modules = tuple(block + name for name in family.reading(site, layer in routed))
            is_unknown = layer in silent and site.startswith("mlp")
            # A layer that lacks the site has neither kind of tokens.
            if modules and not is_unknown and (tokens or left_out[site][layer]):
                yield Inputs(layer, site, modules, tokens)


def expert_inputs(sweep: Sweep) -> Iterator[ExpertInputs]:
    """All blocks of routed experts whose inputs the file holds, in the order of the model."""
    family = family_of(sweep)
    if family.experts is None or not sweep.has("experts/input_sum_square"):
        return
    counts = sweep.group("experts")["token_count"].values  # [layer, expert]
    for layer in sorted(_routed_layers(sweep)):
        block = family.block.format(layer - 1)
        for part in EXPERT_PARTS:
            names = getattr(family.experts, part)
            yield ExpertInputs(layer, part, tuple(block + name for name in names), counts[layer])


def layers_without_experts(sweep: Sweep) -> list[int]:
    """Layers that may have routed experts, of which none had a finite token."""
    family = family_of(sweep)
    if family.experts is None or not sweep.has("experts"):
        return []
    always = not family.mlp_hidden
    routed = _routed_layers(sweep)
    layers = range(1, int(sweep.attributes["num_layers"]) + 1)
    return [layer for layer in layers if layer not in routed and (always or _is_silent(sweep, layer))]


def _is_silent(sweep: Sweep, layer: int) -> bool:
    """Whether all tokens of a layer were left out at a site that the file holds."""
    for name in sweep.sites:
        site = sweep.site(name)
        if "layer" in site["count"].dims and not site["count"][layer]:
            if site["nonfinite_tokens"][layer]:
                return True
    return False


def _routed_layers(sweep: Sweep) -> set[int]:
    if not sweep.has("experts"):
        return set()
    tokens = sweep.group("experts")["token_count"].sum("expert").values
    return {layer for layer, count in enumerate(tokens) if count}
