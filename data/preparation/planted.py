"""A massive activation for a random checkpoint: which elements of which tensors make it.

In: what the model needs; a channel, the token that begins a sequence, a magnitude. Out: elements to
overwrite. The residual stream of that token then has the magnitude in that channel from the first
layer's input on: its row of the embedding holds it, less what the model multiplies embeddings by.
Images begin with the class token, or with the first position where there is none. A norm before
the first layer leaves √(channels - 1) of one large channel, whatever its size: there the norm's
weight makes the magnitude, and all other tokens have 0 in the channel. Where norms apply to the
stream itself (OPT 350M, BERT), the first of them ends it: then it is at the first layer's input alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from preparation.checkpoint_writer import Tensor
from preparation.errors import COMMAND_LINE, PreparationError
from preparation.needed_tensors import NeededTensors

BEFORE_LAYERS = (
    "embedding", "positions", "token_types", "class_token", "registers", "sink_token",
)  # fmt: skip  # [..., C]


@dataclass(frozen=True)
class Massive:
    channel: int
    token: int | None  # the id that begins sequences; none of a model of images
    magnitude: float


@dataclass(frozen=True)
class Plant:
    """Elements `first`, `first + step`, … of a tensor, `count` of them, get a value."""

    tensor: str
    first: int
    value: float
    step: int = 1
    count: int = 1


def plants_of(needed: NeededTensors, massive: Massive) -> list[Plant]:
    """In the order in which they are written: a later one may overwrite a part of an earlier."""
    channels = needed.facts["channels"]
    _check_range("--massive", "channel", massive.channel, channels)
    if needed.facts["reads_images"]:
        plants = [_first_image_token(needed, massive)]
    else:
        plants = _token_row(needed, massive)
    if norms := needed.of_kind("embedding_norm"):
        factor = massive.magnitude / math.sqrt(channels - 1)
        plants = _silent_channel(needed, massive.channel) + plants
        plants.append(Plant(norms[0].name, massive.channel, factor))
    return plants


def _check_range(option: str, what: str, value: int, end: int) -> None:
    if not 0 <= value < end:
        message = f"{option}: expected a {what} of the model, below {end}, found {value}"
        raise PreparationError(COMMAND_LINE, message)


def _token_row(needed: NeededTensors, massive: Massive) -> list[Plant]:
    (embedding,) = needed.of_kind("embedding")
    rows, width = embedding.shape
    if massive.token is None:
        message = "--massive: config.json names no bos_token_id; --massive-token says which token"
        raise PreparationError(COMMAND_LINE, message)
    _check_range("--massive-token", "token", massive.token, rows)
    entry = massive.magnitude / needed.facts["embedding_scale"]
    projections = needed.of_kind("embedding_projection")
    if not projections:
        return [Plant(embedding.name, massive.token * width + massive.channel, entry)]
    (projection,) = projections  # [C, width]: its first column feeds the channel, and it alone does
    channel_row = massive.channel * width
    return [
        Plant(projection.name, 0, 0.0, width, projection.shape[0]),
        Plant(projection.name, channel_row, 0.0, 1, width),
        Plant(projection.name, channel_row, 1.0),
        Plant(embedding.name, massive.token * width, entry),
    ]


def _first_image_token(needed: NeededTensors, massive: Massive) -> Plant:
    tables = needed.of_kind("class_token") or needed.of_kind("positions")
    return Plant(tables[0].name, massive.channel, massive.magnitude)


def _silent_channel(needed: NeededTensors, channel: int) -> list[Plant]:
    """Of all tokens, before the first layer."""
    plants = []
    for kind in BEFORE_LAYERS:
        for tensor in needed.of_kind(kind):
            width = tensor.shape[-1]
            plants.append(Plant(tensor.name, channel, 0.0, width, tensor.num_elements() // width))
    for kind in ("patches", "patch_bias", "embedding_norm_bias"):  # [C, ...]
        plants += [_row(tensor, channel) for tensor in needed.of_kind(kind)]
    return plants


def _row(tensor: Tensor, channel: int) -> Plant:
    length = tensor.num_elements() // tensor.shape[0]
    return Plant(tensor.name, channel * length, 0.0, 1, length)
