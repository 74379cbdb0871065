"""Who writes events, from what transformers' branches add to the stream.

Definitions: docs/statistics.md, "Who writes an event".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .bounds import ROUNDINGS, Reference, assert_near
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
