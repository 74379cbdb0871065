#!/usr/bin/env python3
"""Tokenises text files into one token file (HDF5), streaming and in parallel.

    prepare_corpus.py --tokenizer MODEL_DIR --output CORPUS.h5 [options] FILE...

A FILE is text in UTF-8 (one file, one document; markup is text like any other) or, if its name ends
in .jsonl, one record and document per line; either may be compressed (.gz). Memory is bounded by
the number of jobs, not by the files: long documents are cut where the tokenizer at hand gives
the same ids cut and whole (preparation/encoding.py).

Exit codes: 0 done, 2 bad command line, 3 bad corpus, 4 bad model directory, 6 output.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from preparation.command_line import positive_integer
from preparation.documents import SourceFile
from preparation.encoding import Piece, encode, encode_in_worker, safe_cuts, start_worker
from preparation.errors import CORPUS, MODEL, PreparationError, run_program
from preparation.token_file import TokenFileWriter
from preparation.vocabulary import NO_TOKEN, Vocabulary, load_tokenizer, load_vocabulary
from preparation.workers import worker_pool

BATCH_CHARS = 1 << 19
BATCH_PIECES = 1 << 12
BATCHES_AHEAD_PER_JOB = 3  # more would only hold memory
PROMPT_NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Batch:
    """Pieces that a worker encodes together."""

    pieces: list[Piece]
    bytes_read: int  # of all files, when the last piece was read


def prompt(argument: str) -> tuple[str, str]:
    name, equals, text = argument.partition("=")
    if not equals or not PROMPT_NAME.fullmatch(name) or not text:
        raise argparse.ArgumentTypeError(
            f"{argument!r} is not NAME=TEXT with a NAME of letters, digits, _ and -"
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"the text of prompt {name} is not UTF-8") from None
    return name, text


def parse_command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="prepare_corpus.py", description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--tokenizer", required=True, type=Path, metavar="MODEL_DIR")
    parser.add_argument("--output", required=True, type=Path, metavar="CORPUS.h5")
    parser.add_argument(
        "--special",
        choices=("none", "bos", "bos-eos"),
        default="none",
        help="special tokens around each document; prompts get the BOS (default none)",
    )
    parser.add_argument(
        "--text-field", default="text", help="field of a JSONL record (default text)"
    )
    parser.add_argument(
        "--jobs", type=positive_integer, default=os.cpu_count(), help="default: every core"
    )
    parser.add_argument("--prompt", action="append", type=prompt, default=[], metavar="NAME=TEXT")
    arguments = parser.parse_args()
    names = [name for name, _ in arguments.prompt]
    if len(set(names)) < len(names):
        parser.error("argument --prompt: a name is used twice")
    return arguments


def stored_bytes(files: list[Path]) -> int:
    """Of all files together; refuses, before any work, one that is not there."""
    for path in files:
        if not path.is_file():
            found = "is not a file" if path.exists() else "no such file"
            raise PreparationError(CORPUS, f"{path}: {found}")
    return sum(path.stat().st_size for path in files)


def batches(
    files: list[Path],
    text_field: str,
    cuts: re.Pattern[str] | None,
    sources: list[dict[str, object]],
) -> Iterator[Batch]:
    """All pieces of all files in order; a file that has been read is described in `sources`."""
    pieces: list[Piece] = []
    chars = 0
    bytes_before = 0
    for path in files:
        with SourceFile(path, text_field) as source:
            for piece in source.pieces(cuts):
                pieces.append(piece)
                chars += len(piece.text)
                if chars >= BATCH_CHARS or len(pieces) >= BATCH_PIECES:
                    yield Batch(pieces, bytes_before + source.bytes_read())
                    pieces, chars = [], 0
            sources.append(source.description())
            bytes_before += source.bytes_read()
    if pieces:
        yield Batch(pieces, bytes_before)


def encoded(
    work: Iterator[Batch], tokenizer_dir: Path, jobs: int
) -> Iterator[tuple[Batch, list[np.ndarray]]]:
    """Each batch with the ids of its pieces, in order, over `jobs` processes."""
    if jobs == 1:
        tokenizer = load_tokenizer(tokenizer_dir)
        for batch in work:
            yield batch, encode(tokenizer, batch.pieces)
        return
    with worker_pool(jobs, start_worker, tokenizer_dir) as pool:
        ahead: deque[tuple[Batch, Future[list[np.ndarray]]]] = deque()
        for batch in work:
            ahead.append((batch, pool.submit(encode_in_worker, batch.pieces)))
            if len(ahead) >= jobs * BATCHES_AHEAD_PER_JOB:
                first, ids = ahead.popleft()
                yield first, ids.result()
        for batch, ids in ahead:
            yield batch, ids.result()


def write_pieces(
    writer: TokenFileWriter,
    batch: Batch,
    ids: list[np.ndarray],
    before: np.ndarray,
    after: np.ndarray,
) -> None:
    """Appends a batch, with the special tokens `before` and `after` each document."""
    for piece, piece_ids in zip(batch.pieces, ids, strict=True):
        if piece.begins_document():
            writer.append(before)
        writer.append(piece_ids)
        if piece.ends_document:
            writer.append(after)
            writer.end_document()


def special_ids(
    arguments: argparse.Namespace, vocabulary: Vocabulary
) -> tuple[np.ndarray, np.ndarray]:
    """The ids before and after each document, uint32."""
    wanted = {"none": (), "bos": ("bos",), "bos-eos": ("bos", "eos")}[arguments.special]
    found = {"bos": vocabulary.bos_id, "eos": vocabulary.eos_id}
    for role in wanted:
        if found[role] == NO_TOKEN:
            raise PreparationError(
                MODEL,
                f"{arguments.tokenizer}: --special {arguments.special} asks for a {role.upper()};"
                " it has none",
            )
    ids = {
        role: np.array([found[role]] if role in wanted else [], dtype=np.uint32) for role in found
    }
    return ids["bos"], ids["eos"]


def main() -> None:
    arguments = parse_command_line()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    total_bytes = stored_bytes(arguments.files)
    tokenizer = load_tokenizer(arguments.tokenizer)
    vocabulary = load_vocabulary(arguments.tokenizer, tokenizer)
    before, after = special_ids(arguments, vocabulary)
    prompts = {
        name: np.concatenate([before, *encode(tokenizer, [Piece(text, "", True)])])
        for name, text in arguments.prompt
    }
    sources: list[dict[str, object]] = []
    work = batches(
        arguments.files, arguments.text_field, safe_cuts(tokenizer, vocabulary.spellings), sources
    )
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(TokenFileWriter(arguments.output))
        progress = stack.enter_context(
            tqdm(
                total=total_bytes,
                unit="B",
                unit_scale=True,
                desc=arguments.output.name,
                disable=None,
            )
        )
        for batch, ids in encoded(work, arguments.tokenizer, arguments.jobs):
            write_pieces(writer, batch, ids, before, after)
            progress.update(batch.bytes_read - progress.n)
        fingerprint = writer.finish(vocabulary, prompts, arguments.special, sources)
        documents, tokens = writer.num_documents(), writer.num_tokens()
    print(
        f"{arguments.output}: {documents:,} document(s), {tokens:,} tokens, fingerprint"
        f" {fingerprint}"
    )


if __name__ == "__main__":
    run_program("prepare_corpus.py", main)
