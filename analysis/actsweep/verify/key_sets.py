"""Attention to sets of keys: which keys they are, and what transformers' attention gives them.

In: the sets that a job names, the tokens and events of a sweep of its windows; passes of the same windows.
Out: positions by window and layer; each dataset of `/attention` as transformers has it. Definitions:
docs/statistics.md, "Attention".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from .records import Expected, Positions, ToSets
from .reference import Pass

CLASSES = {"delimiter": 1, "weak_semantic": 2, "other": 3}  # of text: docs/output-format.md, /tokens/class
REGISTER = 1  # of images
COUNTS = ("query_count", "key_count", "sequence_count")
SINKS = {"sink_count": "sink", "sink_count_64": "short_sink"}
NEAR_THRESHOLD = 1e-5  # of the sink metric: so near to it rounding may decide
Found = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class KeySets:
    """The sets of a job by their names; windows count from 0, layers from 1."""

    names: tuple[str, ...] = ()
    classes: Sequence[np.ndarray] = ()  # of each window's tokens
    events: Mapping[tuple[int, int], Positions] = field(default_factory=dict)  # by window, layer of the event
    earlier: Mapping[int, Positions] = field(default_factory=dict)  # by window, of the sweep `attention_from`

    def positions(self, window: int, layer: int) -> list[Positions | None]:
        """Of each set; None is a learned sink, which no position has."""
        return [self._of(name, window, layer) for name in self.names]

    def _of(self, name: str, window: int, layer: int) -> Positions | None:
        if name == "learned":
            return None
        if name == "events":  # in the input of the layer
            return self.events.get((window, layer - 1), [])
        if name == "from":
            return self.earlier.get(window, [])
        if name == "position:0":
            return [0]
        if name == "registers":
            return np.flatnonzero(self.classes[window] == REGISTER).tolist()
        of_class = CLASSES[name.split(":")[1]]
        return np.flatnonzero(self.classes[window] == of_class)[:1].tolist()


def by_place(places: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], list[int]]:
    """Positions, rising and once each, by what stands before them in each place."""
    found: dict[tuple[int, ...], list[int]] = {}
    for *place, position in sorted(set(places)):
        found.setdefault(tuple(place), []).append(position)
    return found


def set_expectations(passes: Sequence[Pass]) -> Iterator[tuple[str, Expected]]:
    """Where the job has sets; sums in units of the layer's and set's largest, counts exactly."""
    if any(one.to_sets is None for one in passes[0].inside.attention.values()):
        return
    mass = _sums(passes, lambda one: _of_sets(one, "mass"))
    yield "attention/mass_sum", Expected(mass, _over_heads(mass))
    size = _sums(passes, lambda one: _of_sets(one, "score_size"))
    yield "attention/logit_sum", Expected(
        _sums(passes, lambda one: _of_sets(one, "score")), _over_heads(size)
    )
    norms = _sums(passes, lambda one: _of_sets(one, "value_norm"))
    yield "attention/set_value_norm_sum", Expected(norms, _over_heads(norms))
    for name, of in (("value_norm_sum", "value_norm"), ("sink_sum", "sink"), ("entropy_sum", "entropy")):
        values = _sums(passes, lambda one, of=of: getattr(one, of))
        yield f"attention/{name}", Expected(values, _over_heads(values))
    for name, counts in _counts(passes):
        yield f"attention/{name}", Expected(counts, np.ones_like(counts))


def _counts(passes: Sequence[Pass]) -> Iterator[tuple[str, np.ndarray]]:
    counts = _sums(passes, lambda one: _of_sets(one, "counts"))
    yield from zip(COUNTS, np.moveaxis(counts, 1, 0), strict=True)
    yield "token_count", _sums(passes, lambda one: np.array(one.tokens))
    yield "entropy_rows", _sums(passes, lambda one: np.array(one.entropy_rows))
    yield "sink_sequences", _sums(passes, lambda one: np.array(1))
    yield "sink_sequences_64", _sums(passes, lambda one: np.array(not np.isnan(one.short_sink[0])))


def sink_counts(found: Found, theirs: Sequence[Pass]) -> Iterator[tuple[str, float, str]]:
    """By how many windows a count is off, without those at a threshold but for rounding."""
    for name, of in SINKS.items():
        path = f"attention/{name}"
        if path not in found:
            continue
        thresholds = found["epsilon"]

        def above(one: ToSets, of: str = of) -> np.ndarray:
            return getattr(one, of)[:, None] > thresholds

        def near(one: ToSets, of: str = of) -> np.ndarray:
            return np.abs(getattr(one, of)[:, None] - thresholds) <= NEAR_THRESHOLD

        off = np.abs(found[path] - _sums(theirs, above)) - _sums(theirs, near)
        layer, head, _ = np.unravel_index(int(off.argmax()), off.shape)
        worst = max(0.0, float(off.max()))
        yield path, worst, f"layer {layer}, head {head}" if worst > 0 else ""


def _of_sets(one: ToSets, name: str) -> np.ndarray:
    """[…, sets], as the file has them."""
    return np.stack([getattr(each, name) for each in one.sets], axis=-1)


def _sums(passes: Sequence[Pass], of: Callable[[ToSets], np.ndarray]) -> np.ndarray:
    """[layers of the file, …] float64: over windows; 0 in a layer without attention."""
    layers = sorted(passes[0].inside.attention)
    sums = [np.sum([of(_to_sets(one, n)) for one in passes], axis=0) for n in layers]
    values = np.zeros((len(passes[0].stream), *sums[0].shape))
    values[layers] = sums
    return values


def _to_sets(one: Pass, layer: int) -> ToSets:
    found = one.inside.attention[layer].to_sets
    assert found is not None
    return found


def _over_heads(values: np.ndarray) -> np.ndarray:
    """The largest magnitude of heads, [layer, head, …], in the shape of the values."""
    largest = np.abs(values).max(axis=1, keepdims=True)
    return np.broadcast_to(np.maximum(largest, np.finfo(np.float32).tiny), values.shape)
