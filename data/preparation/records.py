"""JSON -> its records, with the place of each.

In: JSON lines, or a JSON document: an array of records, or records one after another over any number
of lines. Refuses, with the line, what is not JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from json.decoder import WHITESPACE
from pathlib import Path
from typing import Any

from preparation.errors import CORPUS, PreparationError
from preparation.json_kinds import called, integer

LONGEST_RECORD = 1 << 28  # bytes of a line, characters of an array's record
DECODER = json.JSONDecoder(parse_int=integer)


def record_of_line(line: str, place: str) -> object:
    try:
        return DECODER.decode(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise _no_json(error, place) from None


def objects_of_lines(files: Sequence[Path]) -> Iterator[tuple[Path, str, dict[str, Any]]]:
    """(file, where, object) of each line of JSON lines that is not empty, file after file."""
    for path in files:
        try:
            with path.open(encoding="utf-8-sig") as lines:
                for number, line in enumerate(lines, start=1):
                    if line.strip():
                        place = f"{path}, line {number}"
                        yield path, place, _object_of(line, place)
        except OSError as error:
            raise PreparationError(CORPUS, f"{path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise PreparationError(CORPUS, f"{path}: expected UTF-8") from None


def _object_of(line: str, place: str) -> dict[str, Any]:
    content = record_of_line(line, place)
    if not isinstance(content, dict):
        raise PreparationError(CORPUS, f"{place}: expected an object, found {called(content)}")
    return content


def _no_json(error: json.JSONDecodeError | RecursionError, place: str) -> PreparationError:
    if isinstance(error, RecursionError):
        return PreparationError(CORPUS, f"{place}: brackets are nested too deeply")
    return PreparationError(CORPUS, f"{place}: not JSON: {error.msg} (character {error.colno})")


class JsonValues:
    """The records of a JSON document, read piece by piece."""

    def __init__(self, chunks: Iterable[str], path: str) -> None:
        self._chunks = iter(chunks)
        self._path = path
        self._text = ""
        self._begin = 0  # of what has not been read, in `_text`
        self._line = 1  # there
        self._byte = 0  # there, behind a BOM

    def __iter__(self) -> Iterator[tuple[str, object]]:
        """(where, record) of each."""
        is_array = self._next() == "["
        if is_array:
            self._pass(1)
        while (character := self._next()) not in ("", "]" if is_array else ""):
            place = f"{self._path}, line {self._line} (byte {self._byte})"
            value, end = self._value(place)
            yield place, value
            self._pass(end - self._begin)
            character = self._next()
            if is_array and character == ",":
                self._pass(1)
            elif is_array and character != "]":
                found = repr(character) if character else "the end of the file"
                self._refuse(f"expected a comma or the end of the array, found {found}")
        if is_array:
            if not character:
                self._refuse("the array has no end")
            self._pass(1)
            if self._next():
                self._refuse("there is something after the end of the array")

    def _refuse(self, found: str) -> None:
        raise PreparationError(
            CORPUS, f"{self._path}, line {self._line} (byte {self._byte}): not JSON: {found}"
        )

    def _more(self) -> bool:
        """Reads as much again as is there already."""
        taken = [self._text[self._begin :]]
        wanted = max(1, len(taken[0]))
        try:
            while wanted > 0 and (chunk := next(self._chunks, None)) is not None:
                taken.append(chunk)
                wanted -= len(chunk)
        except PreparationError as error:
            place = f"line {self._line} (byte {self._byte})"
            raise PreparationError(error.exit_code, f"{error}; in the record of {place}") from None
        self._text, self._begin = "".join(taken), 0
        return any(taken[1:])

    def _pass(self, count: int) -> None:
        self._line += self._text.count("\n", self._begin, self._begin + count)
        self._byte += len(self._text[self._begin : self._begin + count].encode())
        self._begin += count

    def _next(self) -> str:
        """The next character that is not white space; nothing at the end."""
        while True:
            match = WHITESPACE.match(self._text, self._begin)
            self._pass(match.end() - self._begin)
            if self._begin < len(self._text):
                return self._text[self._begin]
            if not self._more():
                return ""

    def _value(self, place: str) -> tuple[object, int]:
        while True:
            try:
                return DECODER.raw_decode(self._text, self._begin)
            except RecursionError as error:
                raise _no_json(error, place) from None
            except json.JSONDecodeError as error:
                if len(self._text) - self._begin > LONGEST_RECORD:
                    raise PreparationError(
                        CORPUS, f"{place}: a record of more than {LONGEST_RECORD >> 20} Mi characters"
                    ) from None
                if not self._more():
                    self._pass(max(0, error.pos - self._begin))
                    self._refuse(f"{error.msg}")
