"""What the readers of corpus files share: how records are read, and the documents that come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from preparation.chats import ChatTemplate, RoleSpans
from preparation.errors import PreparationError
from preparation.mistakes import Mistakes
from preparation.record_fields import TextFields
from preparation.remarks import Remarks


@dataclass(frozen=True)
class Document:
    place: str  # names it in messages: "a.jsonl, line 3"
    chunks: Iterable[str]  # its text; to be read before the next document is asked for
    roles: RoleSpans | None = None  # of a chat


# Where a record stands, and what reads it; that may refuse it.
Record = tuple[str, Callable[[], object]]


@dataclass(frozen=True)
class Reading:
    """How the files of a corpus are read."""

    fields: TextFields = field(default_factory=TextFields)
    remarks: Remarks = field(default_factory=Remarks)
    mistakes: Mistakes = field(default_factory=Mistakes)
    chats: ChatTemplate | None = None  # where records are chats

    def documents(self, records: Iterable[Record], path: str) -> Iterator[Document]:
        """Of the records of the file `path`."""
        has_records = False
        for place, load in records:
            has_records = True
            try:
                document = self._document_of(load(), place)
            except PreparationError as error:
                self.mistakes.met(error)
                continue
            if document is not None:
                yield document
        if not has_records:
            self.remarks.note("file(s) hold no document", path)

    def _document_of(self, record: object, place: str) -> Document | None:
        """Nothing of a record that --where leaves out."""
        if not self.fields.takes(record):
            self.remarks.note("record(s) were left out by --where", place)
            return None
        if self.chats is None:
            return Document(place, [self.fields.text_of(record, place)])
        chat = self.chats.text_of(record, place)
        return Document(place, [chat.text], chat.roles)

    def tolerated(self, chunks: Iterable[str]) -> Iterator[str]:
        """Of a text, which may end with a mistake."""
        try:
            yield from chunks
        except PreparationError as error:
            self.mistakes.met(error)
