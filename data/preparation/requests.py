"""What is scored in the documents of a token file, and how scores become accuracies and perplexities.

In: questions with their runs of ids, in the order of the documents. Out: the group `requests` of the file,
a row for each document: its task, its place in its question or text, the first id that is scored (the
loss at the row before is that id's), whether it is a right choice, and the lengths of choice or text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

from preparation.questions import Question, RollingText
from preparation.scoring import ScoredRun

# Those of src/corpus/request.h.
COLUMNS = ("task", "kind", "part", "parts", "first_scored", "is_answer", "bytes", "characters", "words")
CHOICE, WINDOW = 0, 1  # kinds


class Requests:
    def __init__(self) -> None:
        self.tasks: dict[str, int] = {}
        self.questions = 0  # and texts
        self._rows: list[tuple[int, ...]] = []

    def append(self, asked: Question | RollingText, runs: Sequence[ScoredRun]) -> None:
        self.questions += 1
        task = self.tasks.setdefault(asked.task, len(self.tasks))
        is_text = isinstance(asked, RollingText)
        for part, run in enumerate(runs):
            counted = asked.counted if is_text else asked.choices[part]
            is_answer = not is_text and part in asked.answers
            place = (task, WINDOW if is_text else CHOICE, part, len(runs), run.first_scored)
            self._rows.append((*place, int(is_answer), *lengths_of(counted)))

    def attributes(self) -> dict[str, object]:
        return {"tasks": json.dumps(list(self.tasks), ensure_ascii=False)}

    def copy_to(self, file: h5py.File, digest: Any) -> None:
        """Makes the group, and adds its content and the tasks' names to `digest`."""
        for name, values in zip(COLUMNS, np.array(self._rows, dtype="<u4").T, strict=True):
            file[f"requests/{name}"] = values
            digest.update(np.ascontiguousarray(values).tobytes())
        digest.update(json.dumps(list(self.tasks), ensure_ascii=False).encode())


def lengths_of(text: str) -> tuple[int, int, int]:
    """Its bytes, characters and words, as lm-evaluation-harness counts them."""
    return len(text.encode()), len(text), len(re.split(r"\s+", text))
