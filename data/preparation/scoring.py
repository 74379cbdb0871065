"""Questions -> runs of ids of which the last are scored, as lm-evaluation-harness cuts them.

In: questions and texts (questions.py), a tokenizer, the most tokens that a model reads at once. Out: for
each choice its context and continuation, encoded together and divided where the context's own ids end;
a space at the context's end belongs to the continuation; what is too long is cut at its beginning. A text
becomes windows of which each scores tokens that no other does, the first behind a BOS or EOS, the last with
as much context as fits. Refuses a continuation without a token, and one longer than a window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from preparation.errors import CORPUS, MODEL, PreparationError
from preparation.questions import Question, RollingText
from preparation.tokenizer_directory import NO_TOKEN, ModelTokenizer


@dataclass(frozen=True)
class ScoredRun:
    ids: list[int]
    first_scored: int  # the place of the first id that is scored; at least 1


class Scoring:
    def __init__(self, loaded: ModelTokenizer, adds_special: bool, max_length: int) -> None:
        """`adds_special`: whether the tokenizer's own special tokens stand around a text."""
        self._loaded = loaded
        self._adds_special = adds_special
        self._max_length = max_length
        self._prefix = loaded.bos_id if loaded.bos_id != NO_TOKEN else loaded.eos_id
        if self._prefix == NO_TOKEN:
            raise PreparationError(MODEL, f"{loaded.path}: expected a BOS or an EOS, found neither")
        self._prefix_text = loaded.tokenizer.decode([self._prefix], skip_special_tokens=False)

    def runs_of(self, asked: Question | RollingText) -> list[ScoredRun]:
        if isinstance(asked, RollingText):
            return list(self._windows(asked))
        return [self._of_choice(asked, *pair) for pair in asked.pairs]

    def _of_choice(self, question: Question, context: str, continuation: str) -> ScoredRun:
        before, scored = self._divided(context, continuation)
        if not before:
            raise PreparationError(
                CORPUS, f"{question.place}: the context {context[:40]!r}: expected a token, found none"
            )
        if not 0 < len(scored) <= self._max_length:
            raise PreparationError(
                CORPUS,
                f"{question.place}: the continuation {continuation[:40]!r}: expected 1 to"
                f" {self._max_length} tokens, found {len(scored)}",
            )
        ids = (before + scored)[-(self._max_length + 1) :]
        return ScoredRun(ids, len(ids) - len(scored))

    def _divided(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        if not context:
            ids = self._encode(continuation, adds_special=False)
            # One that begins with the BOS has it for its context.
            return (ids[:1], ids[1:]) if ids[:1] == [self._prefix] else ([self._prefix], ids)
        whole = self._encode(context + continuation, self._adds_special)
        before = self._encode(context.rstrip(), self._adds_special)
        return before, whole[len(before) :]

    def _windows(self, text: RollingText) -> Iterator[ScoredRun]:
        ids = self._encode(text.text, self._adds_special) if text.text else []
        if not ids:
            raise PreparationError(CORPUS, f"{text.place}: expected a text with a token, found none")
        first = min(self._max_length, len(ids))
        yield ScoredRun([self._prefix, *ids[:first]], 1)
        for begin in range(first, len(ids), self._max_length):
            end = min(len(ids), begin + self._max_length)
            run = ids[end - self._max_length - 1 : end]
            yield ScoredRun(run, len(run) - (end - begin))

    def _encode(self, text: str, adds_special: bool) -> list[int]:
        # A text that begins with the BOS already gets no other.
        adds = adds_special and not text.startswith(self._prefix_text)
        return self._loaded.tokenizer.encode(text, add_special_tokens=adds).ids
