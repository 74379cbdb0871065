"""Pictures that several sections share: curves over layers, and maps of layers and heads.

In: frames with a column `model`. Out: figures with one panel per model. Colours are those of Okabe
and Ito with a line style and a marker each, and viridis for maps: told apart in print and without
colour vision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from ..labels import number_label
from ..pictures import STYLE

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#333333", "#56B4E9", "#E69F00")
LINES = ("-", "--", ":", "-.")
MARKERS = "os^Dvx+"
PANELS_WIDE = 3


@dataclass(frozen=True)
class Axis:
    """What a picture's axis shows; `log`: on a logarithmic scale."""

    column: str
    label: str
    log: bool = False


LAYER = Axis("layer", "layer (l: in block l)")


def line_style(index: int) -> dict[str, object]:
    """Colour, dashes and marker of the series `index`."""
    return {
        "color": COLORS[index % len(COLORS)],
        "ls": LINES[index % len(LINES)],
        "marker": MARKERS[index % len(MARKERS)],
        "ms": 3.5,
        "lw": 1.4,
    }


def curves(
    frame: pd.DataFrame, x: Axis, y: Axis, series: str, band: tuple[str, str] | None = None
) -> Figure:
    """`y` over `x`: a panel per model, a line per value of the column `series`.

    `band`: columns of the lower and upper end of a shaded range around each line.
    """
    names = list(dict.fromkeys(frame[series]))
    with matplotlib.rc_context(STYLE):
        figure, panels = _panels(list(dict.fromkeys(frame["model"])), (4.4, 3.2))
        for model, axes in panels.items():
            of_model = frame[frame["model"] == model]
            for index, name in enumerate(names):
                one = of_model[of_model[series] == name]
                _line(axes, one, x, y, band, index, str(name))
            _scales(axes, x, y)
        _legend(figure, panels)
    return figure


def overlaid(frame: pd.DataFrame, x: Axis, ys: Sequence[Axis]) -> Figure:
    """A panel for each of `ys`, in each a line per model."""
    models = list(dict.fromkeys(frame["model"]))
    with matplotlib.rc_context(STYLE):
        figure, panels = _panels([y.label for y in ys], (4.8, 3.6))
        for y, axes in zip(ys, panels.values(), strict=True):
            for index, model in enumerate(models):
                _line(axes, frame[frame["model"] == model], x, y, None, index, model)
            _scales(axes, x, y)
        _legend(figure, panels)
    return figure


def map_of(frame: pd.DataFrame, rows: str, columns: str, value: str, label: str) -> Figure:
    """A map per panel (the column `panel` of the frame) of `value` over `rows` and `columns`."""
    with matplotlib.rc_context(STYLE):
        figure, panels = _panels(list(dict.fromkeys(frame["panel"])), (3.4, 3.2))
        finite = frame[value][np.isfinite(frame[value])]
        limits = {"vmin": finite.min(), "vmax": finite.max()} if len(finite) else {}
        for name, axes in panels.items():
            one = frame[frame["panel"] == name].pivot(index=rows, columns=columns, values=value)
            image = axes.imshow(
                one.to_numpy(np.float64),
                aspect="auto",
                cmap="viridis",
                interpolation="nearest",
                **limits,
            )
            place_ticks(axes.xaxis, one.columns)
            place_ticks(axes.yaxis, one.index)
            axes.set_xlabel(columns)
            axes.set_ylabel(rows)
        figure.colorbar(image, ax=list(panels.values()), label=label, shrink=0.8)
    return figure


def heat_maps(panels: Mapping[str, np.ndarray], tokens: Sequence[str], label: str) -> Figure:
    """Maps [query, key] of a prompt, one per panel on a common scale; what is NaN stays white."""
    with matplotlib.rc_context(STYLE):
        figure, drawn = _panels(list(panels), (3.6, 3.4))
        finite = np.concatenate([values[np.isfinite(values)] for values in panels.values()])
        limits = {"vmin": finite.min(), "vmax": finite.max()} if finite.size else {}
        for values, axes in zip(panels.values(), drawn.values(), strict=True):
            image = axes.imshow(values, cmap="viridis", interpolation="nearest", **limits)
            place_ticks(axes.xaxis, tokens)
            place_ticks(axes.yaxis, tokens)
            axes.tick_params(labelsize=7)
            axes.tick_params(axis="x", rotation=90)
            axes.set(xlabel="key", ylabel="query")
        figure.colorbar(image, ax=list(drawn.values()), label=label, shrink=0.8)
    return figure


def dots(frame: pd.DataFrame, names: str, x: Axis, error: str | None = None) -> Figure:
    """A point per row, with `error` to both sides of it; a panel per model."""
    with matplotlib.rc_context(STYLE):
        rows = int(frame.groupby("model").size().max())
        figure, panels = _panels(list(dict.fromkeys(frame["model"])), (5.0, 1.2 + 0.28 * rows))
        for model, axes in panels.items():
            one = frame[frame["model"] == model]
            place = np.arange(len(one))
            bars = None if error is None else one[error].to_numpy(np.float64)
            axes.errorbar(one[x.column], place, xerr=bars, fmt="o", color=COLORS[0], capsize=3)
            axes.set_yticks(place, one[names])
            axes.invert_yaxis()
            axes.margins(y=0.15)
            axes.set_xlabel(x.label)
            axes.grid(axis="x", color="0.9", lw=0.6)
            if x.log:
                axes.set_xscale("log")
                _log_ticks(axes.xaxis, *axes.get_xlim())
    return figure


def place_ticks(axis: matplotlib.axis.Axis, names: Sequence[object], most: int = 12) -> None:
    """At most `most` of the names of rows or columns, evenly spread."""
    step = max(1, -(-len(names) // most))
    places = list(range(0, len(names), step))
    axis.set_ticks(places, [str(names[place]) for place in places])


def _panels(titles: Sequence[str], size: tuple[float, float]) -> tuple[Figure, dict[str, Axes]]:
    wide = min(len(titles), PANELS_WIDE)
    high = -(-len(titles) // wide)
    # One panel alone is drawn wider.
    width = size[0] * wide if wide > 1 else 1.5 * size[0]
    figure = Figure(figsize=(width, size[1] * high + 0.4), layout="constrained")
    panels = {}
    for index, title in enumerate(titles):
        panels[title] = figure.add_subplot(high, wide, index + 1)
        panels[title].set_title(title, loc="left", fontsize=9.5, wrap=True)
    return figure, panels


def _line(
    axes: Axes,
    one: pd.DataFrame,
    x: Axis,
    y: Axis,
    band: tuple[str, str] | None,
    index: int,
    label: str,
) -> None:
    style = line_style(index)
    axes.plot(one[x.column], one[y.column], label=label, **style)
    if band:
        low, high = one[band[0]].to_numpy(np.float64), one[band[1]].to_numpy(np.float64)
        if y.log:  # a band that would reach zero ends where a log axis can show it
            low = np.maximum(low, one[y.column].to_numpy(np.float64) / 100)
        axes.fill_between(one[x.column], low, high, color=style["color"], alpha=0.15, lw=0)


def _scales(axes: Axes, x: Axis, y: Axis) -> None:
    axes.set_xlabel(x.label)
    axes.set_ylabel(y.label)
    if x.column != "depth":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if y.log:
        axes.set_yscale("log", nonpositive="mask")
        _log_ticks(axes.yaxis, *axes.get_ylim())
    axes.grid(axis="y", color="0.9", lw=0.6)


def _log_ticks(axis: matplotlib.axis.Axis, low: float, high: float) -> None:
    """Labels that a reader can name, however few decades the axis spans."""
    decades = np.log10(high / low)
    narrow = MaxNLocator(5) if decades < 0.7 else LogLocator(subs=(1, 2, 5))
    axis.set_major_locator(LogLocator(numticks=10) if decades > 3 else narrow)
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: number_label(value)))


def _legend(figure: Figure, panels: dict[str, Axes]) -> None:
    """One legend below for all panels: a label is the same line in each."""
    handles = {}
    for axes in panels.values():
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    characters = max(map(len, handles), default=0) + 8
    columns = max(1, int(figure.get_figwidth() * 14 / characters))
    figure.legend(
        handles.values(),
        handles,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=8.5,
    )
