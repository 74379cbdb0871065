"""What a sweep measured, seen through its captured residual streams with plain numpy.

Definitions are those of the design, written straight down: medians by partition, events by looking
at every activation, findings from sorted magnitudes, losses in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from support.token_files import Corpus, Window

BINS = 32640


@dataclass(frozen=True)
class Options:
    """The keys of a job that change what is measured."""

    top_k: int = 3
    max_events: int = 10
    magnitude: float = 100
    ratio: float = 1000
    per_token: str = "all"


@dataclass(frozen=True)
class Head:
    """What the loss needs of a model, float64."""

    norm: np.ndarray  # [C]
    epsilon: float
    weight: np.ndarray  # [V, C]


@dataclass(frozen=True)
class Event:
    """A row of /massive."""

    layer: int
    sequence: int
    position: int
    document: int
    token: int
    token_id: int
    token_class: int
    channel: int
    value: np.float32
    ratio_to_sequence_median: np.float32
    ratio_to_token_median: np.float32
    reading: int


@dataclass
class Measured:
    """Windows and their streams: what the sweep measured, as its captures show it.

    Letters: L layers with the embedding's output, N tokens of all windows, S windows, C channels.
    """

    corpus: Corpus
    windows: Sequence[Window]
    streams: Sequence[np.ndarray]  # each float32 [L, length, C]
    options: Options
    head: Head | None = None
    found: dict[str, np.ndarray] = field(default_factory=dict)  # the file's datasets

    @cached_property
    def x(self) -> np.ndarray:  # float32 [L, N, C]
        return np.concatenate(list(self.streams), axis=1)

    @cached_property
    def magnitude(self) -> np.ndarray:  # float32 [L, N, C]
        return np.abs(self.x)

    @cached_property
    def is_kept(self) -> np.ndarray:  # bool [L, N]
        return np.isfinite(self.x).all(axis=2)

    @cached_property
    def exact(self) -> np.ndarray:  # float64 [L, N, C], 0 where a token is left out
        return np.where(self.is_kept[:, :, None], self.x, 0).astype(np.float64)

    @cached_property
    def spans(self) -> list[slice]:  # the tokens of each window
        ends = np.cumsum([0, *(len(window.ids) for window in self.windows)])
        return [slice(a, b) for a, b in zip(ends[:-1], ends[1:], strict=True)]

    @cached_property
    def classes(self) -> np.ndarray:  # uint8 [N]
        return np.concatenate([window.classes for window in self.windows])

    @cached_property
    def roles(self) -> np.ndarray:  # uint8 [N]
        return np.concatenate([window.roles for window in self.windows])

    @cached_property
    def token_median(self) -> np.ndarray:  # float32 [L, N]
        middle = (self.x.shape[2] - 1) // 2
        median = np.partition(self.magnitude, middle, axis=2)[:, :, middle]
        return np.where(self.is_kept, median, np.float32(np.nan))

    @cached_property
    def sequence_median(self) -> np.ndarray:  # float32 [L, S]
        median = np.full((len(self.x), len(self.windows)), np.nan, np.float32)
        for layer, kept in enumerate(self.is_kept):
            for i, span in enumerate(self.spans):
                values = self.magnitude[layer, span][kept[span]].ravel()
                if len(values) > 0:
                    middle = (len(values) - 1) // 2
                    median[layer, i] = np.partition(values, middle)[middle]
        return median

    def passes(self, magnitude: np.ndarray, median: np.ndarray) -> np.ndarray:
        wide = magnitude.astype(np.float64)
        bound = self.options.ratio * np.asarray(median, dtype=np.float64)
        return (median > 0) & (wide > self.options.magnitude) & (wide >= bound)

    @cached_property
    def events_by_place(self) -> dict[tuple[int, int], list[Event]]:
        """(sequence, layer) -> all events there, by falling magnitude."""
        return {
            (i, layer): self._events_of(i, layer)
            for i in range(len(self.windows))
            for layer in range(len(self.x))
        }

    def _events_of(self, sequence: int, layer: int) -> list[Event]:
        window, span = self.windows[sequence], self.spans[sequence]
        magnitude, medians = self.magnitude[layer, span], self.token_median[layer, span]
        of_sequence = self.sequence_median[layer, sequence]
        kept = self.is_kept[layer, span][:, None]
        official = kept & self.passes(magnitude, of_sequence)
        by_token = kept & self.passes(magnitude, medians[:, None])
        places = np.argwhere(official | by_token)
        order = np.argsort([-magnitude[p, c] for p, c in places], kind="stable")
        with np.errstate(all="ignore"):  # a ratio to a median of 0 is infinite
            ratio_to_sequence = magnitude / of_sequence
            ratio_to_token = magnitude / medians[:, None]
        return [
            Event(
                layer, sequence, p, window.documents[p], span.start + p, window.ids[p],
                window.classes[p], c, self.x[layer, span.start + p, c],
                ratio_to_sequence[p, c], ratio_to_token[p, c],
                official[p, c] + 2 * by_token[p, c],
            )
            for p, c in places[order]
        ]

    @cached_property
    def events(self) -> list[Event]:
        """Those that the file keeps, in its order."""
        most = self.options.max_events
        return [event for events in self.events_by_place.values() for event in events[:most]]

    @cached_property
    def rows(self) -> np.ndarray:
        """The tokens whose rows the file keeps."""
        if self.options.per_token == "massive":
            return np.unique([event.token for event in self.events]).astype(np.int64)
        return np.arange(self.x.shape[1])

    @cached_property
    def histogram(self) -> np.ndarray:  # int64 [L, bins]
        bins = self.magnitude.view(np.uint32) >> 16
        return np.stack(
            [
                np.bincount(of_layer[kept].ravel(), minlength=BINS)
                for of_layer, kept in zip(bins, self.is_kept, strict=True)
            ]
        )

    @cached_property
    def corpus_median(self) -> np.ndarray:
        """float32 [L]: the lower edge of the bin that holds the lower median."""
        values = np.where(self.is_kept[:, :, None], self.magnitude, np.nan)
        median = np.full(len(values), np.nan, np.float32)
        for layer, of_layer in enumerate(values):
            finite = np.sort(of_layer[~np.isnan(of_layer)])
            if len(finite) > 0:
                lower = finite[(len(finite) - 1) // 2 : (len(finite) + 1) // 2]
                median[layer] = (lower.view(np.uint32) & 0xFFFF0000).view(np.float32)[0]
        return median

    @cached_property
    def findings(self) -> list[tuple[int, int]]:  # (layer, channel)
        passing = self.passes(self.channel_max, self.corpus_median[:, None])
        return [(layer, channel) for layer, channel in np.argwhere(passing)]

    @cached_property
    def channel_max(self) -> np.ndarray:  # float32 [L, C]
        return np.where(self.is_kept[:, :, None], self.magnitude, np.float32(0)).max(axis=1)

    @cached_property
    def token_nll(self) -> np.ndarray:
        return self.token_nll_in(np.float64)

    def token_nll_in(self, dtype: type) -> np.ndarray:
        """float64 [N] of the next token in the window, NaN for the last, of logits in the dtype."""
        assert self.head is not None
        nll = np.full(self.x.shape[1], np.nan)
        norm, weight = self.head.norm.astype(dtype), self.head.weight.astype(dtype)
        for window, span in zip(self.windows, self.spans, strict=True):
            x = self.x[-1, span][:-1].astype(dtype)
            scale = 1 / np.sqrt((x**2).mean(axis=1, keepdims=True) + dtype(self.head.epsilon))
            logits = ((x * scale * norm) @ weight.T).astype(np.float64)
            largest = logits.max(axis=1)
            log_sum = largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1))
            target = logits[np.arange(len(x)), window.ids[1:]]
            nll[span.start : span.stop - 1] = log_sum - target
        return nll
