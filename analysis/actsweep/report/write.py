"""Writes a report: index.html, each picture as SVG and PNG, each frame as CSV.

In: paths of sweep files and a folder, made if needed. Refuses what `actsweep.open` refuses, before
anything is written, and a folder that cannot be written.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tqdm import tqdm

from ..output import writing
from ..pictures import save
from ..sweep import Sweep, open_sweep
from .chapters import CHAPTERS
from .content import Model, Picture, Section
from .layout import page


def write_report(files: Sequence[str | os.PathLike[str]], folder: str | os.PathLike[str]) -> Path:
    """Returns the path of the page."""
    folder = Path(folder)
    with ExitStack() as stack:
        models = labelled([stack.enter_context(open_sweep(file)) for file in files])
        sections = []
        for chapter in tqdm(CHAPTERS, desc="report", unit="section", disable=None):
            section = chapter(models)
            with writing(folder):
                _save_parts(section, folder)
            sections.append(section)
    target = folder / "index.html"
    with writing(folder):
        target.write_text(page(_title(models), sections, folder), encoding="utf-8")
    return target


def labelled(sweeps: Sequence[Sweep]) -> list[Model]:
    """Names of models; where two files have one model, the file's name stands beside it."""
    names = [str(sweep.attributes["model_name"]) for sweep in sweeps]
    count = Counter(names)
    labels = [
        name if count[name] == 1 else f"{name} ({sweep.path.stem})"
        for name, sweep in zip(names, sweeps, strict=True)
    ]
    again = Counter(labels)
    return [
        Model(label if again[label] == 1 else f"{label} #{index + 1}", sweep)
        for index, (label, sweep) in enumerate(zip(labels, sweeps, strict=True))
    ]


def _title(models: Sequence[Model]) -> str:
    return "Massive activations: " + ", ".join(model.label for model in models)


def _save_parts(section: Section, folder: Path) -> None:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for part in section.parts:
        part.frame.to_csv(folder / "data" / f"{part.name}.csv", index=False)
        if isinstance(part, Picture):
            save(part.draw(), folder, part.name)
