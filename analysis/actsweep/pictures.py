"""The paper's first pictures (arXiv 2402.17762), from any sweep file.

In: a `Sweep`. Out: a matplotlib `Figure`, and PNG and SVG files. Colours are those of Okabe and
Ito, told apart without colour vision, and every series has its own marker. Refuses a prompt, a layer or
a residual stream that the file does not have.
"""

from __future__ import annotations

import os
from pathlib import Path

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator
from mpl_toolkits.mplot3d.axes3d import Axes3D

from .findings import lower_median
from .labels import number_label, spread_ticks, token_label
from .moments import layer_summary
from .output import writing
from .sweep import Sweep

VERMILLION, BLUE, GREEN, BLACK = "#D55E00", "#0072B2", "#009E73", "#333333"
TOP_STYLES = ((VERMILLION, "o", "-"), (BLUE, "s", "-"), (GREEN, "^", "-"))
POINTS_PER_LINE = 2048  # more channels than this are drawn by the largest of each run
LABELLED_TOKENS = 15
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.parse_math": False,  # tokens and model names may hold dollar signs
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "actsweep",  # equal input, equal file
}


def layer_curve(sweep: Sweep, site: str = "residual") -> Figure:
    """Up to three largest magnitudes and the median of each layer: mean ± std over sequences."""
    summary = layer_summary(sweep.site(site))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 4.4), layout="constrained")
        axes = figure.add_subplot()
        axes.set_yscale("log", nonpositive="mask")
        for order in range(min(summary.sizes["order"], len(TOP_STYLES))):
            one = summary.isel(order=order)
            _curve(axes, one["top_mean"], one["top_std"], TOP_STYLES[order], f"top {order + 1}")
        style = (BLACK, "", "--")
        _curve(axes, summary["median_mean"], summary["median_std"], style, "median")
        if site == "residual":
            _threshold(axes, sweep, summary)
        _finish_layer_curve(axes, sweep, site, int(summary["sequences"].max()))
    return figure


def _curve(
    axes: Axes, mean: xr.DataArray, std: xr.DataArray, style: tuple[str, str, str], label: str
) -> None:
    """One series over layers, its band from mean − std to mean + std."""
    color, marker, line = style
    layer = np.arange(mean.size)
    axes.plot(layer, mean, color=color, marker=marker, ms=4, ls=line, lw=1.4, label=label)
    # A band that would reach zero ends at a hundredth of its mean, which a log axis can show.
    low = np.maximum(mean - std, mean / 100)
    axes.fill_between(layer, low, mean + std, color=color, alpha=0.2, lw=0)


def _threshold(axes: Axes, sweep: Sweep, summary: xr.Dataset) -> None:
    """The magnitude above which an activation is massive, at the mean median of each layer."""
    criterion = sweep.criterion
    bound = np.maximum(criterion.magnitude, criterion.ratio * summary["median_mean"])
    label = (
        f"criterion: > {number_label(criterion.magnitude)}"
        f" and ≥ {number_label(criterion.ratio)} × median"
    )
    axes.plot(np.arange(bound.size), bound, color=BLACK, ls=":", lw=1.2, label=label)


def _finish_layer_curve(axes: Axes, sweep: Sweep, site: str, sequences: int) -> None:
    axes.set_xlabel("layer (0: embedding output)")
    axes.set_ylabel("magnitude")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=16))
    axes.yaxis.set_major_locator(LogLocator(numticks=12))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number_label(value)))
    axes.grid(axis="y", color="0.9", lw=0.6)
    axes.margins(x=0.02)
    axes.set_title(
        f"{sweep.attributes['model_name']}: largest and median magnitudes, {_site_text(site)}\n"
        f"mean ± std over {sequences:,} sequences, computed in {sweep.attributes['dtype']}",
        loc="left",
        fontsize=10,
        wrap=True,
    )
    axes.figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=8.5)


def magnitude_3d(sweep: Sweep, prompt: str, layer: int | None = None) -> Figure:
    """|activation| over the tokens and channels of one layer of a captured prompt.

    `layer`: the one with the largest magnitude in the capture if None.
    """
    capture = sweep.capture(prompt)
    if "residual" not in capture:
        raise ValueError(
            f"{sweep.path}: prompt '{prompt}' has no residual stream; the job key"
            ' [capture] sites = ["residual"] brings it'
        )
    layers = capture.sizes["layer"]
    if layer is not None and not 0 <= layer < layers:
        raise ValueError(f"{sweep.path}: no layer {layer}; prompt '{prompt}' has 0 to {layers - 1}")
    if layer is None:
        layer = largest_layer(capture)
    magnitude = _layer_magnitude(capture, layer)
    massive = sweep.criterion.passes(magnitude, lower_median(magnitude))
    labels = [token_label(text) for text in sweep.decode_each(capture["id"].values)]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 6.2))
        axes = figure.add_axes((0.02, 0.0, 0.94, 0.94), projection="3d")
        _ridges(axes, magnitude, massive.any(axis=1))
        _token_axis(axes, labels, magnitude, massive.any(axis=1))
        _channel_axis(axes, magnitude, massive.any(axis=0))
        _finish_magnitude_3d(axes, magnitude)
        figure.suptitle(
            f"{sweep.attributes['model_name']}, {_layer_text(layer)} of {layers - 1}\n"
            f"prompt “{prompt}”: {_verdict(magnitude, massive)}",
            x=0.03,
            y=0.98,
            ha="left",
            fontsize=10,
            wrap=True,
        )
    return figure


def largest_layer(capture: xr.Dataset) -> int:
    """The layer with the largest finite magnitude; reads one layer at a time."""
    largest = [
        np.nanmax(_layer_magnitude(capture, layer), initial=-1.0)
        for layer in range(capture.sizes["layer"])
    ]
    return int(np.argmax(largest))


def _layer_magnitude(capture: xr.Dataset, layer: int) -> np.ndarray:
    """[token, channel] float32; NaN where the activation is not finite."""
    magnitude = np.abs(capture["residual"].isel(layer=layer).values)
    return np.where(np.isfinite(magnitude), magnitude, np.nan)


def _ridges(axes: Axes3D, magnitude: np.ndarray, is_massive: np.ndarray) -> None:
    """A line along the channels for each token; a token with a massive activation in vermillion."""
    tokens, channels = magnitude.shape
    width = float(np.clip(14 / tokens, 0.5, 1.2))
    for token in range(tokens):
        channel = _drawn_channels(magnitude[token])
        axes.plot(
            channel,
            np.full(len(channel), token),
            magnitude[token, channel],
            color=VERMILLION if is_massive[token] else BLUE,
            lw=width,
            gid=f"token {token}",
        )
    axes.set_xlim(0, max(channels - 1, 1))
    axes.set_ylim(max(tokens - 1, 1), 0)


def _drawn_channels(magnitude: np.ndarray) -> np.ndarray:
    """All channels of one token [C], or the largest of each of POINTS_PER_LINE runs of them."""
    channels = len(magnitude)
    if channels <= POINTS_PER_LINE:
        return np.arange(channels)
    starts = np.linspace(0, channels, POINTS_PER_LINE, endpoint=False).astype(int)
    filled = np.nan_to_num(magnitude, nan=-1.0)
    largest = np.repeat(np.maximum.reduceat(filled, starts), np.diff(starts, append=channels))
    tops = np.flatnonzero(filled == largest)  # several of a run, if they are equal
    return tops[np.unique(np.searchsorted(starts, tops, side="right"), return_index=True)[1]]


def _token_axis(
    axes: Axes3D, labels: list[str], magnitude: np.ndarray, is_massive: np.ndarray
) -> None:
    """Decoded tokens: all of them where there is room, massive ones first where not."""
    order = np.argsort(-np.nan_to_num(magnitude).max(axis=1), kind="stable")
    wanted = [int(token) for token in order if is_massive[token]]
    ticks = spread_ticks(wanted, range(len(labels)), max(1.0, len(labels) / LABELLED_TOKENS))
    axes.set_yticks(ticks, [labels[token] for token in ticks], fontsize=8, va="center", ha="left")
    for tick, token in zip(axes.get_yticklabels(), ticks, strict=True):
        tick.set_color(VERMILLION if is_massive[token] else BLACK)
    axes.tick_params(axis="y", pad=-3)


def _channel_axis(axes: Axes3D, magnitude: np.ndarray, is_massive: np.ndarray) -> None:
    """The massive channels, or the largest one without any; the ends where there is room."""
    largest = np.nan_to_num(magnitude).max(axis=0)
    order = np.argsort(-largest, kind="stable")
    wanted = [int(channel) for channel in order if is_massive[channel]] or [int(order[0])]
    channels = len(largest)
    ticks = spread_ticks(wanted, (0, channels - 1), channels / 16)
    axes.set_xticks(ticks, [str(channel) for channel in ticks], fontsize=8)
    for tick, channel in zip(axes.get_xticklabels(), ticks, strict=True):
        tick.set_color(VERMILLION if is_massive[channel] else BLACK)
    axes.tick_params(axis="x", pad=-2)
    axes.set_xlabel("channel", labelpad=2)


def _finish_magnitude_3d(axes: Axes3D, magnitude: np.ndarray) -> None:
    peak = float(np.nan_to_num(magnitude).max())
    axes.set_zlim(0, peak if peak > 0 else 1)
    axes.zaxis.set_major_locator(MaxNLocator(5))
    axes.zaxis.set_major_formatter(FuncFormatter(lambda value, _: number_label(value)))
    axes.set_zlabel("magnitude", labelpad=6)
    # The left edge: the right one is beside the tokens.
    axes.zaxis.set_ticks_position("upper")
    axes.zaxis.set_label_position("upper")
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.pane.set_facecolor("white")
        axis._axinfo["grid"].update(color="0.9", linewidth=0.5)
    axes.set_box_aspect((1.15, 1.05, 0.75), zoom=0.97)
    axes.view_init(elev=28, azim=-50)


def _verdict(magnitude: np.ndarray, massive: np.ndarray) -> str:
    """The largest magnitude against the median, and whether it is massive."""
    finite = np.nan_to_num(magnitude)
    token, channel = np.unravel_index(np.argmax(finite), finite.shape)
    count = int(np.count_nonzero(massive))
    found = f"{count} massive activation{'s' if count != 1 else ''}" if count else "none massive"
    return (
        f"{found}; largest {number_label(finite[token, channel])} at position {token},"
        f" channel {channel}; median {number_label(lower_median(magnitude))}"
    )


def save(figure: Figure, folder: str | os.PathLike[str], stem: str) -> list[Path]:
    """Writes `stem`.png and `stem`.svg into `folder`, made if needed; returns their paths."""
    folder = Path(folder)
    paths = [folder / f"{stem}.png", folder / f"{stem}.svg"]
    with writing(folder), matplotlib.rc_context(STYLE):
        folder.mkdir(parents=True, exist_ok=True)
        figure.draw_without_rendering()  # which lays it out, once for both
        figure.set_layout_engine(None)
        figure.savefig(paths[0], dpi=200, facecolor="white")
        figure.savefig(paths[1], facecolor="white", metadata={"Date": None})
    return paths


def _layer_text(layer: int) -> str:
    return f"output of layer {layer}" if layer else "embedding output, layer 0"


def _site_text(site: str) -> str:
    return "residual stream" if site == "residual" else site.replace("_", " ")
