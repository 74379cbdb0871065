"""Chats -> the text that the checkpoint's chat template makes of them, and whose words are where in it.

In: a record's messages, as `apply_chat_template` of transformers takes them: the whole messages, with what a
template may read of them (reasoning, tool calls), and the record's tools. Out: the text, and the runs of
bytes that are a message's own words; the rest is the template's. Refuses a tokenizer without a template, a
record that is no chat, and what the template itself refuses.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from preparation.errors import CORPUS, MODEL, PreparationError
from preparation.json_kinds import called
from preparation.record_fields import MISSING, value_at
from preparation.remarks import Remarks
from preparation.tokenizer_directory import OFFLINE

ROLES = ("template", "system", "user", "assistant", "tool")  # the values of /token_role
ROLE_OF = {
    "system": 1, "developer": 1, "user": 2, "assistant": 3, "tool": 4, "function": 4, "ipython": 4,
}  # fmt: skip
WORDS = ("content", "reasoning_content", "reasoning", "thinking")  # of a message
ASSISTANT = ROLES.index("assistant")
# Characters of a private plane, which stand around a message's words while their places are looked for.
FIRST_BEGIN = 0xF6000
GROUPS = 256  # of words that belong together: 0 is none, the others repeat
END = 0xF5AFF
CHANGED = "chat(s) whose words the template changes: their tokens count as the template's"


@dataclass(frozen=True)
class RoleSpans:
    """Runs of a text's UTF-8 that are a message's words, in order."""

    begin: np.ndarray  # int64 [n] bytes
    end: np.ndarray
    role: np.ndarray  # uint8 [n]

    def of_tokens(self, begins: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """uint8 [tokens]: the role of the words that a token holds a byte of, else the template's."""
        if len(self.begin) == 0:
            return np.zeros(len(begins), dtype=np.uint8)
        # The first run that ends behind the token's first byte.
        place = np.searchsorted(self.end, begins, side="right")
        known = np.minimum(place, len(self.end) - 1)
        overlaps = (place < len(self.end)) & (self.begin[known] < ends)
        return np.where(overlaps, self.role[known], 0).astype(np.uint8)


@dataclass(frozen=True)
class ChatText:
    text: str
    roles: RoleSpans


class ChatTemplate:
    """Of a directory with a tokenizer."""

    def __init__(self, directory: Path, messages: str, tools: str, remarks: Remarks) -> None:
        """`messages` and `tools` name the fields of a record."""
        self._messages, self._tools, self._remarks = messages, tools, remarks
        self._tokenizer = _tokenizer_with_template(directory)

    def text_of(self, record: object, place: str) -> ChatText:
        messages = self._messages_of(record, place)
        tools = _tools_of(value_at(record, self._tools), place)
        text = self._rendered(messages, tools, place)
        for with_calls in (True, False):
            found = self._marked_text(_marked(messages, with_calls), tools)
            if found is not None and found.text == text:
                return found
        self._remarks.note(CHANGED, place)
        return ChatText(text, _spans([]))

    def _marked_text(self, messages: list[dict[str, Any]], tools: Any) -> ChatText | None:
        """None where the template does not take the marks."""
        try:
            return _unmarked(self._apply(messages, tools))
        except Exception:  # noqa: BLE001 (of any kind: the template is a program)
            return None

    def _apply(self, messages: list[dict[str, Any]], tools: Any) -> str:
        return self._tokenizer.apply_chat_template(messages, tools=tools, tokenize=False)

    def _messages_of(self, record: object, place: str) -> list[dict[str, Any]]:
        found = value_at(record, self._messages)
        if found is MISSING:
            raise PreparationError(CORPUS, f'{place}: no messages in the field "{self._messages}"')
        if not isinstance(found, list) or not found or not all(map(_is_message, found)):
            raise PreparationError(
                CORPUS,
                f'{place}: expected a list of messages, objects with a "role", in the field'
                f' "{self._messages}", found {called(found)}',
            )
        return found

    def _rendered(self, messages: list[dict[str, Any]], tools: Any, place: str) -> str:
        try:
            text = self._apply(messages, tools)
            text.encode()
        except UnicodeEncodeError:
            words = "an escaped half of a surrogate pair, which is no text"
            raise PreparationError(CORPUS, f"{place}: {words}") from None
        except Exception as error:  # noqa: BLE001 (of any kind: the template is a program)
            words = " ".join(str(error).split()) or type(error).__name__
            raise PreparationError(
                CORPUS, f"{place}: the chat template does not take it: {words}"
            ) from None
        return text


def _tokenizer_with_template(directory: Path) -> Any:
    os.environ.update(OFFLINE)
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type]  # tokenizers need none
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # nor is it missed
    import transformers  # takes a second to load

    transformers.utils.logging.set_verbosity_error()
    tokenizer = transformers.AutoTokenizer.from_pretrained(
        directory, local_files_only=True, trust_remote_code=False
    )
    if not tokenizer.chat_template:
        raise PreparationError(
            MODEL,
            f"{directory}: --messages-field: expected a chat template, chat_template.jinja or"
            ' "chat_template" in tokenizer_config.json, found none',
        )
    return tokenizer


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("role"), str)


def _tools_of(value: object, place: str) -> list[Any] | None:
    """A list, or its JSON as a text."""
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise PreparationError(CORPUS, f"{place}: tools: not JSON: {error.msg}") from None
    if value is MISSING or not value:
        return None
    if not isinstance(value, list):
        raise PreparationError(CORPUS, f"{place}: tools: expected a list, found {called(value)}")
    return value


def _marked(messages: list[dict[str, Any]], with_calls: bool) -> list[dict[str, Any]]:
    """The messages with marks around their words and, where asked for, around those of tool calls."""
    groups = itertools.cycle(range(1, GROUPS))
    return [_marked_message(message, with_calls, groups) for message in messages]


def _marked_message(
    message: dict[str, Any], with_calls: bool, groups: Iterator[int]
) -> dict[str, Any]:
    role = ROLE_OF.get(message["role"], 0)
    marked = {
        name: _marked_words(value, role, groups) if name in WORDS else value
        for name, value in message.items()
    }
    if with_calls and isinstance(message.get("tool_calls"), list):
        marked["tool_calls"] = [_marked_call(call, next(groups)) for call in message["tool_calls"]]
    return marked


def _marked_words(value: Any, role: int, groups: Iterator[int]) -> Any:
    """A text, a list of a content's parts, or what the template writes as JSON."""
    if isinstance(value, list):
        return [
            {**part, "text": _marked_texts(part["text"], role, 0)} if _is_text_part(part) else part
            for part in value
        ]
    return _marked_texts(value, role, next(groups) if isinstance(value, dict) else 0)


def _marked_call(call: Any, group: int) -> Any:
    """Of a call the function's name and arguments; other keys are numbers of the protocol."""
    if not isinstance(call, dict):
        return call
    if isinstance(call.get("function"), dict):
        return {**call, "function": _marked_call(call["function"], group)}
    return {
        key: _marked_texts(value, ASSISTANT, group) if key in ("name", "arguments") else value
        for key, value in call.items()
    }


def _marked_texts(value: Any, role: int, group: int) -> Any:
    """With marks around each text; white space around it, which templates strip, stays outside."""
    if isinstance(value, dict):
        return {key: _marked_texts(inner, role, group) for key, inner in value.items()}
    if isinstance(value, list):
        return [_marked_texts(inner, role, group) for inner in value]
    if not isinstance(value, str) or not (words := value.strip()):
        return value
    before = value[: value.index(words)]
    begin = chr(FIRST_BEGIN + role * GROUPS + group)
    return before + begin + words + chr(END) + value[len(before) + len(words) :]


def _is_text_part(part: object) -> bool:
    return isinstance(part, dict) and isinstance(part.get("text"), str)


@dataclass(frozen=True)
class _Run:
    begin: int  # in bytes
    end: int
    role: int
    group: int


def _unmarked(marked: str) -> ChatText:
    """Words whose beginning or end the template took away are not among those found."""
    kept: list[str] = []
    found: list[_Run] = []
    at, opened, mark = 0, None, 0
    for character in marked:
        code = ord(character)
        if 0 <= code - FIRST_BEGIN < len(ROLES) * GROUPS:
            opened, mark = at, code - FIRST_BEGIN
        elif code == END:
            if opened is not None and opened < at and mark >= GROUPS:
                found.append(_Run(opened, at, *divmod(mark, GROUPS)))
            opened = None
        else:
            kept.append(character)
            at += 1 if code < 0x80 else 2 if code < 0x800 else 3 if code < 0x10000 else 4
    return ChatText("".join(kept), _spans(found))


def _spans(found: list[_Run]) -> RoleSpans:
    """Runs of one group are one, with what the template writes between them."""
    whole: list[_Run] = []
    for run in found:
        if whole and run.group and run.group == whole[-1].group:
            run = replace(run, begin=whole.pop().begin)
        whole.append(run)
    table = np.array([(run.begin, run.end, run.role) for run in whole], dtype=np.int64).reshape(-1, 3)
    return RoleSpans(table[:, 0], table[:, 1], table[:, 2].astype(np.uint8))
