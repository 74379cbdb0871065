"""Special tokens that a document's text spells, such as <|im_end|>.

In: the tokenizer's special tokens, and what to make of them: `text` leaves their characters text, `parse`
makes tokens of them, `refuse` takes none. Out: how many were met, and where the first was. The ids are
those of transformers' `split_special_tokens=True` and `False`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

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

    def look_at(self, text: str, place: str, begins_document: bool) -> None:
        """Counts, or refuses, those in a run of a document's text."""
        if self._expression is None:
            return
        if self._choice == "refuse":
            self._refuse_any(text, place, begins_document)
        elif number := len(self._expression.findall(text)):
            self.number += number
            self._remarks.note(SAID[self._choice], place, number)

    def _refuse_any(self, text: str, place: str, begins_document: bool) -> None:
        if begins_document:
            self._bytes_before = 0
        if found := self._expression.search(text):
            byte = self._bytes_before + len(text[: found.start()].encode())
            raise PreparationError(
                CORPUS,
                f"{place}: expected no special token in the text, found {found[0]!r} at its byte {byte}",
            )
        self._bytes_before += len(text.encode())
