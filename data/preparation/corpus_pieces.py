"""All pieces of a corpus, in order: its files, its documents, those of them that are taken.

In: the files, how they are read and which documents are taken. Out: pieces, each with the number of its
file and the bytes read by then; the log says of each file that ended what was read of it. A mistake
behind a document's first piece ends the document there.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from preparation.documents import SourceFile, pieces_of
from preparation.encoding import Piece, lead_of
from preparation.errors import PreparationError
from preparation.reading import Document, Reading
from preparation.selection import Selection
from preparation.source_log import TextLog
from preparation.special_spellings import SpecialSpellings


@dataclass(frozen=True)
class CorpusPieces:
    reading: Reading
    selection: Selection
    cuts: re.Pattern[str] | None
    specials: SpecialSpellings
    log: TextLog

    def __iter__(self) -> Iterator[tuple[Piece, int, int]]:
        number = 0
        taken = 0
        bytes_before = 0
        for place, one in enumerate(list(self.log.sources)):
            with SourceFile(one.source, self.reading) as source:
                for document in self._documents(source):
                    if self.selection.takes(number):
                        has_begun = False
                        for piece in self._pieces(document):
                            has_begun = True
                            yield piece, place, bytes_before + source.bytes_read()
                        taken += has_begun
                    else:
                        deque(document.chunks, maxlen=0)  # so that the file is hashed whole
                    number += 1
                    if taken == self.selection.documents:
                        self.log.end_at(place)
                        return
                one.stored = source.stored() if source.is_read() else None
                bytes_before += source.bytes_read()

    def _documents(self, source: SourceFile) -> Iterator[Document]:
        try:
            yield from source.documents()
        except PreparationError as error:
            self.reading.mistakes.met(error)

    def _pieces(self, document: Document) -> Iterator[Piece]:
        has_begun = False
        try:
            for piece in pieces_of(document, self.cuts, self.reading.remarks):
                self.specials.look_at(piece, document.place)
                has_begun = True
                yield piece
        except PreparationError as error:
            self.reading.mistakes.met(error)
            if has_begun:
                yield Piece("", lead_of(" "), ends_document=True)
