"""What a user should hear of a corpus that was read well: kinds of oddities, counted.

In: an oddity and its place, as it is met. Out: one line for each kind, with the first place.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class _Count:
    number: int
    first: str


class Remarks:
    """Sentences by what was met: "{number} document(s) …; the first is {place}"."""

    def __init__(self) -> None:
        self._counts: dict[str, _Count] = {}

    def note(self, met: str, place: str, number: int = 1) -> None:
        """`met` follows a number: "document(s) hold white space alone"."""
        if met in self._counts:
            self._counts[met].number += number
        else:
            self._counts[met] = _Count(number, place)

    def lines(self) -> list[str]:
        return [
            f"{count.number:,} {met}; {'it is' if count.number == 1 else 'the first is'} {count.first}"
            for met, count in self._counts.items()
        ]
