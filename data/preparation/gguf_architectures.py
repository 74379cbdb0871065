"""The architectures of GGUF that are read, and which family a file of one is."""

from __future__ import annotations

from collections.abc import Collection

from preparation.gguf_decoders import DECODERS, MIXTRAL
from preparation.gguf_families import Family
from preparation.gguf_fused import FUSED, GRANITE_MOE_SHARED, PHIMOE_FUSED
from preparation.gguf_gemma import GEMMAS
from preparation.gguf_gpt import FALCON_40B, GPTS
from preparation.gguf_layer_norms import LAYER_NORMS
from preparation.gguf_routed import DEEPSEEK_V3, ROUTED

FAMILIES: dict[str, Family] = {**DECODERS, **GEMMAS, **GPTS, **LAYER_NORMS, **ROUTED, **FUSED}
# Of an architecture of several families: the end of the name of a tensor that one of them has, and that
# family. The first that is found counts.
VARIANTS: dict[str, tuple[tuple[str, Family], ...]] = {
    "deepseek2": (("exp_probs_b.bias", DEEPSEEK_V3),),
    "falcon": (("blk.0.attn_norm_2.weight", FALCON_40B),),
    "granitemoe": (("ffn_gate_shexp.weight", GRANITE_MOE_SHARED),),
    "llama": (("blk.0.ffn_gate_inp.weight", MIXTRAL),),
    "phimoe": (("attn_qkv.weight", PHIMOE_FUSED),),
}


def family_of(architecture: str, tensors: Collection[str]) -> Family:
    """Of a file with tensors of these names."""
    for end, family in VARIANTS.get(architecture, ()):
        if any(name.endswith(end) for name in tensors):
            return family
    return FAMILIES[architecture]
