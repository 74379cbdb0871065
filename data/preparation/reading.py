"""What the readers of corpus files share: how records are read, and the documents that come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from preparation.errors import PreparationError
from preparation.mistakes import Mistakes
from preparation.record_fields import TextFields
from preparation.remarks import Remarks


@dataclass(frozen=True)
class Document:
    place: str  # names it in messages: "a.jsonl, line 3"
    chunks: Iterable[str]  # its text; to be read before the next document is asked for


# Where a record stands, and what reads it; that may refuse it.
Record = tuple[str, Callable[[], object]]


@dataclass(frozen=True)
class Reading:
    """How the files of a corpus are read."""

    fields: TextFields = field(default_factory=TextFields)
    remarks: Remarks = field(default_factory=Remarks)
    mistakes: Mistakes = field(default_factory=Mistakes)

    def documents(self, records: Iterable[Record], path: str) -> Iterator[Document]:
        """Of the records of the file `path`."""
        has_records = False
        for place, load in records:
            has_records = True
            try:
                text = self._text_of(load(), place)
            except PreparationError as error:
                self.mistakes.met(error)
                continue
            if text is not None:
                yield Document(place, [text])
        if not has_records:
            self.remarks.note("file(s) hold no document", path)

    def _text_of(self, record: object, place: str) -> str | None:
        """Nothing of a record that --where leaves out."""
        if self.fields.takes(record):
            return self.fields.text_of(record, place)
        self.remarks.note("record(s) were left out by --where", place)
        return None

    def tolerated(self, chunks: Iterable[str]) -> Iterator[str]:
        """Of a text, which may end with a mistake."""
        try:
            yield from chunks
        except PreparationError as error:
            self.mistakes.met(error)
