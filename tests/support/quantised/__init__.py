"""Quantised checkpoints of tiny models, and the numbers that they stand for."""

from .bitsandbytes import BITSANDBYTES
from .compressed_tensors import COMPRESSED_TENSORS
from .form import Form, Packed, QuantisedModel, Stored, Tensors, model_of, save_both
from .fp8 import FP8
from .gptq_awq import GPTQ_AWQ
from .modelopt import MODELOPT
from .mxfp4 import MXFP4

FORMS = (*FP8, *MXFP4, *COMPRESSED_TENSORS, *GPTQ_AWQ, *MODELOPT, *BITSANDBYTES)

__all__ = [
    "FORMS",
    "FP8",
    "MXFP4",
    "Form",
    "Packed",
    "QuantisedModel",
    "Stored",
    "Tensors",
    "model_of",
    "save_both",
]
