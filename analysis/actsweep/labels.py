"""Text for axes: short, visible, printable tokens, and numbers without exponents.

In: decoded tokens, numbers, lengths. Out: strings, and which of many ticks to label.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

LONGEST_LABEL = 14
_VISIBLE = {" ": "␣", "\n": "↵", "\r": "␍", "\t": "⇥"}


def token_label(text: str) -> str:
    """A token as a tick label: white space visible, characters that the font lacks as U+XXXX."""
    shown = "".join(_visible(character) for character in text) or "∅"
    return shown if len(shown) <= LONGEST_LABEL else shown[: LONGEST_LABEL - 1] + "…"


def number_label(value: float) -> str:
    """1,500 rather than 1.5e3; at most two significant digits below 10."""
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.2g}"


def spread_ticks(wanted: Iterable[int], others: Iterable[int], gap: float) -> list[int]:
    """Positions to label: first come, first served, none nearer than `gap` to one already chosen.

    `wanted` in order of importance come before `others`.
    """
    chosen: list[int] = []
    for position in (*wanted, *others):
        if all(abs(position - other) >= gap for other in chosen):
            chosen.append(position)
    return sorted(chosen)


def _visible(character: str) -> str:
    if character in _VISIBLE:
        return _VISIBLE[character]
    printable = character.isprintable() and ord(character) in _font_characters()
    return character if printable else f"U+{ord(character):04X}"


@functools.cache
def _font_characters() -> frozenset[int]:
    """The code points of the font that labels are set in."""
    return frozenset(FT2Font(font_manager.findfont("DejaVu Sans")).get_charmap())
