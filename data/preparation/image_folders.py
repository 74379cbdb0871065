"""The image files of a command line: files as they are given, and all images in folders and below.

In: paths. Out: the images, those of a folder in the order of their paths' code points, and a count by
kind of what lies beside them and is left out. Links are followed, to files and to folders; a folder
is read once, where it lies itself if that is below the one that was given. Refuses what is not there,
what cannot be read, a file in a folder that is called like an image and is none, and a folder without
any.
"""

from __future__ import annotations

import heapq
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from preparation.errors import CORPUS, PreparationError
from preparation.file_kinds import ENDINGS, Kind, kind_at

CURES = {
    "Git LFS pointer": "`git lfs pull` fetches the image",
    "HEIC image": "Pillow does not read it; heif-convert, for one, makes it a JPEG",
}


@dataclass(frozen=True)
class Source:
    """One image file."""

    name: str  # with the folder that was given, which is how the image file calls it
    path: Path


class ImageSources:
    """Every image file, in the order that was asked for, and what was left out of folders."""

    def __init__(self, paths: list[Path]) -> None:
        self.images: list[Source] = []
        self.left_out: Counter[str] = Counter()  # by kind
        for path in paths:
            if path.is_dir():
                self._add_folder(path)
            elif path.is_file():
                self.images.append(Source(path.name, path))
            else:
                found = "is neither a file nor a folder" if path.exists() else "no such file or folder"
                raise PreparationError(CORPUS, f"{path}: {found}")

    def _add_folder(self, folder: Path) -> None:
        before = self.left_out.copy()
        begin = len(self.images)
        try:
            self._walk(folder)
        except OSError as error:
            raise PreparationError(CORPUS, f"{error.filename}: {error.strerror}") from None
        if len(self.images) == begin:
            found = counted(self.left_out - before) or "nothing"
            raise PreparationError(
                CORPUS, f"{folder}: no file in it is an image or named like an image, found {found}"
            )
        self.images[begin:] = sorted(self.images[begin:], key=lambda source: source.name)

    def _walk(self, top: Path) -> None:
        """Adds what is in a folder and below: each folder once, links to folders last."""
        known: set[tuple[int, int]] = set()
        waiting = [(False, top.resolve().name, top)]  # a heap: whether it is a link, name, folder
        while waiting:
            _, name, folder = heapq.heappop(waiting)
            status = folder.stat()
            if (status.st_dev, status.st_ino) in known:
                self.left_out["link to a folder that is read anyway"] += 1
                continue
            known.add((status.st_dev, status.st_ino))
            for entry in sorted(os.listdir(folder)):
                path, inside = folder / entry, f"{name}/{entry}"
                if entry.startswith("."):
                    self.left_out["hidden file or folder"] += 1
                elif path.is_dir():
                    heapq.heappush(waiting, (path.is_symlink(), inside, path))
                elif path.is_file():
                    self._add_file(path, inside)
                else:
                    is_link = path.is_symlink()
                    self.left_out["link to nothing" if is_link else "thing that is no file"] += 1

    def _add_file(self, path: Path, name: str) -> None:
        kind = kind_at(path)
        if kind.is_readable:
            self.images.append(Source(name, path))
        elif path.suffix.lower() in ENDINGS:
            raise refuse_kind(path, kind)
        else:
            self.left_out[kind.name] += 1


def refuse_kind(path: Path, kind: Kind) -> PreparationError:
    """What says that a file is no image, but something else."""
    cure = f": {CURES[kind.name]}" if kind.name in CURES else ""
    return PreparationError(
        CORPUS, f"{path} is no image of a format that is read here, found: {kind}{cure}"
    )


def counted(left_out: Counter[str]) -> str:
    """"3 × text, 1 × HEIC image": kinds in the order of their names."""
    return ", ".join(f"{left_out[kind]:,} × {kind}" for kind in sorted(left_out))
