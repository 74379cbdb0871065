"""The tensors that quantised files keep a matrix in, as each method of `quantization_config` has them.

In: the section, a matrix that it packs, with the standard deviation that its numbers shall have. Out:
the stored tensors with what fills them: codes at random, one scale for all. None where the matrix does
not fill whole words or groups, as quantisers leave such a one. Refuses (MODEL) a method that is not
known. The formats are those of docs/models.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from preparation.checkpoint_writer import Tensor
from preparation.errors import MODEL, PreparationError
from preparation.packed_bitsandbytes import bitsandbytes
from preparation.packed_compressed import compressed_tensors
from preparation.packed_matrix import (
    BYTE_DEVIATION,
    FLOAT4_DEVIATION,
    FLOAT8_ONE,
    Matrix,
    Part,
    Section,
    blocks,
    groups_backwards,
    int_deviation,
    packed_words,
)


def parts_of(section: Section, matrix: Matrix) -> list[Part] | None:
    method = str(section.get("quant_method"))
    if method not in METHODS:
        known = ", ".join(METHODS)
        raise PreparationError(MODEL, f'"quant_method": expected one of {known}, found "{method}"')
    if (len(matrix.shape) == 2) == (method == "mxfp4"):
        return None
    return METHODS[method](section, matrix)


def fp8(section: Section, matrix: Matrix) -> list[Part]:
    block = section.get("weight_block_size", [128, 128])
    grid = blocks(matrix, *block) if block else ()
    if section.get("fmt") == "e5m2":
        raise PreparationError(MODEL, '"fmt": expected "e4m3", found "e5m2"')
    parts = [
        matrix.part("weight", matrix.shape, "F8_E4M3", "float8"),
        matrix.number("weight_scale_inv", grid, matrix.deviation / BYTE_DEVIATION),
    ]
    is_static = section.get("activation_scheme") == "static"
    return [*parts, matrix.number("activation_scale", (), 0.5)] if is_static else parts


def mxfp4(_section: Section, matrix: Matrix) -> list[Part] | None:
    """Experts [E, in, out], stored as [E, out, in] in blocks of 32."""
    experts, columns, rows = matrix.shape
    if columns % 32:
        return None
    shape = (experts, rows, columns // 32)
    exponent = round(math.log2(matrix.deviation / FLOAT4_DEVIATION)) + 127
    return [
        Part(Tensor(matrix.name + "_blocks", (*shape, 16), "U8"), "bits"),
        Part(Tensor(matrix.name + "_scales", shape, "U8"), bytes([exponent])),
    ]


def gptq(section: Section, matrix: Matrix) -> list[Part] | None:
    bits, size = section["bits"], section["group_size"]
    size = matrix.columns if size == -1 else size
    if matrix.rows * bits % 32 or matrix.columns * bits % 32 or matrix.columns % size:
        return None
    groups, words = matrix.columns // size, matrix.rows * bits // 32
    less = 0 if section.get("checkpoint_format") == "gptq_v2" else 1
    zeros = packed_words(np.full(matrix.rows, 2 ** (bits - 1) - less), bits)
    order = np.arange(matrix.columns) // size
    return [
        matrix.part("qweight", (matrix.columns * bits // 32, matrix.rows), "I32", "bits"),
        matrix.part("qzeros", (groups, words), "I32", zeros.tobytes()),
        matrix.number("scales", (groups, matrix.rows), matrix.deviation / int_deviation(bits), "F16"),
        matrix.part("g_idx", (matrix.columns,), "I32",
                    groups_backwards(matrix, groups) if section.get("desc_act")
                    else order.astype("<i4").tobytes()),
    ]  # fmt: skip


def awq(section: Section, matrix: Matrix) -> list[Part] | None:
    size = matrix.columns if section["group_size"] == -1 else section["group_size"]
    if matrix.rows % 8 or matrix.columns % size:
        return None
    groups, words = matrix.columns // size, matrix.rows // 8
    return [
        matrix.part("qweight", (matrix.columns, words), "I32", "bits"),
        matrix.part("qzeros", (groups, words), "I32", bytes([0x87])),  # 7 and 8 in turns
        matrix.number("scales", (groups, matrix.rows), matrix.deviation / int_deviation(4), "F16"),
    ]


def modelopt(section: Section, matrix: Matrix) -> list[Part] | None:
    algorithm = section.get("quant_algo")
    known = ("FP8", "FP8_PER_CHANNEL_PER_TOKEN", "NVFP4")
    if algorithm not in known:
        expected = ", ".join(known)
        raise PreparationError(MODEL, f'"quant_algo": expected one of {expected}, found "{algorithm}"')
    inputs = matrix.number("input_scale", (), 0.25)
    if algorithm != "NVFP4":
        shape = () if algorithm == "FP8" else (matrix.rows,)
        return [
            matrix.part("weight", matrix.shape, "F8_E4M3", "float8"),
            matrix.number("weight_scale", shape, matrix.deviation / BYTE_DEVIATION),
            inputs,
        ]
    size = section.get("group_size") or 16
    if matrix.columns % size:
        return None
    return [
        matrix.part("weight", (matrix.rows, matrix.columns // 2), "U8", "bits"),
        matrix.part("weight_scale", (matrix.rows, matrix.columns // size), "F8_E4M3", FLOAT8_ONE),
        matrix.number("weight_scale_2", (), matrix.deviation / FLOAT4_DEVIATION),
        inputs,
    ]


METHODS: dict[str, Callable[[Section, Matrix], list[Part] | None]] = {
    "fp8": fp8,
    "mxfp4": mxfp4,
    "compressed-tensors": compressed_tensors,
    "gptq": gptq,
    "awq": awq,
    "modelopt": modelopt,
    "bitsandbytes": bitsandbytes,
}
