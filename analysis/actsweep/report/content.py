"""What a report is made of, before it is laid out: sections of tables and pictures.

In: opened sweeps and functions that compute frames. Out: frames of all models, with a column
`model` in front, and which models lack the datasets for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pandas as pd
from matplotlib.figure import Figure

from ..sweep import Sweep


@dataclass(frozen=True)
class Model:
    """A sweep under the name that the page has for it."""

    label: str
    sweep: Sweep


@dataclass(frozen=True)
class Table:
    """Rows of a frame; `datasets` are what they were computed from."""

    name: str
    caption: str
    frame: pd.DataFrame
    datasets: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """A figure, drawn when it is saved, and the numbers in it."""

    name: str
    caption: str
    draw: Callable[[], Figure]
    frame: pd.DataFrame
    datasets: tuple[str, ...]


@dataclass(frozen=True)
class Absent:
    """What a model's file does not hold, and the job key that would make it."""

    model: str
    what: str
    key: str


@dataclass
class Section:
    """One question, its answers, and what is missing for more of them."""

    name: str
    title: str
    text: str
    parts: list[Table | Picture] = field(default_factory=list)
    absent: list[Absent] = field(default_factory=list)

    def having(self, models: Sequence[Model], path: str, what: str, key: str) -> list[Model]:
        """The models whose files hold `path`; notes the others as lacking `what`."""
        for model in models:
            if not model.sweep.has(path):
                self.lacking(model, what, key)
        return [model for model in models if model.sweep.has(path)]

    def lacking(self, model: Model, what: str, key: str) -> None:
        """Notes what a model's file does not hold."""
        self.absent.append(Absent(model.label, what, key))

    def table(self, name: str, caption: str, frame: pd.DataFrame, *datasets: str) -> None:
        """Adds a table, unless there are no models to fill it."""
        if len(frame.columns):
            self.parts.append(Table(name, caption, frame, datasets))

    def picture(
        self,
        name: str,
        caption: str,
        draw: Callable[[], Figure],
        frame: pd.DataFrame,
        *datasets: str,
    ) -> None:
        """Adds a picture, unless there is nothing in it."""
        if len(frame):
            self.parts.append(Picture(name, caption, draw, frame, datasets))


def of_models(models: Sequence[Model], numbers: Callable[[Sweep], pd.DataFrame]) -> pd.DataFrame:
    """The frames of all models, one under the other, with their labels in a first column."""
    frames = []
    for model in models:
        frame = numbers(model.sweep)
        frame.insert(0, "model", model.label)
        frames.append(frame)
    # The columns of an empty frame have no type to agree with.
    filled = [frame for frame in frames if len(frame)] or frames[:1]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()
