"""Values of JSON: how messages call them, and whole numbers of any length."""

from __future__ import annotations

import json

LONGEST_NUMBER = 20  # characters that are shown
MOST_DIGITS = 4000  # of an integer; Python refuses to read longer ones


def integer(digits: str) -> int | float:
    """For `parse_int` of Python's json."""
    return int(digits) if len(digits) <= MOST_DIGITS else float(digits)


def called(value: object) -> str:
    """"a list", "null", "the number 3"."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int | float):
        text = f"{value:g}" if isinstance(value, float) else str(value)
        return f"the number {text}" if len(text) <= LONGEST_NUMBER else "a number"
    return {str: "a text", list: "a list", dict: "an object"}[type(value)]
