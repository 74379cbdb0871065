"""The tensors of "bitsandbytes": 4 bits in blocks, whose scales may be codes themselves, or 8 bits."""

from __future__ import annotations

import json
from statistics import NormalDist

import numpy as np

from preparation.checkpoint_writer import to_bytes
from preparation.packed_matrix import BYTE_DEVIATION, Matrix, Part, Section


def bitsandbytes(section: Section, matrix: Matrix) -> list[Part]:
    if not section.get("load_in_4bit"):
        return [
            matrix.part("weight", matrix.shape, "I8", "int8"),
            matrix.number("SCB", (matrix.rows,), 127 * matrix.deviation / BYTE_DEVIATION),
            matrix.part("weight_format", (), "U8", bytes([0])),
        ]
    kind = section.get("bnb_4bit_quant_type", "fp4")
    table = nf4_numbers() if kind == "nf4" else fp4_numbers()
    count, size = matrix.rows * matrix.columns, 64
    scale = matrix.deviation / float(table.std())
    state = {"quant_type": kind, "blocksize": size, "dtype": "float32", "shape": list(matrix.shape)}
    scales = [matrix.number("weight.absmax", (-(-count // size),), scale)]
    if section.get("bnb_4bit_use_double_quant"):
        scales = nested_scales(matrix, -(-count // size), scale)
        state |= {"nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": scale}
    text = json.dumps(state).encode()
    return [
        matrix.part("weight", (-(-count // 2), 1), "U8", "bits"),
        *scales,
        matrix.part("weight.quant_map", (16,), "F32", to_bytes(table, "float32")),
        matrix.part(f"weight.quant_state.bitsandbytes__{kind}", (len(text),), "U8", text),
    ]


def nested_scales(matrix: Matrix, count: int, scale: float) -> list[Part]:
    """Around `scale`, up to a quarter of it away."""
    table = to_bytes(np.linspace(-1, 1, 256), "float32")
    return [
        matrix.part("weight.absmax", (count,), "U8", "bits"),
        matrix.number("weight.nested_absmax", (-(-count // 256),), scale / 4),
        matrix.part("weight.nested_quant_map", (256,), "F32", table),
    ]


def nf4_numbers() -> np.ndarray:
    """Quantiles of a normal distribution with a zero (arXiv 2305.14314, section 3)."""
    quantile = np.vectorize(NormalDist().inv_cdf)
    above = quantile(np.linspace(0.9677083, 0.5, 9)[:-1])
    below = -quantile(np.linspace(0.9677083, 0.5, 8)[:-1])
    numbers = np.sort(np.concatenate([above, [0.0], below]))
    return numbers / numbers.max()


def fp4_numbers() -> np.ndarray:
    positive = np.array([0, 0.0625, 8, 12, 4, 6, 2, 3]) / 12
    return np.concatenate([positive, -positive])
