"""Values of a table as cells of HTML, and whole tables.

A long table has its first page of rows as they are, and the others in a <template>, which a browser reads
but does not lay out; page.js turns the pages.
"""

from __future__ import annotations

import html
import math
from numbers import Integral, Real

import pandas as pd

ROWS_SHOWN, ROWS_OF_MODEL = 1000, 40
ROWS_OF_PAGE = 40


def cell_text(value: object) -> str:
    """A number to four digits with separators, a dash for one that is not there, else the text."""
    if isinstance(value, Integral):
        return f"{int(value):,}"
    if not isinstance(value, Real):
        return str(value)
    number = float(value)
    if math.isnan(number):
        return "–"
    if math.isinf(number) or number == 0:
        return f"{number:.0f}".replace("inf", "∞")
    if abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:.4g}" if abs(number) >= 1e-4 else f"{number:.1e}"


def cell(value: object) -> str:
    """One <td>; a number carries its full value for sorting."""
    text = html.escape(cell_text(value))
    if isinstance(value, Real):
        # Words of JavaScript's Number; float32 keeps its short form, as in the CSV file.
        exact = str(value).replace("inf", "Infinity")
        return f'<td class="number" data-value="{exact}">{text}</td>'
    return f"<td>{text}</td>"


def rows_shown(frame: pd.DataFrame) -> pd.DataFrame:
    """The first rows of a frame, as many of each model."""
    if "model" not in frame or len(frame) <= ROWS_SHOWN:
        return frame.head(ROWS_SHOWN)
    models = frame.groupby("model", sort=False)
    return models.head(max(ROWS_SHOWN // models.ngroups, ROWS_OF_MODEL))


def table(frame: pd.DataFrame) -> str:
    """A frame as a table that sorts on a click, and pages if it is long."""
    heads = "".join(
        f'<th scope="col"><button type="button">{html.escape(str(name))}</button></th>'
        for name in frame.columns
    )
    columns = [frame[name].to_numpy() for name in frame.columns]
    lines = [
        "<tr>" + "".join(cell(value) for value in values) + "</tr>"
        for values in zip(*columns, strict=True)
    ]
    body, rest = "\n".join(lines[:ROWS_OF_PAGE]), "\n".join(lines[ROWS_OF_PAGE:])
    head = f"<thead><tr>{heads}</tr></thead>"
    more = f"<template>\n{rest}\n</template>" if rest else ""
    return f'<table class="sortable">{head}\n<tbody>\n{body}\n</tbody>{more}</table>'
