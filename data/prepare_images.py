#!/usr/bin/env python3
"""Turns images into one file (HDF5) of the pixels that a model sees, streaming and in parallel.

    prepare_images.py --model MODEL_DIR --output IMAGES.h5 [--jobs N] FOLDER_OR_FILE...

A FILE is read whatever its name is; of a FOLDER, all in it and below is read whose name ends like
an image's, in the order of the names. The settings (resizing, cropping, normalisation) are those of
MODEL_DIR/preprocessor_config.json. Memory is bounded by the number of jobs, not by the images.

Exit codes: 0 done, 2 bad command line, 3 a bad image, 4 bad model directory, 6 output.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from preparation.command_line import positive_integer
from preparation.errors import CORPUS, PreparationError, run_program
from preparation.image_file import ImageFileWriter
from preparation.image_processor import ProcessedImage, Settings, load_settings, process
from preparation.workers import worker_pool

IMAGES_AHEAD_PER_JOB = 4  # more would only hold memory
ENDINGS = frozenset(".avif .bmp .gif .jp2 .jpeg .jpg .pgm .png .pnm .ppm .tif .tiff .webp".split())


@dataclass(frozen=True)
class Source:
    """One image file."""

    name: str  # with the folder that was given, which is how the image file calls it
    path: Path


def parse_command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="prepare_images.py", description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="+", type=Path, metavar="FOLDER_OR_FILE")
    parser.add_argument("--model", required=True, type=Path, metavar="MODEL_DIR")
    parser.add_argument("--output", required=True, type=Path, metavar="IMAGES.h5")
    parser.add_argument(
        "--jobs", type=positive_integer, default=os.cpu_count(), help="default: every core"
    )
    return parser.parse_args()


def images_of(folder: Path) -> list[Source]:
    """The images in a folder and below, by name; hidden files and folders are left out."""
    sources = []
    for path in folder.rglob("*"):
        inside = path.relative_to(folder)
        is_hidden = any(part.startswith(".") for part in inside.parts)
        if path.suffix.lower() in ENDINGS and path.is_file() and not is_hidden:
            sources.append(Source(f"{folder.resolve().name}/{inside.as_posix()}", path))
    if not sources:
        raise PreparationError(
            CORPUS, f"{folder}: no file in it is named like an image ({' '.join(sorted(ENDINGS))})"
        )
    return sorted(sources, key=lambda source: source.name)


def list_sources(paths: list[Path]) -> list[Source]:
    """Every image file, in the order that was asked for."""
    sources = []
    for path in paths:
        if path.is_dir():
            sources += images_of(path)
        elif path.is_file():
            sources.append(Source(path.name, path))
        else:
            found = "is neither a file nor a folder" if path.exists() else "no such file or folder"
            raise PreparationError(CORPUS, f"{path}: {found}")
    return sources


def start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the workers


def processed(
    sources: list[Source], settings: Settings, jobs: int
) -> Iterator[tuple[Source, ProcessedImage]]:
    """Each image in order, over `jobs` processes."""
    if jobs == 1:
        for source in sources:
            yield source, process(source.path, settings)
        return
    with worker_pool(jobs, start_worker) as pool:
        ahead: deque[tuple[Source, Future[ProcessedImage]]] = deque()
        for source in sources:
            ahead.append((source, pool.submit(process, source.path, settings)))
            if len(ahead) >= jobs * IMAGES_AHEAD_PER_JOB:
                first, image = ahead.popleft()
                yield first, image.result()
        for source, image in ahead:
            yield source, image.result()


def main() -> None:
    arguments = parse_command_line()
    settings = load_settings(arguments.model)
    sources = list_sources(arguments.sources)
    jobs = min(arguments.jobs, len(sources))
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(ImageFileWriter(arguments.output, len(sources)))
        progress = stack.enter_context(
            tqdm(total=len(sources), unit="image", desc=arguments.output.name, disable=None)
        )
        for source, image in processed(sources, settings, jobs):
            writer.append(source.name, source.path, image)
            height, width = image.pixels.shape[1:]
            progress.update()
        fingerprint = writer.finish(settings)
    print(
        f"{arguments.output}: {len(sources):,} image(s) of {width} × {height} pixels, fingerprint"
        f" {fingerprint}"
    )


if __name__ == "__main__":
    run_program("prepare_images.py", main)
