"""The comparison as lines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .agreement import Layer
from .evidence import Report
from .statistics import Line

UNIT = "of a channel's largest magnitude"


def say_layers(report: Report, layers: Sequence[Layer], loss: float | None, bound: float) -> None:
    report.say(f"\n{'layer':>5}{'difference':>12}{'own error':>11}{'norms':>10}  largest at")
    for number, layer in enumerate(layers):
        report.say(_row(number, layer, bound))
    if loss is not None:
        report.say(f"{'loss':>5}{loss:>12.2g}{'':>23}{'' if loss <= bound else 'BEYOND'}".rstrip())


def _row(number: int, layer: Layer, bound: float) -> str:
    place = f"window {layer.window}, token {layer.token}, channel {layer.channel}"
    verdict = "" if layer.is_within(bound) else "  BEYOND"
    own = _own(layer.own)
    return f"{number:>5}{layer.difference:>12.2g}{own:>11}{layer.norms:>10.2g}  {place}{verdict}"


def _own(error: float) -> str:
    return "–" if np.isnan(error) else f"{error:.2g}"


def say_statistics(report: Report, lines: Sequence[Line]) -> None:
    """A line for each dataset."""
    if not lines:
        return
    width = max(len(line.name) for line in lines)
    report.say(f"\n{'statistic':<{width}}{'difference':>12}{'own error':>11}{'bound':>9}  largest at")
    for line in lines:
        verdict = "" if line.is_within else "  BEYOND"
        numbers = f"{line.difference:>12.2g}{_own(line.own):>11}{line.bound:>9.2g}"
        report.say(f"{line.name:<{width}}{numbers}  {line.place}{verdict}".rstrip())


def say_verdict(
    report: Report, layers: Sequence[Layer], loss: float | None, lines: Sequence[Line], bound: float
) -> bool:
    """The last line: what differs first, in the order in which one thing follows from another."""
    wrong = [number for number, layer in enumerate(layers) if not layer.is_within(bound)]
    others = [line for line in lines if not line.is_within]
    largest = max(layer.difference for layer in layers)
    if wrong:
        most = max(layers[wrong[0]].difference, layers[wrong[0]].norms)
        report.say(f"DIFFER from layer {wrong[0]} on: {most:.2g} {UNIT}, bound {bound:g}")
    elif loss is not None and loss > bound:
        report.say(f"DIFFER in the loss alone: {loss:.2g} nats, bound {bound:g}")
    elif others:
        names = ", ".join(line.name for line in others)
        report.say(f"DIFFER in statistics alone: {names}")
    else:
        more = f", {len(lines)} datasets of statistics too" if lines else ""
        report.say(f"agree: all {len(layers)} layers within {largest:.2g} {UNIT}, bound {bound:g}{more}")
    return not wrong and not others and (loss is None or loss <= bound)
