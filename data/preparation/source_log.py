"""What a token file says of each file that it was made of.

In: the texts that were written, in order. Out: for each source its name, size and SHA-256 as it is
stored, the number of its documents and the fingerprint of their texts, which no tokenizer and no format
changes: the SHA-256 of the SHA-256 of each document's UTF-8.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from preparation.inputs import Input


@dataclass
class SourceLog:
    """One source."""

    source: Input
    stored: dict[str, object] | None = None  # bytes and sha256, once all of it has been read
    documents: int = 0
    _texts: Any = field(default_factory=hashlib.sha256)

    def end_document(self, digest: bytes) -> None:
        self.documents += 1
        self._texts.update(digest)

    def described(self, has_text: bool) -> dict[str, object]:
        stored = self.stored or {"bytes": None, "sha256": None}
        return {
            "name": self.source.name,
            **stored,
            "documents": self.documents,
            "text_fingerprint": self._texts.hexdigest() if has_text else None,
        }


class TextLog:
    """All sources, and the fingerprint of all texts."""

    def __init__(self, inputs: list[Input], has_text: bool) -> None:
        self.sources = [SourceLog(one) for one in inputs]
        self._has_text = has_text
        self._texts = hashlib.sha256()
        self._document = hashlib.sha256()

    def add(self, text: str, ends_document: bool, source: int) -> None:
        """A run of a document's text that was written whole."""
        self._document.update(text.encode())
        if ends_document:
            digest = self._document.digest()
            self._document = hashlib.sha256()
            self._texts.update(digest)
            self.sources[source].end_document(digest)

    def end_at(self, source: int) -> None:
        """The corpus ends within this source; how far files were read ahead says nothing."""
        self.sources[source].stored = None
        del self.sources[source + 1 :]

    def text_fingerprint(self) -> str:
        return self._texts.hexdigest() if self._has_text else ""

    def described(self) -> list[dict[str, object]]:
        return [source.described(self._has_text) for source in self.sources]
