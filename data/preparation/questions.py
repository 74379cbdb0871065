"""Records of tasks -> questions with choices, and texts whose whole likelihood is wanted.

In: JSON lines, as lm-evaluation-harness logs them (`--log_samples`: arguments, target) or plain: context,
choices, answer; or text. Out: what is to be scored, which choices are right, and the lengths that scores
are divided by. Refuses records of another form, with their line, and those whose right choice is unknown.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preparation.errors import CORPUS, PreparationError
from preparation.json_kinds import called
from preparation.records import objects_of_lines

# samples_TASK_2026-11-29T18-31-38.123456.jsonl
LOGGED = re.compile(r"samples_(?P<task>.+)_\d{4}-\d\d-\d\dT[\d.-]+$")
FORMS = (
    "expected what lm-evaluation-harness logs (arguments, target), or context, choices and answer, or text"
)


@dataclass(frozen=True)
class Question:
    """Choices of which some are right."""

    place: str  # names it in errors
    task: str
    pairs: list[tuple[str, str]]  # (context, continuation) of each choice
    choices: list[str]  # what lengths are of
    answers: frozenset[int]  # numbers of the right choices


@dataclass(frozen=True)
class RollingText:
    """A text that is scored from its first token on."""

    place: str
    task: str
    text: str
    counted: str  # the text whose words and bytes the likelihood is divided by


def questions_of(files: Sequence[Path]) -> Iterator[Question | RollingText]:
    """Those of JSON lines, file after file."""
    for path, place, record in objects_of_lines(files):
        logged = LOGGED.fullmatch(path.name.removesuffix(".jsonl"))
        task = logged["task"] if logged else _task_of(place, record, path)
        if "arguments" in record:
            yield _logged(place, task, record)
        elif "choices" in record:
            yield _plain(place, task, record)
        elif isinstance(record.get("text"), str):
            yield RollingText(place, task, record["text"], record["text"])
        else:
            keys = ", ".join(record) or "none"
            raise PreparationError(CORPUS, f"{place}: {FORMS}, found the keys {keys}")


def _task_of(place: str, record: dict[str, Any], path: Path) -> str:
    """A record's own task, or the file's name."""
    task = record.get("task", path.name.removesuffix(".jsonl"))
    if not isinstance(task, str):
        raise PreparationError(CORPUS, f"{place}: task: expected a text, found {called(task)}")
    return task


def _logged(place: str, task: str, record: dict[str, Any]) -> Question | RollingText:
    arguments = [_texts(place, one) for one in _arguments(place, record["arguments"])]
    if [len(one) for one in arguments] == [1]:
        return RollingText(place, task, arguments[0][0], str(record.get("target", arguments[0][0])))
    if len(arguments) < 2 or any(len(one) != 2 for one in arguments):
        counts = ", ".join(str(len(one)) for one in arguments) or "none"
        raise PreparationError(
            CORPUS,
            f"{place}: arguments: expected a context and a continuation for each of two choices or more,"
            f" or one text, found texts: {counts}",
        )
    pairs = [(context, continuation) for context, continuation in arguments]
    choices = _choices(pairs)
    return Question(place, task, pairs, choices, _logged_answers(place, record, choices))


def _arguments(place: str, arguments: object) -> list[object]:
    """In order, of an object {"gen_args_0": …} or of a list."""
    if isinstance(arguments, dict):
        return [arguments[key] for key in sorted(arguments, key=_number_of)]
    if isinstance(arguments, list):
        return arguments
    raise PreparationError(
        CORPUS, f"{place}: arguments: expected an object or a list, found {called(arguments)}"
    )


def _number_of(key: str) -> int:
    found = re.search(r"\d+$", key)
    return int(found[0]) if found else 0


def _texts(place: str, argument: object) -> list[str]:
    texts = list(argument.values()) if isinstance(argument, dict) else argument
    if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
        return texts
    raise PreparationError(CORPUS, f"{place}: arguments: expected texts, found {called(argument)}")


def _choices(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """What differs: the continuations without the space before them, or, where these are all the same, the
    contexts (WinoGrande)."""
    if len({continuation for _, continuation in pairs}) > 1:
        return [continuation.removeprefix(" ") for _, continuation in pairs]
    return [context for context, _ in pairs]


def _logged_answers(place: str, record: dict[str, Any], choices: list[str]) -> frozenset[int]:
    """By the target: a number, a list of them, or a choice's text. Where it is none of these (a task whose
    contexts are its choices), by the likelihoods of the log and whether they were right."""
    target = str(record.get("target", ""))
    try:
        numbers = ast.literal_eval(target)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        numbers = choices.index(target.strip()) if target.strip() in choices else None
    numbers = numbers if isinstance(numbers, list) else [numbers]
    if numbers and all(_is_number(one, len(choices)) for one in numbers):
        return frozenset(numbers)
    scored = _answer_by_score(record, len(choices))
    if scored is None:
        raise PreparationError(
            CORPUS,
            f"{place}: target: expected the number or the text of one of {len(choices)} choices, found"
            f" {target[:80]!r}",
        )
    return frozenset([scored])


def _is_number(value: object, choices: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < choices


def _answer_by_score(record: dict[str, Any], choices: int) -> int | None:
    try:
        scores = [float(one[0]) for one in record["filtered_resps"]]
        is_right = float(record["acc"]) == 1.0
    except (KeyError, TypeError, ValueError, IndexError):
        return None
    if len(scores) != choices or not (is_right or choices == 2):
        return None
    chosen = max(range(choices), key=scores.__getitem__)
    return chosen if is_right else 1 - chosen


def _plain(place: str, task: str, record: dict[str, Any]) -> Question:
    context, choices, answer = record.get("context"), record["choices"], record.get("answer")
    if not isinstance(context, str):
        raise PreparationError(CORPUS, f"{place}: context: expected a text, found {called(context)}")
    if not isinstance(choices, list) or len(choices) < 2:
        raise PreparationError(CORPUS, f"{place}: choices: expected a list of two texts or more")
    pairs = [(context, choice) for choice in _texts(place, choices)]
    answers = answer if isinstance(answer, list) else [answer]
    if not answers or not all(_is_number(one, len(choices)) for one in answers):
        raise PreparationError(
            CORPUS,
            f"{place}: answer: expected a number from 0 to {len(choices) - 1}, or a list of such, found"
            f" {called(answer)}",
        )
    return Question(place, task, pairs, _choices(pairs), frozenset(answers))
