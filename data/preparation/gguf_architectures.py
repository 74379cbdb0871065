"""The architectures of GGUF that are read, and which family a file of one is."""

from __future__ import annotations

from collections.abc import Callable, Collection

from preparation.gguf_decoders import DECODERS, MIXTRAL
from preparation.gguf_encoders import BOTH_SIDED
from preparation.gguf_families import Family
from preparation.gguf_file import Fields
from preparation.gguf_fused import FUSED, GRANITE_MOE_SHARED, PHIMOE_FUSED
from preparation.gguf_gemma import GEMMAS
from preparation.gguf_gemma4 import GEMMA4
from preparation.gguf_gpt import FALCON_40B, GPTS
from preparation.gguf_grouped_states import BAMBA, GRANITE_HYBRID_DENSE, GROUPED
from preparation.gguf_layer_norms import LAYER_NORMS
from preparation.gguf_llamas import GLM_FUSED, LLAMAS, MINISTRAL3
from preparation.gguf_mixers import MIXERS
from preparation.gguf_nemotron import NEMOTRONS
from preparation.gguf_routed import DEEPSEEK_V3, ROUTED
from preparation.gguf_states import SELECTIVE

Sign = Callable[[Collection[str], Fields], bool]  # of the tensors' names and the fields

FAMILIES: dict[str, Family] = {
    **DECODERS, **GEMMAS, **GPTS, **LAYER_NORMS, **LLAMAS, **ROUTED, **FUSED, **MIXERS,
    **SELECTIVE, **GROUPED, **NEMOTRONS, **BOTH_SIDED, "gemma4": GEMMA4,
}  # fmt: skip


def has(end: str) -> Sign:
    """A tensor whose name ends so."""
    return lambda tensors, fields: any(name.endswith(end) for name in tensors)


# Of an architecture of several families: what tells one of the others. The first that is found counts.
VARIANTS: dict[str, tuple[tuple[Sign, Family], ...]] = {
    "chatglm": ((has("attn_qkv.weight"), GLM_FUSED),),
    "deepseek2": ((has("exp_probs_b.bias"), DEEPSEEK_V3),),
    "falcon": ((has("blk.0.attn_norm_2.weight"), FALCON_40B),),
    "granitehybrid": (
        (lambda tensors, fields: bool(fields.get("granitehybrid.rope.scaling.finetuned")), BAMBA),
        (has("ffn_gate.weight"), GRANITE_HYBRID_DENSE),
    ),
    "granitemoe": ((has("ffn_gate_shexp.weight"), GRANITE_MOE_SHARED),),
    "llama": ((has("blk.0.ffn_gate_inp.weight"), MIXTRAL),),
    "mistral3": ((lambda tensors, fields: "mistral3.attention.temperature_scale" in fields, MINISTRAL3),),
    "phimoe": ((has("attn_qkv.weight"), PHIMOE_FUSED),),
}


def family_of(architecture: str, tensors: Collection[str], fields: Fields) -> Family:
    """Of a file with these fields, and with tensors of these names."""
    for sign, family in VARIANTS.get(architecture, ()):
        if sign(tensors, fields):
            return family
    return FAMILIES[architecture]
