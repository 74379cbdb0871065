"""The architectures of GGUF that are read, and which family a file of one is."""

from __future__ import annotations

from collections.abc import Collection

from preparation.gguf_decoders import DECODERS, MIXTRAL
from preparation.gguf_families import Family
from preparation.gguf_gemma import GEMMAS
from preparation.gguf_gpt import FALCON_40B, GPTS
from preparation.gguf_layer_norms import LAYER_NORMS

FAMILIES: dict[str, Family] = {**DECODERS, **GEMMAS, **GPTS, **LAYER_NORMS}
# Of an architecture of several families: the tensor that one of them has, and that family.
VARIANTS: dict[str, tuple[str, Family]] = {
    "falcon": ("blk.0.attn_norm_2.weight", FALCON_40B),
    "llama": ("blk.0.ffn_gate_inp.weight", MIXTRAL),
}


def family_of(architecture: str, tensors: Collection[str]) -> Family:
    """Of a file with these tensors."""
    tensor, variant = VARIANTS.get(architecture, ("", None))
    return variant if variant is not None and tensor in tensors else FAMILIES[architecture]
