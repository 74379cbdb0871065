"""The section on whose words the tokens of chats hold."""

from __future__ import annotations

from collections.abc import Sequence

from ..results import roles as results
from .content import Model, Section, of_models
from .panels import Axis, curves

ROLES_KEY = 'The job key `[statistics] classes = "role"` makes it, for a corpus of chats.'
SOURCES = tuple(f"/residual/role_{name}" for name in ("count", "sum", "sum_square"))


def roles(models: Sequence[Model]) -> Section:
    """Sizes and massive values by role."""
    section = Section(
        "roles",
        "Roles of a chat",
        "The residual stream over the tokens of each role: whose words a token holds, or the chat"
        " template's own. Position 0 of the windows stands apart. RMS is the root of the mean"
        " square over tokens and channels.",
    )
    having = section.having(models, "residual/role_sum", "sums by role", ROLES_KEY)
    sizes = of_models(having, results.sizes)
    rest = sizes[sizes["tokens"] == results.REST] if len(sizes) else sizes
    section.picture(
        "roles_by_layer",
        "RMS of the residual stream by layer and role, without position 0.",
        lambda: curves(rest, Axis("layer", "layer"), Axis("RMS", "RMS", True), "role"),
        rest,
        SOURCES[0],
        SOURCES[2],
    )
    section.table("roles_by_layer_table", "RMS by layer and role.", sizes, SOURCES[0], SOURCES[2])
    section.table(
        "roles",
        "Values at massive places by role.",
        of_models(having, results.constancy),
        *SOURCES,
        "/massive",
    )
    return section
