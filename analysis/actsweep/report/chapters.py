"""The sections of the report, in their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from . import (
    attention,
    effects,
    features,
    geometry,
    lifecycle,
    heat_maps,
    location,
    projections,
    quantisation,
    roles,
    second_look,
    store,
    tasks,
    updates,
)
from .content import Model, Section

CHAPTERS: tuple[Callable[[Sequence[Model]], Section], ...] = (
    location.files,
    location.existence,
    location.steps,
    updates.writers,
    lifecycle.lifecycles,
    location.magnitudes,
    location.tokens,
    location.channels,
    geometry.directions,
    effects.constancy,
    roles.roles,
    effects.interventions,
    tasks.tasks,
    heat_maps.section_of,
    attention.to_sets,
    attention.sinks,
    second_look.received,
    attention.entropy,
    attention.value_norms,
    projections.value_updates,
    projections.query_key,
    second_look.scores,
    features.outliers,
    features.super_weights,
    features.kurtosis,
    quantisation.quantisation,
    quantisation.channel_quantiles,
    quantisation.formats,
    features.experts,
    features.registers,
    store.stored,
)
