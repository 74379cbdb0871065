"""Who writes a massive activation, by transformers' blocks: of events and of lifecycles (docs/statistics.md).

In: passes of windows, and what the sweep has of the same windows. Out: for each dataset its largest
difference in units of the size of the parts, and of how many it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from .reference import Pass

PARTS = ("before", "attention_update", "mlp_update")
NEXT = ("next_attention_update", "next_mlp_update")
LIFECYCLE = ("value", "attention_update", "mlp_update")
Found = Mapping[str, np.ndarray]


def event_lines(found: Found, theirs: Sequence[Pass]) -> Iterator[tuple[str, float, str]]:
    """In units of the event's largest part; of the events in layers whose parts transformers shows."""
    names = [name for name in (*PARTS, *NEXT) if f"massive/{name}" in found]
    if not names or not theirs[0].inside.between:
        return
    worst, compared = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0)
    places = zip(*(found[f"massive/{x}"] for x in ("sequence", "layer", "position", "channel")), strict=True)
    for number, (sequence, *place) in enumerate(places):
        parts = _parts_of_event(theirs[int(sequence)], *map(int, place))
        sizes = [abs(part) for part in parts.values() if not np.isnan(part)]
        size = max([*sizes, abs(float(found["massive/value"][number]))])
        for name in names:
            if name in parts:
                compared[name] += 1
                error = _error(float(found[f"massive/{name}"][number]), parts[name], size)
                worst[name] = max(worst[name], error)
    for name in names:
        yield f"massive/{name}", worst[name], f"{compared[name]:,} of {len(found['massive/value']):,} events"


def lifecycle_lines(found: Found, theirs: Sequence[Pass]) -> Iterator[tuple[str, float, str]]:
    """In units of the largest magnitude that the token's channel has in any layer; of the tokens with an
    event."""
    if "lifecycle/value" not in found or not theirs[0].inside.between:
        return
    ends = np.cumsum([0, *(one.stream.shape[1] for one in theirs)])
    tokens = found["tokens/row_token"].astype(np.int64)
    sequences = np.searchsorted(ends, tokens, side="right") - 1
    worst = dict.fromkeys(LIFECYCLE, 0.0)
    for row, (token, sequence) in enumerate(zip(tokens, sequences, strict=True)):
        expected = _lifecycle(theirs[sequence], token - ends[sequence], found["lifecycle_channel"])
        size = np.abs(expected["value"]).max(axis=0)  # [channel]
        for name, values in expected.items():
            shown = ~np.isnan(values[:, 0])
            errors = np.abs(found[f"lifecycle/{name}"][:, row] - values)[shown] / np.maximum(size, 1e-30)
            worst[name] = max(worst[name], float(np.where(np.isnan(errors), np.inf, errors).max()))
    for name in LIFECYCLE:
        yield f"lifecycle/{name}", worst[name], f"{len(tokens):,} tokens"


def _error(mine: float, theirs: float, size: float) -> float:
    """Infinite where one side alone is none."""
    if np.isnan(mine) and np.isnan(theirs):
        return 0.0
    error = abs(mine - theirs) / size
    return np.inf if np.isnan(error) else error


def _changes(one: Pass, layer: int, position: int, channel: int) -> tuple[float, float] | None:
    """What the mixer and what the MLP of a layer changed; None where transformers does not show it."""
    if layer not in one.inside.between:
        return None
    before, after = (float(one.stream[n, position, channel]) for n in (layer - 1, layer))
    between = float(one.inside.between[layer][position, channel])
    return between - before, after - between


def _parts_of_event(one: Pass, layer: int, position: int, channel: int) -> dict[str, float]:
    """By name; without those that transformers does not show."""
    parts: dict[str, float] = {}
    if layer == 0:
        parts = dict(zip(PARTS, (float(one.stream[0, position, channel]), 0.0, 0.0), strict=True))
    elif changes := _changes(one, layer, position, channel):
        parts = dict(zip(PARTS, (float(one.stream[layer - 1, position, channel]), *changes), strict=True))
    if layer + 1 == len(one.stream):
        parts |= dict.fromkeys(NEXT, np.nan)
    elif changes := _changes(one, layer + 1, position, channel):
        parts |= dict(zip(NEXT, changes, strict=True))
    return parts


def _lifecycle(one: Pass, position: int, channels: np.ndarray) -> dict[str, np.ndarray]:
    """[layer, channel] each; NaN in layers that transformers does not show."""
    value = one.stream[:, position, channels].astype(np.float64)
    mixer, mlp = np.full_like(value, np.nan), np.full_like(value, np.nan)
    mixer[0] = mlp[0] = 0
    for layer, between in one.inside.between.items():
        mixer[layer] = between[position, channels] - value[layer - 1]
        mlp[layer] = value[layer] - between[position, channels]
    return dict(zip(LIFECYCLE, (value, mixer, mlp), strict=True))
