"""The config.json of released models in tests/configs/, by the models' names.

Facts of each model, as its config.json has them; SOURCES.md says from which public copy they were read.
Left out are versions, names of files and labels, which no model depends on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "configs"


@dataclass(frozen=True)
class RealConfig:
    """A released model."""

    name: str  # ORG/NAME

    @property
    def path(self) -> Path:
        return FOLDER / (self.name.replace("/", "--") + ".json")

    @property
    def config(self) -> dict[str, Any]:
        return json.loads(self.path.read_text())

    @property
    def model_type(self) -> str:
        return self.config["model_type"]


def named_sources() -> dict[str, str]:
    """Model -> where its facts were read."""
    sources, source = {}, ""
    for line in (FOLDER / "SOURCES.md").read_text().splitlines():
        if line.startswith("* "):
            source = line.removeprefix("* ")
        elif line.startswith("    * "):
            sources[line.removeprefix("    * ")] = source
    return sources


REAL_CONFIGS = tuple(
    RealConfig(path.stem.replace("--", "/", 1)) for path in sorted(FOLDER.glob("*.json"))
)


def first_of_types() -> set[RealConfig]:
    """One released model of each type."""
    return set({one.model_type: one for one in reversed(REAL_CONFIGS)}.values())
