"""Which text of a record is a document, and which records are taken.

In: a record, as JSON or a table's row has it. Out: its text, of one field or of several joined; nothing
where `where` leaves the record out. A field inside an object is called `outer.inner`. Refuses, with the
record's place, a record without a text there; says what of the record could be meant.
"""

from __future__ import annotations

from dataclasses import dataclass

from preparation.errors import CORPUS, PreparationError
from preparation.json_kinds import called

MOST_FIELDS_NAMED = 8
CHAT_FIELDS = ("messages", "conversations", "conversation", "dialog", "dialogue", "chat")
CHAT_CURE = "--messages-field makes text of a chat by the model's chat template"
OTHER_FIELD_CURE = "--text-field names another"
MISSING = object()


def value_at(record: object, name: str) -> object:
    """What the field holds; MISSING where there is none. A field's own name may have dots."""
    if not isinstance(record, dict):
        return MISSING
    if name in record:
        return record[name]
    outer, dot, inner = name.partition(".")
    return value_at(record.get(outer), inner) if dot else MISSING


def equals(value: object, wanted: str) -> bool:
    """Whether a value is what a command line calls `wanted`."""
    if isinstance(value, bool) or value is None:
        return called(value) == wanted
    if isinstance(value, int | float):
        try:
            return value == float(wanted)
        except ValueError:
            return False
    return value == wanted


@dataclass(frozen=True)
class TextFields:
    """What is read of a record."""

    names: tuple[str, ...] = ("text",)
    join: str = "\n\n"  # between the texts of several fields
    where: tuple[tuple[str, str], ...] = ()  # fields and their values, all of which a record must have
    of_chats: tuple[str, ...] = ()  # fields of messages and tools, in the place of `names`

    def read(self) -> list[str]:
        """All fields that are looked at."""
        return list(dict.fromkeys((*self.names, *self.of_chats, *(name for name, _ in self.where))))

    def has_content(self, record: object) -> bool:
        """Whether a record looks as if it were one of those that are meant."""
        if self.of_chats:
            return isinstance(value_at(record, self.of_chats[0]), list)
        return isinstance(value_at(record, self.names[0]), str)

    def takes(self, record: object) -> bool:
        return all(equals(value_at(record, name), wanted) for name, wanted in self.where)

    def text_of(self, record: object, place: str) -> str:
        if isinstance(record, str):
            return _encodable(record, place)
        return self.join.join(_text_at(record, name, place) for name in self.names)


def _text_at(record: object, name: str, place: str) -> str:
    if not isinstance(record, dict):
        raise PreparationError(
            CORPUS, f'{place}: expected an object with the field "{name}", found {called(record)}'
        )
    value = value_at(record, name)
    if value is MISSING:
        raise PreparationError(CORPUS, f"{place}: {_without(record, name)}")
    if not isinstance(value, str):
        cure = f": {CHAT_CURE}" if is_chat(value) else ""
        raise PreparationError(
            CORPUS, f'{place}: expected a text in the field "{name}", found {called(value)}{cure}'
        )
    return _encodable(value, place)


def _encodable(text: str, place: str) -> str:
    if text.isascii():  # which is known without a look at it
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise PreparationError(
            CORPUS, f"{place}: an escaped half of a surrogate pair, which is no text"
        ) from None
    return text


def is_chat(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _without(record: dict[str, object], name: str) -> str:
    """What a record has instead of the field, and what would help."""
    fields = [f'"{name}" ({called(value)})' for name, value in record.items()]
    if len(fields) > MOST_FIELDS_NAMED:
        fields[MOST_FIELDS_NAMED:] = [f"{len(fields) - MOST_FIELDS_NAMED} more"]
    cure = ""
    lists = [name for name, value in record.items() if is_chat(value)]
    if any(name in CHAT_FIELDS for name in lists):
        cure = f": {CHAT_CURE}"
    elif any(isinstance(value, str) for value in record.values()):
        cure = f": {OTHER_FIELD_CURE}"
    elif lists:
        cure = f": jq -c '.[\"{lists[0]}\"][]' makes JSON lines of the records inside"
    return f'no text in the field "{name}"; it has {", ".join(fields) or "no field"}{cure}'
