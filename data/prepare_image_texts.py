#!/usr/bin/env python3
"""Makes one token file (HDF5) of texts with images: ids, pixels, and where each image's tokens stand.

    prepare_image_texts.py --model MODEL_DIR --output CORPUS.h5 FILE.jsonl...

A record has "text", in which the processor's image token stands where an image does, or "messages", as
the checkpoint's chat template takes them; and "images", the paths of their images in order, from the
folder of the FILE on. What ids and pixels become of them transformers' processor of MODEL_DIR says;
where it cuts an image into tiles, each tile is an image of the file. A text gets no BOS; a chat has what
its template gives it. Memory is bounded by one record.

Exit codes: 0 done, 2 bad command line, 3 a bad record or image, 4 bad model directory, 6 output.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from tqdm import tqdm

from preparation.errors import one_line, run_program
from preparation.hub_cache import model_directory
from preparation.image_texts import ImageTexts, records_of
from preparation.output_path import output_file
from preparation.placed_images import PlacedImages
from preparation.token_file import TokenFileWriter
from preparation.tokenizer_directory import keep_converted, load_tokenizer
from preparation.vocabulary import load_vocabulary


def parse_command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="prepare_image_texts.py", description=__doc__.splitlines()[0]
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.jsonl")
    parser.add_argument("--model", required=True, type=Path, metavar="MODEL_DIR")
    parser.add_argument("--output", required=True, metavar="CORPUS.h5")
    return parser.parse_args()


def main() -> None:
    arguments = parse_command_line()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    directory = model_directory(arguments.model)
    output = output_file(arguments.output)
    loaded = load_tokenizer(directory)
    vocabulary = load_vocabulary(loaded)
    texts = ImageTexts(directory)
    with TokenFileWriter(output) as writer, PlacedImages(output) as images:
        for record in tqdm(records_of(arguments.files), unit="text", desc=output.name, disable=None):
            document = texts.document_of(record)
            images.append(document, writer.num_tokens())
            writer.append(document.ids)
            writer.end_document()
        attributes = {"special_tokens": "none", "processor": texts.described()}
        fingerprint = writer.finish(vocabulary, {}, attributes, images)
        documents, tokens = writer.num_documents(), writer.num_tokens()
    for line in loaded.warnings:
        print(f"prepare_image_texts.py: warning: {one_line(line)}", file=sys.stderr)
    print(
        f"{arguments.output}: {documents:,} document(s), {tokens:,} tokens, {len(images):,} image(s),"
        f" fingerprint {fingerprint}"
    )
    keep_converted(loaded, output)


if __name__ == "__main__":
    run_program("prepare_image_texts.py", main)
