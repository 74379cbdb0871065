"""The class of each token id: delimiter, weak-semantic word, or other.

Source: Sun, Chen, Kolter, Liu 2024 (arXiv 2402.17762), section 2.2, finds massive activations on
the starting token, on delimiters such as "." and "\\n", and on words with weak semantics such as
"and", "from" and "of". The tables below extend its examples to their kin: sentence and clause
punctuation of Latin and CJK scripts, and the function words of English (articles, prepositions,
conjunctions, pronouns, auxiliaries). Position 0 is a class too, which the sweep assigns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

POSITION_ZERO = 0  # never in the table
DELIMITER = 1
WEAK_SEMANTIC_WORD = 2
OTHER = 3

DELIMITERS = frozenset(".,;:!?。，、；：！？．｡､…")

WEAK_SEMANTIC_WORDS = frozenset("""
    a an the
    and or but nor so yet if as than that because while though although whether
    of to in from for on with by at into onto upon about over under after before between through
    during against within without toward towards among via per
    is are was were be been being am do does did has have had having
    will would shall should can could may might must
    i you he she it we they me him her us them my your his its our their
    this these those there here who whom whose which what when where how
    not no also then
    """.split())


def class_of(text: str) -> int:
    """The class of a token that decodes to `text`, which may have spaces around it."""
    stripped = text.strip()
    if stripped in DELIMITERS or (not stripped and "\n" in text):
        return DELIMITER
    return WEAK_SEMANTIC_WORD if stripped.lower() in WEAK_SEMANTIC_WORDS else OTHER


def classes_of(vocabulary: Sequence[bytes], special_ids: frozenset[int]) -> np.ndarray:
    """[V] uint8: the class of every id. Special tokens are `OTHER`, whatever they are called."""
    classes = np.full(len(vocabulary), OTHER, dtype=np.uint8)
    for number, spelling in enumerate(vocabulary):
        if number not in special_ids:
            classes[number] = class_of(spelling.decode("utf-8", errors="replace"))
    return classes
