"""What JSON values are called in messages."""

from __future__ import annotations

import json

LONGEST_NUMBER = 20  # characters that are shown


def called(value: object) -> str:
    """"a list", "null", "the number 3"."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int | float):
        text = f"{value:g}" if isinstance(value, float) else str(value)
        return f"the number {text}" if len(text) <= LONGEST_NUMBER else "a number"
    return {str: "a text", list: "a list", dict: "an object"}[type(value)]
