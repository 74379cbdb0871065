"""Encodes long texts piece by piece, with the ids that the whole text would have.

A text may be cut only where no tokenizer stage can see across: between a letter and a space that a
letter follows, or behind a single line end that a letter or digit follows. Each kind of cut is used
only where it is safe for the tokenizer at hand: no token of the vocabulary spans it (so no merge
can), no added token swallows the space at it, and probe texts give the same ids cut and whole. A
piece is encoded behind a short `lead`, whose ids are dropped, because some tokenizers treat the
beginning of a text in a special way (SentencePiece puts a space there).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from preparation.chats import RoleSpans
from preparation.errors import PreparationError
from preparation.text_encoder import encode_texts


@dataclass(frozen=True)
class Piece:
    """A run of text of one document. The first piece of a document has the lead ""."""

    text: str
    lead: str
    ends_document: bool
    roles: RoleSpans | None = None  # of its whole document, where that is a chat

    def begins_document(self) -> bool:
        return self.lead == ""


@dataclass(frozen=True)
class Cut:
    """A place to cut: an expression that matches, empty, there, and what rules it out."""

    place: str
    lead: str
    spanning: re.Pattern[bytes]  # found in the bytes of a token that reaches across the place
    probes: tuple[tuple[str, str], ...]  # texts left and right of it


SPACE_CUT = Cut(
    place=r"(?<=[^\W\d_])(?= [^\W\d_])",
    lead="a",
    spanning=re.compile(rb"[^\s] "),
    probes=(
        ("The year was", " different from 1999, and so on."),
        ("don't", " we'll say"),
        ("naïve café", " über alles"),
        ("x", " y"),
        ("1,000 apples", " and (two) pears"),
    ),
)

LINE_CUT = Cut(
    place=r"(?<=\S\n)(?=[^\W_])",
    lead="a\n",
    spanning=re.compile(rb"\n[^\s]"),
    probes=(
        ("The end.\n", "Next come 42 lines"),
        ("word\n", "word"),
        ("1,000\n", "2004 was"),
        ("(see below)\n", "a: b"),
    ),
)


def encode(tokenizer: Tokenizer, pieces: Sequence[Piece]) -> list[np.ndarray]:
    """The ids of each piece, uint32 [tokens], without special tokens."""
    return ids_of(encode_texts(tokenizer, *texts_and_leads(pieces)))


def texts_and_leads(pieces: Sequence[Piece]) -> tuple[list[str], list[str]]:
    """As text_encoder.py takes them."""
    return [piece.text for piece in pieces], [piece.lead for piece in pieces]


def ids_of(runs: Sequence[bytes]) -> list[np.ndarray]:
    """uint32 [tokens] of each, as text_encoder.py gives them."""
    return [np.frombuffer(run, dtype=np.uint32) for run in runs]


def _is_safe(cut: Cut, tokenizer: Tokenizer, spellings: Sequence[bytes]) -> bool:
    if any(cut.spanning.search(spelling) for spelling in spellings):
        return False
    for token in tokenizer.get_added_tokens_decoder().values():
        if (token.rstrip and token.content[-1].isalnum()) or (
            token.lstrip and token.content[0].isalnum()
        ):
            return False
    for left, right in cut.probes:
        whole = tokenizer.encode(left + right, add_special_tokens=False).ids
        try:
            parts = encode(tokenizer, [Piece(left, "", False), Piece(right, cut.lead, True)])
        except PreparationError:
            return False
        if whole != np.concatenate(parts).tolist():
            return False
    return True


def safe_cuts(tokenizer: Tokenizer, spellings: Sequence[bytes]) -> re.Pattern[str] | None:
    """Matches, empty, where texts may be cut for this tokenizer; None if nowhere."""
    places = [cut.place for cut in (SPACE_CUT, LINE_CUT) if _is_safe(cut, tokenizer, spellings)]
    return re.compile("|".join(places)) if places else None


def lead_of(following: str) -> str:
    """The lead of a piece that begins with the character `following`."""
    return SPACE_CUT.lead if following == " " else LINE_CUT.lead
