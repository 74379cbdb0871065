"""The sections of the report, in their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from . import location
from .content import Model, Section

CHAPTERS: tuple[Callable[[Sequence[Model]], Section], ...] = (
    location.files,
    location.existence,
    location.steps,
    location.magnitudes,
    location.tokens,
    location.channels,
)
