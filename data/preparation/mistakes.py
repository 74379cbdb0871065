"""What becomes of a mistake in a corpus: it ends the run, or it is counted and left out.

In: the refusal of a record or of a file. Out: how many there were, and the first of them in words. A
mistake of the model or of the output ends the run in any case.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from preparation.errors import CORPUS, PreparationError

MOST_KEPT = 10


@dataclass
class Mistakes:
    skips: bool = False
    number: int = 0
    first: list[str] = field(default_factory=list)

    def met(self, error: PreparationError) -> None:
        if not self.skips or error.exit_code != CORPUS or error.leaves_at_once:
            raise error
        self.number += 1
        if len(self.first) < MOST_KEPT:
            self.first.append(str(error))
