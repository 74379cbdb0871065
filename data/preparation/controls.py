"""Control corpora: what a model does with tokens that are no text (arXiv 2410.10781).

In: a kind, a seed and a tokenizer's vocabulary; of `shuffle` the tokens of documents. Out: documents
without end of tokens drawn at random, or of one token again and again; each token of the vocabulary as a
document; or each document's own tokens in another order. Seed and number of a document alone decide, by
SplitMix64 and by no library's generator, so that they are the same everywhere. Refuses a vocabulary of
special tokens alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np

from preparation.errors import MODEL, PreparationError
from preparation.id_files import IdDocument
from preparation.selection import mixed
from preparation.vocabulary import Vocabulary

MADE = ("random", "repeat", "vocabulary")  # of no file
KINDS = ("random", "repeat", "shuffle", "vocabulary")


@dataclass(frozen=True)
class Control:
    kind: str
    seed: int
    length: int | None = None  # tokens of a document of `random` and `repeat`, special tokens included

    def described(self) -> dict[str, object]:
        """The choices that decide the tokens; none does in the vocabulary's order."""
        seed = {} if self.kind == "vocabulary" else {"seed": self.seed}
        return {"kind": self.kind, **seed, **({"length": self.length} if self.length else {})}

    def documents(self, vocabulary: Vocabulary, num_special: int) -> Iterator[IdDocument]:
        """Of one of MADE: without end but for the vocabulary's, whose document i is the token i, or empty
        where there is no token i. `num_special` tokens will stand around each."""
        is_token = np.array([len(spelling) > 0 for spelling in vocabulary.spellings])
        if self.kind == "vocabulary":
            for number, has_token in enumerate(is_token):
                yield IdDocument(f"token {number}", np.arange(number, number + has_token))
            return
        assert self.length is not None
        is_token[list(vocabulary.special_ids)] = False
        ids = np.flatnonzero(is_token)
        if len(ids) == 0:
            raise PreparationError(MODEL, f"--control {self.kind}: all tokens of the tokenizer are special")
        length = self.length - num_special
        for number in count():
            draws = length if self.kind == "random" else 1
            drawn = ids[drawn_numbers(self.seed, number, draws) % np.uint64(len(ids))]
            yield IdDocument(f"document {number}", np.resize(drawn, length))


class Shuffle:
    """The tokens of each document in another order, once all of them are there."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._number = 0  # of the document in its file
        self._parts: list[np.ndarray] = []

    def add(self, ids: np.ndarray, ends_document: bool) -> np.ndarray:
        """More ids of the document; all of it where that is its end, and none before."""
        self._parts.append(ids)
        if not ends_document:
            return ids[:0]
        whole = np.concatenate(self._parts)
        order = np.argsort(drawn_numbers(self._seed, self._number, len(whole)), kind="stable")
        self._parts = []
        self._number += 1
        return whole[order]


def drawn_numbers(seed: int, document: int, length: int) -> np.ndarray:
    """uint64 [length] at random, of the document's own sequence."""
    return mixed(mixed(seed, document), np.arange(length, dtype=np.uint64))
