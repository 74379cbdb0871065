"""Special tokens that a document's text spells, such as <|im_end|>.

In: the tokenizer's special tokens, and what to make of them: `text` leaves their characters text, `parse`
makes tokens of them, `refuse` takes none. Out: how many were met, and where the first was. The ids are
those of transformers' `split_special_tokens=True` and `False`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from preparation.encoding import Piece
from preparation.errors import CORPUS, PreparationError
from preparation.remarks import Remarks

CHOICES = ("text", "parse", "refuse")
SAID = {
    "text": "special token(s) are spelled in the texts, and stay text (--special-in-text)",
    "parse": "special token(s) are spelled in the texts, and become tokens (--special-in-text)",
}


class SpecialSpellings:
    def __init__(self, spellings: Iterable[str], choice: str, remarks: Remarks) -> None:
        longest_first = sorted(filter(None, spellings), key=len, reverse=True)
        self._expression = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        self._choice = choice
        self._remarks = remarks
        self.number = 0
        self._bytes_before = 0  # of the document that is looked at, where they matter

    def stay_text(self) -> bool:
        return self._choice == "text"

    def look_at(self, piece: Piece, place: str) -> None:
        """Counts, or refuses, those in a run of a document's text; of a chat in the words of its messages."""
        if self._expression is None:
            return
        if piece.roles is not None or self._choice == "refuse":
            number = len(self._found_at(piece, place))
        else:
            number = len(self._expression.findall(piece.text))
        if number > 0:
            self.number += number
            self._remarks.note(SAID[self._choice], place, number)

    def _found_at(self, piece: Piece, place: str) -> list[int]:
        """The bytes of the document where they are."""
        if piece.begins_document():
            self._bytes_before = 0
        found = []
        for one in self._expression.finditer(piece.text):
            byte = self._bytes_before + len(piece.text[: one.start()].encode())
            if self._choice == "refuse":
                raise PreparationError(
                    CORPUS,
                    f"{place}: expected no special token in the text, found {one[0]!r} at its byte {byte}",
                )
            if piece.roles.of_tokens(np.array([byte]), np.array([byte + 1]))[0] > 0:
                found.append(byte)
        self._bytes_before += len(piece.text.encode())
        return found
