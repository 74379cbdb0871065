"""Who writes events, from what transformers' branches add to the stream.

Definitions: docs/statistics.md, "Who writes an event".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .bounds import FLOOR, ROUNDINGS, Reference, assert_near
from .inner_oracle import InBoth, Inner

COLUMNS = (
    "before", "attention_update", "mlp_update", "next_attention_update", "next_mlp_update",
)  # fmt: skip


def columns_of(inners: Sequence[Inner], found: dict[str, np.ndarray]) -> np.ndarray:
    """[events, columns] float64, at the places of the file's events; NaN behind the last layer."""
    rows = []
    places = zip(*(found[f"massive/{x}"] for x in ("sequence", "layer", "position", "channel")))
    for sequence, layer, *place in places:
        inner, place = inners[sequence], tuple(place)
        layers = len(inner.residual) - 1
        of_branches = [inner.added[branch] for branch in ("attention", "mlp")]
        own = [x[layer - 1][place] for x in of_branches] if layer > 0 else [0.0, 0.0]
        behind = [x[layer][place] if layer < layers else np.nan for x in of_branches]
        rows.append([inner.residual[max(0, layer - 1)][place], *own, *behind])
    return np.array(rows)


def check_event_updates(found: dict[str, np.ndarray], inners: InBoth) -> float:
    """By layer. The stream's float32 rounds by its own size, whatever is added to it. The largest
    error, as a part of what is allowed."""
    mine = np.stack([found[f"massive/{name}"] for name in COLUMNS], axis=1)
    assert all(found[f"massive/{name}"].dtype == np.float32 for name in COLUMNS)
    exact, *samples = (columns_of(x, found) for x in (inners.exact, *inners.samples))
    value, layer = found["massive/value"].astype(np.float64), found["massive/layer"]
    size = np.abs(np.concatenate([value[:, None], np.nan_to_num(exact)], axis=1)).max(axis=1)
    total = mine[:, :3].astype(np.float64).sum(axis=1)
    assert (np.abs(total - value) <= ROUNDINGS * size).all()
    assert (mine[layer == 0, 0] == found["massive/value"][layer == 0]).all()
    error = np.max([np.abs(x - exact) for x in samples], axis=0)
    of_size = np.broadcast_to(size[:, None], exact.shape)
    parts = []
    for number in np.unique(layer):
        here = layer == number
        reference = Reference(*(x[here][None] for x in (exact, error, of_size, of_size)))
        parts.append(assert_near(f"updates of layer {number}", mine[here][None], reference))
    return max(parts)


LIFECYCLE_COLUMNS = ("value", "attention_update", "mlp_update")


def lifecycles_of(inners: Sequence[Inner], found: dict[str, np.ndarray]) -> np.ndarray:
    """[layers + 1, rows, channels, columns] float64, of the tokens with an event and of the named
    channels; the embedding has no updates."""
    rows, channels = np.unique(found["massive/token"]), found["lifecycle_channel"]
    lifecycles = []
    for sequence, position in zip(*(found[f"tokens/{x}"][rows] for x in ("sequence", "position"))):
        inner = inners[sequence]
        value = np.stack([x[position, channels] for x in inner.residual])
        none = np.zeros((1, len(channels)))
        added = [[x[position, channels] for x in inner.added[b]] for b in ("attention", "mlp")]
        lifecycles.append(np.stack([value, *(np.concatenate([none, x]) for x in added)], axis=-1))
    return np.stack(lifecycles, axis=1)


def check_lifecycles(found: dict[str, np.ndarray], inners: InBoth) -> float:
    """By layer, as check_event_updates."""
    np.testing.assert_array_equal(found["tokens/row_token"], np.unique(found["massive/token"]))
    mine = np.stack([found[f"lifecycle/{name}"] for name in LIFECYCLE_COLUMNS], axis=-1)
    assert mine.dtype == np.float32
    exact, *samples = (lifecycles_of(x, found) for x in (inners.exact, *inners.samples))
    error = np.max([np.abs(x - exact) for x in samples], axis=0)
    size = np.abs(exact).max(axis=-1)
    size[1:] = np.maximum(size[1:], np.abs(exact[:-1, ..., 0]))  # before the layer
    total = mine[1:].astype(np.float64).sum(axis=-1) - mine[1:, ..., 0] + mine[:-1, ..., 0]
    assert (np.abs(total - mine[1:, ..., 0]) <= ROUNDINGS * size[1:]).all()
    assert (mine[0, ..., 1:] == 0).all()
    # Beside values that are small by chance their neighbours' roundings count.
    size = np.maximum(size, FLOOR * np.median(size, axis=(1, 2), keepdims=True))
    of_size = np.broadcast_to(size[..., None], exact.shape)
    return assert_near("lifecycles", mine, Reference(exact, error, of_size, of_size))
