"""What `make test` has of tests that run over models and numbers of ranks: one case of each kind. The other
cases have the mark slow, for `make test-slow`.

A file that calls these functions has an entry of ctest for its slow cases (cmake/Targets.cmake).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import pytest


def pair_params(
    names: Iterable[str], ranks: Iterable[int], quick: Mapping[str, Collection[int]]
) -> list[Any]:
    """Every name with every number of ranks m, as the parameters (name, m) of pytest. `quick`: by name,
    the m that are not slow."""
    ranks = tuple(ranks)
    return [
        slow_unless(m in quick.get(name, ()), name, m, id=f"{name}-m{m}") for name in names for m in ranks
    ]


def slow_unless(is_quick: bool, *values: Any, **options: Any) -> Any:
    """A parameter of pytest."""
    return pytest.param(*values, marks=() if is_quick else pytest.mark.slow, **options)
