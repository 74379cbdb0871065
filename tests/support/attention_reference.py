"""The statistics of attention by the textbook: from whole T x T probabilities, with numpy.

Definitions: docs/statistics.md, section 3. `windows` are what a sweep measured, `inners` what
transformers computed for each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .bounds import Reference
from .inner_oracle import InBoth, Inner, LayerAttention
from .splitmix import splitmix64
from .token_files import Window

EPSILONS = (0.2, 0.3, 0.8)
CLEAR = 2e-6
CLASSES = {"delimiter": 1, "weak_semantic": 2, "other": 3}



@dataclass(frozen=True)
class Learned:
    """The set "learned" where it is a slot of the softmax and no token."""

    score: Callable[[int, LayerAttention], np.ndarray]  # (layer from 0, attention) -> [H, n]
    value_norm: Callable[[int], np.ndarray | float] = lambda _layer: 0.0  # [key heads]


KeySet = Callable[[int, int], list[int]] | Learned  # (window, layer from 0) -> positions
Fields = dict[str, np.ndarray]


def class_first(windows: Sequence[Window], name: str) -> KeySet:
    """The set "class:NAME:first"."""

    def positions(window: int, _layer: int) -> list[int]:
        return np.flatnonzero(windows[window].classes == CLASSES[name])[:1].tolist()

    return positions


def draw(seed: int, count: int, total: int, taken: list[int]) -> list[int]:
    left = [i for i in range(total) if i not in taken]
    drawn = []
    for i in range(count):
        if left:
            drawn.append(left.pop(splitmix64(seed, i) % len(left)))
    return sorted(drawn)


@dataclass(frozen=True)
class Chunk:
    """A query sees the keys of its own run of so many positions."""

    length: int


def visible(
    attention: LayerAttention, window: int | Chunk | None, is_causal: bool = True
) -> np.ndarray:
    """bool [n, n]: which keys a query sees."""
    n = attention.probability.shape[1]
    i, j = np.arange(n)[:, None], np.arange(n)
    if not is_causal:
        return np.abs(i - j) < (window or n)
    if isinstance(window, Chunk):
        return (j <= i) & (j // window.length == i // window.length)
    return (j <= i) & (j > i - (window or n))


def queries_of(seen: np.ndarray, keys: list[int]) -> np.ndarray:
    """bool [n]: outside the set, and seeing all of it."""
    chosen = seen[:, keys].all(axis=1)
    chosen[keys] = False
    return chosen


def attention_references(
    inners: InBoth,
    sets: Sequence[KeySet],
    layer_windows: Sequence[int | Chunk | None],
    *,
    numbers: Sequence[int] | None = None,
    **switches: bool,
) -> dict[str, Reference]:
    """By the names of the datasets, in the file's order. Errors add up over windows, whose `numbers`
    the sets go by; the largest of all samples counts."""
    numbers = range(len(inners.exact)) if numbers is None else numbers
    exact, *samples = (
        AttentionReference(of, sets, layer_windows, numbers, **switches).fields_of_windows()
        for of in (inners.exact, *inners.samples)
    )
    found = {}
    for name in sorted({name for window in exact for name in window}):
        theirs = [window[name] for window in exact if name in window]
        errors = [
            sum(np.abs(a[name] - b[name]) for a, b in zip(exact, sample, strict=True) if name in a)
            for sample in samples
        ]
        size = sum(np.abs(values) for values in theirs)
        reference = Reference(sum(theirs), np.max(errors, axis=0), size)
        found[name] = reference.change(lambda values, name=name: in_file_order(name, values))
    return found


class AttentionReference:
    """Sums over the queries of each window, by the names of the datasets."""

    def __init__(
        self,
        inners: Sequence[Inner],
        sets: Sequence[KeySet],
        layer_windows: Sequence[int | Chunk | None],
        numbers: Sequence[int],
        has_slot: bool = False,
        is_causal: bool = True,
    ) -> None:
        """`layer_windows`: the sliding window of each layer; `has_slot`: a sink or an extra key."""
        self._inners = inners
        self._sets = sets
        self._layer_windows = layer_windows
        self._numbers = numbers
        self._slot = int(has_slot)
        self._is_causal = is_causal
        self._fields: Fields = {}

    def _add(self, name: str, layer: int, value: object, *place: int) -> None:
        """Layer from 0; the file's layer 0 stays 0."""
        array = np.asarray(value, np.float64)
        if name not in self._fields:
            lengths = {"key_set": len(self._sets), "selection": 2}
            axes = AXES[name]
            shape = [len(self._layer_windows) + 1]
            shape += [lengths[axis] for axis in axes] if axes else []
            self._fields[name] = np.zeros((*shape, *array.shape))
        self._fields[name][(layer + 1, *place)] += array

    def fields_of_windows(self) -> list[Fields]:
        found = []
        for number, inner in zip(self._numbers, self._inners, strict=True):
            self._fields = {}
            found.append(self._fields)
            for layer, attention in enumerate(inner.attention):
                seen = visible(attention, self._layer_windows[layer], self._is_causal)
                self._add_window(layer, attention, seen)
                for at, keys_of in enumerate(self._sets):
                    if isinstance(keys_of, Learned):
                        self._add_learned(layer, attention, keys_of, at)
                        continue
                    keys = keys_of(number, layer)
                    if keys:
                        self._add_set(layer, attention, seen, keys, at)
                    output = inner.sites["attention_output"][layer]
                    half = attention.probability.shape[1] // 2
                    random = draw(number, len(keys), half, keys)
                    for selection, chosen in enumerate((keys, random)):
                        place = (selection, at)
                        self._add_update(layer, attention, seen, chosen, output, place)
        return found

    def _add_window(self, layer: int, attention: LayerAttention, seen: np.ndarray) -> None:
        a, n = attention.probability, attention.probability.shape[1]
        mass = a[:, :, 0].sum(axis=1) / n
        assert np.abs(mass[:, None] - EPSILONS).min() > CLEAR  # no rounding decides
        self._add("attention/sink_sum", layer, mass)
        self._add("attention/sink_count", layer, mass[:, None] > EPSILONS)
        self._add("attention/sink_sequences", layer, 1)
        if n >= 64:
            short = a[:, :64, 0].sum(axis=1) / 64
            assert np.abs(short[:, None] - EPSILONS).min() > CLEAR
            self._add("attention/sink_count_64", layer, short[:, None] > EPSILONS)
        self._add("attention/sink_sequences_64", layer, int(n >= 64))
        slots = seen.sum(axis=1) + self._slot
        rest = 1 - a.sum(axis=2)  # on a sink
        parts = np.concatenate([a, np.clip(rest, 0, None)[..., None]], axis=2)[:, slots > 1]
        terms = np.where(parts > 1e-12, parts * np.log(np.maximum(parts, 1e-12)), 0)
        share = -terms.sum(axis=2) / np.log(slots[slots > 1])
        self._add("attention/entropy_sum", layer, share.sum(axis=1))
        self._add("attention/entropy_rows", layer, (slots > 1).sum())
        norms = np.linalg.norm(attention.value, axis=2)
        self._add("attention/value_norm_sum", layer, norms.sum(axis=1))
        self._add("attention/token_count", layer, n)

    def _add_set(
        self, layer: int, attention: LayerAttention, seen: np.ndarray, keys: list[int], at: int
    ) -> None:
        queries = queries_of(seen, keys)
        mass = attention.probability[:, queries][:, :, keys].sum(axis=2)
        logit = attention.logit[:, queries][:, :, keys].mean(axis=2)
        norms = np.linalg.norm(attention.value, axis=2)[:, keys]
        self._add("attention/mass_sum", layer, mass.sum(axis=1), at)
        self._add("attention/logit_sum", layer, logit.sum(axis=1), at)
        self._add("attention/query_count", layer, queries.sum(), at)
        self._add("attention/key_count", layer, len(keys), at)
        self._add("attention/sequence_count", layer, 1, at)
        self._add("attention/set_value_norm_sum", layer, norms.sum(axis=1), at)

    def _add_learned(
        self, layer: int, attention: LayerAttention, learned: Learned, at: int
    ) -> None:
        """Every query is outside the set, and sees its one key. What of a row is on no key is on it."""
        mass = 1 - attention.probability.sum(axis=2)
        norms = learned.value_norm(layer) * np.ones(len(attention.value))
        self._add("attention/mass_sum", layer, mass.sum(axis=1), at)
        self._add("attention/logit_sum", layer, learned.score(layer, attention).sum(axis=1), at)
        self._add("attention/query_count", layer, mass.shape[1], at)
        self._add("attention/key_count", layer, 1, at)
        self._add("attention/sequence_count", layer, 1, at)
        self._add("attention/set_value_norm_sum", layer, norms, at)

    def _add_update(
        self,
        layer: int,
        attention: LayerAttention,
        seen: np.ndarray,
        keys: list[int],
        output: np.ndarray,
        place: tuple[int, int],
    ) -> None:
        queries = queries_of(seen, keys) if keys else np.zeros(len(seen), bool)
        queries[: len(seen) // 2] = False
        probability = attention.probability[:, queries][:, :, keys]
        update = probability @ attention.head_values[:, keys]  # [H, queries, D]
        if attention.gate is not None:
            update = update * attention.gate[:, queries]
        flat = np.moveaxis(update, 0, 1).reshape(queries.sum(), attention.output_weight.shape[1])
        rows = flat @ attention.output_weight.T
        norms = np.linalg.norm(rows, axis=1)
        share = norms / np.linalg.norm(output[queries], axis=1)
        self._add("value_update/query_count", layer, queries.sum(), *place)
        self._add("value_update/head_sum", layer, update.sum(axis=1), *place)
        self._add("value_update/head_square_sum", layer, (update**2).sum(axis=(1, 2)), *place)
        self._add("value_update/sum", layer, rows.sum(axis=0), *place)
        self._add("value_update/square_sum", layer, (norms**2).sum(), *place)
        self._add("value_update/share_sum", layer, share.sum(), *place)


# The axes between the layer's and those of a value, which _add places.
PER_SET, PER_SELECTION = ("key_set",), ("selection", "key_set")
AXES = {
    **dict.fromkeys(
        (
            "attention/sink_sum", "attention/sink_count", "attention/sink_sequences",
            "attention/sink_count_64", "attention/sink_sequences_64", "attention/entropy_sum",
            "attention/entropy_rows", "attention/value_norm_sum", "attention/token_count",
        ),
        (),
    ),
    **dict.fromkeys(
        (
            "attention/mass_sum", "attention/logit_sum", "attention/query_count",
            "attention/key_count", "attention/sequence_count", "attention/set_value_norm_sum",
        ),
        PER_SET,
    ),
    **dict.fromkeys(
        (
            "value_update/query_count", "value_update/head_sum", "value_update/head_square_sum",
            "value_update/sum", "value_update/square_sum", "value_update/share_sum",
        ),
        PER_SELECTION,
    ),
}  # fmt: skip


def in_file_order(name: str, values: np.ndarray) -> np.ndarray:
    """The file has the heads before the sets in /attention."""
    per_set = AXES[name] == PER_SET and values.ndim == 3
    return np.moveaxis(values, 1, 2) if per_set else values
