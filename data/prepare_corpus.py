#!/usr/bin/env python3
"""Tokenises text files into one token file (HDF5), streaming and in parallel.

    prepare_corpus.py --tokenizer MODEL_DIR --output CORPUS.h5 [options] FILE...

A FILE is text in UTF-8 (one file, one document; markup is text like any other), or JSON lines or a JSON
array (one record, one document), all of which may be compressed; a Parquet or Arrow file (one row, one
document); or a folder that `datasets` saved. Its content says which (preparation/corpus_kinds.py). Ids
are those of transformers' AutoTokenizer. Memory is bounded by the number of jobs, not by the files: long
documents are cut where the tokenizer at hand gives the same ids cut and whole (preparation/encoding.py).

Exit codes: 0 done, 2 bad command line, 3 bad corpus, 4 bad model directory, 6 output.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from preparation.batches import Batch, batches, encoded
from preparation.corpus_options import parse_command_line, text_fields
from preparation.documents import SourceFile, pieces_of
from preparation.encoding import Piece, encode, safe_cuts
from preparation.errors import CORPUS, MODEL, OUTPUT, PreparationError, one_line, run_program
from preparation.inputs import Input, inputs_of, stored_bytes
from preparation.output_path import output_file
from preparation.reading import Reading
from preparation.token_file import TokenFileWriter, partial_paths
from preparation.tokenizer_directory import NO_TOKEN, ModelTokenizer, load_tokenizer
from preparation.vocabulary import Vocabulary, load_vocabulary


def refuse_inputs(output: Path, files: list[Path]) -> None:
    """Refuses an output that is, or is made by way of, one of the inputs."""
    for written in (output, *partial_paths(output)):
        if os.path.exists(written) and any(written.samefile(path) for path in files):
            raise PreparationError(OUTPUT, f"cannot write {written}: it is one of the files to be read")


def pieces_of_corpus(
    inputs: list[Input],
    reading: Reading,
    cuts: re.Pattern[str] | None,
    sources: list[dict[str, object]],
) -> Iterator[tuple[Piece, int]]:
    """All pieces of all files in order, and the bytes read by then; a file that has been read is
    described in `sources`."""
    bytes_before = 0
    for one in inputs:
        with SourceFile(one, reading) as source:
            for document in source.documents():
                for piece in pieces_of(document, cuts, reading.remarks):
                    yield piece, bytes_before + source.bytes_read()
            sources.append(source.description())
            bytes_before += source.bytes_read()


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
    arguments = parse_command_line(__doc__.splitlines()[0])
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    inputs = inputs_of(arguments.files)
    total_bytes = stored_bytes(inputs)
    output = output_file(arguments.output)
    refuse_inputs(output, [one.path for one in inputs])
    loaded = load_tokenizer(arguments.tokenizer)
    vocabulary = load_vocabulary(loaded)
    special = special_tokens(arguments, vocabulary)
    prompts = prompt_ids(arguments, loaded, special)
    sources: list[dict[str, object]] = []
    reading = Reading(text_fields(arguments))
    cuts = safe_cuts(loaded.tokenizer, vocabulary.spellings)
    work = batches(pieces_of_corpus(inputs, reading, cuts, sources))
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
    remarked = [*loaded.warnings, *reading.remarks.lines()]
    for line in [*remarked, *bos_warning(own_bos, documents, special, vocabulary)]:
        print(f"prepare_corpus.py: warning: {one_line(line)}", file=sys.stderr)
    print(
        f"{arguments.output}: {documents:,} document(s), {tokens:,} tokens, fingerprint"
        f" {fingerprint}"
    )


if __name__ == "__main__":
    run_program("prepare_corpus.py", main)
