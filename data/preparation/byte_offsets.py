"""For each token the byte where it begins in its document's UTF-8.

In: a run of a document's text and its ids. Out: the byte of each, from the beginning of the run. Where
the bytes of the tokens, put together, are the text (byte-level BPE), or the text behind one more space
(SentencePiece), they count the bytes. Otherwise (a tokenizer that changes the text, WordPiece, whose
tokens have no spaces of their own) the tokenizers package says in which character a token begins.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordPiece

from preparation.encoding import Piece
from preparation.errors import CORPUS, PreparationError

MOST_BYTES = 1 << 32  # of a document


class ByteOffsets:
    """Of the documents of a corpus, in order."""

    def __init__(self, tokenizer: Tokenizer, spellings: Sequence[bytes]) -> None:
        self._tokenizer = tokenizer
        self._spellings = spellings
        self._own_spaces = not isinstance(tokenizer.model, WordPiece)
        self._base = 0  # bytes of the document before the piece at hand

    def of(self, piece: Piece, ids: np.ndarray) -> np.ndarray:
        """uint32 [n]; the pieces of a document must come in order."""
        if piece.begins_document():
            self._base = 0
        text = piece.text.encode()
        begins = self._base + self._counted(text, ids, piece)
        self._base += len(text)
        if self._base >= MOST_BYTES:
            raise PreparationError(
                CORPUS, "--byte-offsets: expected documents below 4 GiB, found a longer one"
            )
        return begins.astype(np.uint32)

    def end(self) -> int:
        """Of the document so far: where a token behind its text begins."""
        return self._base

    def _counted(self, text: bytes, ids: np.ndarray, piece: Piece) -> np.ndarray:
        spelled = [self._spellings[number] for number in ids.tolist()]
        joined = b"".join(spelled)
        added = len(joined) - len(text)
        if self._own_spaces and added in (0, 1) and joined == b" " * added + text:
            ends = np.cumsum([0, *map(len, spelled)])
            return np.maximum(ends[:-1] - added, 0)
        return self._looked_up(piece, len(ids))

    def _looked_up(self, piece: Piece, count: int) -> np.ndarray:
        encoding = self._tokenizer.encode(piece.lead + piece.text, add_special_tokens=False)
        begins = np.array([begin for begin, _ in encoding.offsets], dtype=np.int64)
        begins = begins[len(begins) - count :] - len(piece.lead)
        bytes_of = np.cumsum([0, *(len(character.encode()) for character in piece.text)])
        return bytes_of[np.maximum(begins, 0)]
