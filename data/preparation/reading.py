"""What the readers of corpus files share: how records are read, and the documents that come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

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

    def documents(self, records: Iterable[Record], path: str) -> Iterator[Document]:
        """Of the records of the file `path`."""
        has_records = False
        for place, load in records:
            has_records = True
            record = load()
            if self.fields.takes(record):
                yield Document(place, [self.fields.text_of(record, place)])
            else:
                self.remarks.note("record(s) were left out by --where", place)
        if not has_records:
            self.remarks.note("file(s) hold no document", path)
