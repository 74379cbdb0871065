"""JSON records -> the texts of documents, with the place of each.

In: JSON lines, or a JSON document: an array of records, or records one after another over any number
of lines. A record is an object with the text in a field, or the text itself. Refuses, with the line, a
record without a text there and what is not JSON; says what of the record could be meant.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from json.decoder import WHITESPACE

from preparation.errors import CORPUS, PreparationError
from preparation.json_kinds import called

LONGEST_RECORD = 1 << 28  # bytes of a line, characters of an array's record
MOST_FIELDS_NAMED = 8
CHAT_FIELDS = ("messages", "conversations", "conversation", "dialog", "dialogue", "chat")
CHAT_CURE = (
    "make text of the chat first, by the model's chat template"
    " (tokenizer.apply_chat_template(messages, tokenize=False))"
)
DECODER = json.JSONDecoder(parse_int=float)  # of any number of digits


def text_of_line(line: str, text_field: str, place: str) -> str:
    try:
        record = DECODER.decode(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise _no_json(error, place) from None
    return text_of(record, text_field, place)


def text_of(record: object, text_field: str, place: str) -> str:
    if isinstance(record, str):
        text: object = record
    elif isinstance(record, dict):
        if text_field not in record:
            raise PreparationError(CORPUS, f"{place}: {_without(record, text_field)}")
        text = record[text_field]
    else:
        raise PreparationError(
            CORPUS,
            f'{place}: expected an object with the field "{text_field}", found {called(record)}',
        )
    if not isinstance(text, str):
        cure = f": {CHAT_CURE}" if _is_chat(text) else ""
        raise PreparationError(
            CORPUS, f'{place}: expected a text in the field "{text_field}", found {called(text)}{cure}'
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise PreparationError(
            CORPUS, f"{place}: an escaped half of a surrogate pair, which is no text"
        ) from None
    return text


def _is_chat(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _without(record: dict[str, object], text_field: str) -> str:
    """What a record has instead of the field, and what would help."""
    fields = [f'"{name}" ({called(value)})' for name, value in record.items()]
    if len(fields) > MOST_FIELDS_NAMED:
        fields[MOST_FIELDS_NAMED:] = [f"{len(fields) - MOST_FIELDS_NAMED} more"]
    cure = ""
    lists = [name for name, value in record.items() if _is_chat(value)]
    if any(name in CHAT_FIELDS for name in lists):
        cure = f": {CHAT_CURE}"
    elif any(isinstance(value, str) for value in record.values()):
        cure = ": --text-field names another"
    elif lists:
        cure = f": jq -c '.[\"{lists[0]}\"][]' makes JSON lines of the records inside"
    return f'no text in the field "{text_field}"; it has {", ".join(fields) or "no field"}{cure}'


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

    def __iter__(self) -> Iterator[tuple[str, object]]:
        """(where, record) of each."""
        is_array = self._next() == "["
        if is_array:
            self._pass(1)
        while (character := self._next()) not in ("", "]" if is_array else ""):
            place = f"{self._path}, line {self._line}"
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
        raise PreparationError(CORPUS, f"{self._path}, line {self._line}: not JSON: {found}")

    def _more(self) -> bool:
        """Reads as much again as is there already."""
        taken = [self._text[self._begin :]]
        wanted = max(1, len(taken[0]))
        while wanted > 0 and (chunk := next(self._chunks, None)) is not None:
            taken.append(chunk)
            wanted -= len(chunk)
        self._text, self._begin = "".join(taken), 0
        return any(taken[1:])

    def _pass(self, count: int) -> None:
        self._line += self._text.count("\n", self._begin, self._begin + count)
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
