#!/usr/bin/env python3
"""Tokenises text files into one token file (HDF5), streaming and in parallel.

    prepare_corpus.py --tokenizer MODEL_DIR --output CORPUS.h5 [options] FILE...

A FILE is text in UTF-8 (one file, one document; markup is text like any other), or JSON lines or a JSON
array (one record, one document); either may be compressed. Which it is, its content says
(preparation/corpus_kinds.py). Ids are those of transformers' AutoTokenizer. Memory is bounded by the
number of jobs, not by the files: long documents are cut where the tokenizer at hand gives the same ids
cut and whole (preparation/encoding.py).

Exit codes: 0 done, 2 bad command line, 3 bad corpus, 4 bad model directory, 6 output.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import stat
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from tqdm import tqdm

from preparation.command_line import positive_integer
from preparation.documents import SourceFile
from preparation.encoding import Piece, encode, encode_in_worker, safe_cuts, start_worker
from preparation.errors import (
    CORPUS,
    MODEL,
    OUTPUT,
    PreparationError,
    one_line,
    run_program,
    writing,
)
from preparation.output_path import output_file
from preparation.remarks import Remarks
from preparation.token_file import TokenFileWriter, partial_paths
from preparation.tokenizer_directory import NO_TOKEN, ModelTokenizer, load_tokenizer
from preparation.vocabulary import Vocabulary, load_vocabulary
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
    parser.add_argument("--output", required=True, metavar="CORPUS.h5")
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
    total = 0
    for path in files:
        try:
            status = path.stat()
        except OSError as error:
            raise PreparationError(CORPUS, f"{path}: {error.strerror}, expected a file") from None
        if not stat.S_ISREG(status.st_mode):
            found = "a directory" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"
            raise PreparationError(CORPUS, f"{path} is {found}, expected a file")
        total += status.st_size
    return total


def refuse_inputs(output: Path, files: list[Path]) -> None:
    """Refuses an output that is, or is made by way of, one of the inputs."""
    for written in (output, *partial_paths(output)):
        if os.path.exists(written) and any(written.samefile(path) for path in files):
            raise PreparationError(OUTPUT, f"cannot write {written}: it is one of the files to be read")


def batches(
    files: list[Path],
    text_field: str,
    cuts: re.Pattern[str] | None,
    sources: list[dict[str, object]],
    remarks: Remarks,
) -> Iterator[Batch]:
    """All pieces of all files in order; a file that has been read is described in `sources`."""
    pieces: list[Piece] = []
    chars = 0
    bytes_before = 0
    for path in files:
        with SourceFile(path, text_field, remarks) as source:
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


def write_backend(file: IO[str], loaded: ModelTokenizer) -> Path:
    """For the workers."""
    with writing(Path(file.name)):
        file.write(loaded.backend)
        file.flush()
    return Path(file.name)


def encoded(
    work: Iterator[Batch], loaded: ModelTokenizer, jobs: int
) -> Iterator[tuple[Batch, list[np.ndarray]]]:
    """Each batch with the ids of its pieces, in order, over `jobs` processes."""
    if jobs == 1:
        for batch in work:
            yield batch, encode(loaded.tokenizer, batch.pieces)
        return
    with (
        tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".json") as backend,
        worker_pool(
            jobs, start_worker, write_backend(backend, loaded), loaded.splits_special_tokens
        ) as pool,
    ):
        ahead: deque[tuple[Batch, Future[list[np.ndarray]]]] = deque()
        for batch in work:
            ahead.append((batch, pool.submit(encode_in_worker, batch.pieces)))
            if len(ahead) >= jobs * BATCHES_AHEAD_PER_JOB:
                first, ids = ahead.popleft()
                yield first, ids.result()
        for batch, ids in ahead:
            yield batch, ids.result()


@dataclass(frozen=True)
class SpecialTokens:
    """What stands around each document."""

    before: np.ndarray  # uint32
    after: np.ndarray
    bos_id: int  # NO_TOKEN where the tokenizer has none


def write_pieces(
    writer: TokenFileWriter, batch: Batch, ids: list[np.ndarray], special: SpecialTokens
) -> int:
    """Appends a batch, with the special tokens around each document; returns how many documents
    begin with the BOS by their own text."""
    own_bos = 0
    for piece, piece_ids in zip(batch.pieces, ids, strict=True):
        if piece.begins_document():
            writer.append(special.before)
            own_bos += len(piece_ids) > 0 and int(piece_ids[0]) == special.bos_id
        writer.append(piece_ids)
        if piece.ends_document:
            writer.append(special.after)
            writer.end_document()
    return own_bos


def special_tokens(arguments: argparse.Namespace, vocabulary: Vocabulary) -> SpecialTokens:
    wanted = {"none": (), "bos": ("bos",), "bos-eos": ("bos", "eos")}[arguments.special]
    found = {"bos": vocabulary.bos_id, "eos": vocabulary.eos_id}
    for role in wanted:
        if found[role] == NO_TOKEN:
            raise PreparationError(
                MODEL,
                f"{arguments.tokenizer}: --special {arguments.special} asks for a {role.upper()};"
                f" AutoTokenizer knows none: tokenizer_config.json has no {role}_token",
            )
    ids = {
        role: np.array([found[role]] if role in wanted else [], dtype=np.uint32) for role in found
    }
    return SpecialTokens(ids["bos"], ids["eos"], vocabulary.bos_id)


def prompt_ids(
    arguments: argparse.Namespace, loaded: ModelTokenizer, special: SpecialTokens
) -> dict[str, np.ndarray]:
    prompts = {}
    for name, text in arguments.prompt:
        ids = encode(loaded.tokenizer, [Piece(text, "", True)])[0]
        if len(ids) == 0:
            raise PreparationError(CORPUS, f"prompt {name}: the tokenizer makes no token of {text!r}")
        prompts[name] = np.concatenate([special.before, ids])
    return prompts


def bos_warning(
    own_bos: int, documents: int, special: SpecialTokens, vocabulary: Vocabulary
) -> list[str]:
    """Of documents whose text begins with the BOS, which something may put there again."""
    if own_bos == 0:
        return []
    token = vocabulary.spellings[special.bos_id].decode(errors="replace")
    doubled = (
        "--special put another before it"
        if len(special.before)
        else 'a job\'s bos = "each_window" puts another before it'
    )
    return [
        f"{own_bos:,} of {documents:,} document(s) begin with the BOS {token!r} in their text; {doubled}"
    ]


def main() -> None:
    arguments = parse_command_line()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    total_bytes = stored_bytes(arguments.files)
    output = output_file(arguments.output)
    refuse_inputs(output, arguments.files)
    loaded = load_tokenizer(arguments.tokenizer)
    vocabulary = load_vocabulary(loaded)
    special = special_tokens(arguments, vocabulary)
    prompts = prompt_ids(arguments, loaded, special)
    sources: list[dict[str, object]] = []
    remarks = Remarks()
    cuts = safe_cuts(loaded.tokenizer, vocabulary.spellings)
    work = batches(arguments.files, arguments.text_field, cuts, sources, remarks)
    own_bos = 0
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(TokenFileWriter(output))
        progress = stack.enter_context(
            tqdm(
                total=total_bytes,
                unit="B",
                unit_scale=True,
                desc=output.name,
                disable=None,
            )
        )
        for batch, ids in encoded(work, loaded, arguments.jobs):
            own_bos += write_pieces(writer, batch, ids, special)
            progress.update(batch.bytes_read - progress.n)
        fingerprint = writer.finish(vocabulary, prompts, arguments.special, sources)
        documents, tokens = writer.num_documents(), writer.num_tokens()
    remarked = [*loaded.warnings, *remarks.lines()]
    for line in [*remarked, *bos_warning(own_bos, documents, special, vocabulary)]:
        print(f"prepare_corpus.py: warning: {one_line(line)}", file=sys.stderr)
    print(
        f"{arguments.output}: {documents:,} document(s), {tokens:,} tokens, fingerprint"
        f" {fingerprint}"
    )


if __name__ == "__main__":
    run_program("prepare_corpus.py", main)
