"""The tensors of "compressed-tensors", as llm-compressor writes them.

In: the section, a matrix. Out: its parts by the scheme of the group that its module belongs to; None
where there is none, or where the matrix does not fill its groups.
"""

from __future__ import annotations

import math
import re

import numpy as np

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


def compressed_tensors(section: Section, matrix: Matrix) -> list[Part] | None:
    group = scheme_of(section, matrix.module)
    if group is None:
        return None
    weights = group["weights"]
    bits, is_float = weights["num_bits"], weights["type"] == "float"
    grid = compressed_grid(weights, matrix)
    if grid is None:
        return None
    if is_float and bits == 4:
        return compressed_halves(weights, matrix, grid)
    form = group.get("format") or section["format"]
    is_bytes = is_float or form in ("int-quantized", "naive-quantized")
    return compressed_bytes(weights, matrix, grid) if is_bytes else compressed_ints(weights, matrix, grid)


def scheme_of(section: Section, module: str) -> Section | None:
    groups = [group for group in section["config_groups"].values() if group.get("weights")]

    def is_named(target: str) -> bool:
        if target.startswith("re:"):
            return re.match(target.removeprefix("re:"), module) is not None
        return target == module

    named = [group for group in groups if any(map(is_named, group["targets"]))]
    return next(iter([*named, *(group for group in groups if "Linear" in group["targets"])]), None)


def compressed_grid(weights: Section, matrix: Matrix) -> tuple[int, ...] | None:
    """The shape of scales."""
    strategy = weights["strategy"]
    if strategy == "tensor":
        return (1,)
    if strategy == "channel":
        return matrix.rows, 1
    if strategy == "block":
        return blocks(matrix, *weights["block_structure"])
    size = weights["group_size"]
    return None if matrix.columns % size else (matrix.rows, matrix.columns // size)


def compressed_halves(weights: Section, matrix: Matrix, grid: tuple[int, ...]) -> list[Part]:
    """NVFP4, whose scale of the matrix divides, or MXFP4."""
    codes = matrix.part("weight_packed", (matrix.rows, matrix.columns // 2), "U8", "bits")
    scale = matrix.deviation / FLOAT4_DEVIATION
    if weights["strategy"] != "tensor_group":
        exponent = bytes([round(math.log2(scale)) + 127])
        return [codes, matrix.part("weight_scale", grid, "U8", exponent)]
    return [
        codes,
        matrix.part("weight_scale", grid, "F8_E4M3", FLOAT8_ONE),
        matrix.number("weight_global_scale", (1,), 1 / scale),
        matrix.number("input_global_scale", (1,), 3.0),
    ]


def compressed_bytes(weights: Section, matrix: Matrix, grid: tuple[int, ...]) -> list[Part]:
    is_float = weights["type"] == "float"
    stored, pool = ("F8_E4M3", "float8") if is_float else ("I8", "int8")
    parts = [
        matrix.part("weight", matrix.shape, stored, pool),
        matrix.number("weight_scale", grid, matrix.deviation / BYTE_DEVIATION, "BF16" if is_float else "F32"),
    ]
    if not weights.get("symmetric", True):
        parts.append(matrix.part("weight_zero_point", grid, "I8", bytes([3])))
    return parts


def compressed_ints(weights: Section, matrix: Matrix, grid: tuple[int, ...]) -> list[Part]:
    bits, words = weights["num_bits"], -(-matrix.columns * weights["num_bits"] // 32)
    parts = [
        matrix.part("weight_packed", (matrix.rows, words), "I32", "bits"),
        matrix.number("weight_scale", grid, matrix.deviation / int_deviation(bits), "F16"),
        matrix.part("weight_shape", (2,), "I64", np.array(matrix.shape, "<i8").tobytes()),
    ]
    if not weights.get("symmetric", True):
        zeros = packed_words(np.full(matrix.rows, 2 ** (bits - 1) - 1), bits)
        down = np.repeat(zeros[:, None], grid[1], axis=1)
        parts.append(matrix.part("weight_zero_point", down.shape, "I32", down.tobytes()))
    if weights.get("actorder") == "group":
        parts.append(matrix.part("weight_g_idx", (matrix.columns,), "I32", groups_backwards(matrix, grid[1])))
    return parts
