"""What the command lines of the programs share."""

from __future__ import annotations

import argparse


def positive_integer(text: str) -> int:
    """For argparse: a whole number from 1 up."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not positive")
    return value
