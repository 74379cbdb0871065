#!/usr/bin/env python3
"""Turns images into one file (HDF5) of the pixels that a model sees, streaming and in parallel.

    prepare_images.py --model MODEL_DIR --output IMAGES.h5 [--labels folders|TABLE.csv] [--jobs N]
        FOLDER_OR_FILE...

A FILE is read whatever its name is; of a FOLDER, every image in it and below, told by its content, in
the order of the names; what else is there is counted in a warning. The settings (resizing, cropping,
normalisation) are those of MODEL_DIR/preprocessor_config.json. With --labels each image has a class, by
the folder that holds it or by a table of two columns, image and class. Classes are numbered by --classes
(a name on each line), else as numbers that are given, by config.json's id2label, or by the order of
their names. Memory is bounded by the number of
jobs, not by the images.

Exit codes: 0 done, 2 bad command line, 3 a bad image, 4 bad model directory, 6 output.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

from tqdm import tqdm

from preparation.command_line import positive_integer
from preparation.errors import run_program
from preparation.hub_cache import model_directory
from preparation.image_file import ImageFileWriter
from preparation.image_folders import ImageSources, Source, counted
from preparation.image_labels import labels_of
from preparation.image_processor import ProcessedImage, process
from preparation.image_settings import Settings, load_settings
from preparation.output_path import output_file
from preparation.workers import worker_pool

IMAGES_AHEAD_PER_JOB = 4  # more would only hold memory


def parse_command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="prepare_images.py", description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="+", type=Path, metavar="FOLDER_OR_FILE")
    parser.add_argument("--model", required=True, type=Path, metavar="MODEL_DIR")
    parser.add_argument("--output", required=True, metavar="IMAGES.h5")
    parser.add_argument(
        "--labels",
        metavar="folders|TABLE.csv",
        help='the class of each image: "folders", by the folder that holds it, or a table (image,class)',
    )
    parser.add_argument(
        "--classes", type=Path, metavar="NAMES.txt", help="the classes in their order, a name on each line"
    )
    parser.add_argument(
        "--jobs", type=positive_integer, default=os.cpu_count(), help="default: every core"
    )
    arguments = parser.parse_args()
    if arguments.classes is not None and arguments.labels is None:
        parser.error("--classes: expected --labels beside it")
    return arguments


def processed(
    sources: list[Source], settings: Settings, jobs: int
) -> Iterator[tuple[Source, ProcessedImage]]:
    """Each image in order, over `jobs` processes."""
    if jobs == 1:
        for source in sources:
            yield source, process(source.path, settings)
        return
    with worker_pool(jobs) as pool:
        ahead: deque[tuple[Source, Future[ProcessedImage]]] = deque()
        for source in sources:
            ahead.append((source, pool.submit(process, source.path, settings)))
            if len(ahead) >= jobs * IMAGES_AHEAD_PER_JOB:
                first, image = ahead.popleft()
                yield first, image.result()
        for source, image in ahead:
            yield source, image.result()


def warn(text: str) -> None:
    print(f"prepare_images.py: warning: {text}", file=sys.stderr)


def main() -> None:
    arguments = parse_command_line()
    output = output_file(arguments.output)
    model = model_directory(arguments.model)
    settings = load_settings(model)
    sources = ImageSources(arguments.sources)
    number = len(sources.images)
    labels = None
    if arguments.labels is not None:
        labels = labels_of(sources.images, arguments.labels, arguments.classes, model)
    jobs = min(arguments.jobs, number)
    oddities: Counter[str] = Counter()
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(ImageFileWriter(output, number))
        progress = stack.enter_context(
            tqdm(total=number, unit="image", desc=output.name, disable=None)
        )
        images = stack.enter_context(contextlib.closing(processed(sources.images, settings, jobs)))
        for source, image in images:
            writer.append(source.name, source.path, image)
            height, width = image.pixels.shape[1:]
            oddities.update(image.oddities)
            progress.update()
        fingerprint = writer.finish(settings, labels)
    for oddity, count in sorted(oddities.items()):
        warn(f"{count:,} of {number:,} image(s) have {oddity}")
    if sources.left_out:
        warn(f"left out of the folders: {counted(sources.left_out)}")
    print(
        f"{arguments.output}: {number:,} image(s) of {width} × {height} pixels, fingerprint"
        f" {fingerprint}"
    )
    if labels is not None:
        print(f"{arguments.output}: {len(labels.names):,} class(es), numbered by {labels.order}")


if __name__ == "__main__":
    run_program("prepare_images.py", main)
