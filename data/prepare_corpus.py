#!/usr/bin/env python3
"""Tokenises text files into one token file (HDF5), streaming and in parallel.

    prepare_corpus.py --tokenizer MODEL_DIR --output CORPUS.h5 [options] FILE...
    prepare_corpus.py --tokenizer MODEL_DIR --output CORPUS.h5 --control KIND [options]

A FILE is text in UTF-8 (one file, one document; markup is text like any other), or JSON lines or a JSON
array (one record, one document), all of which may be compressed; a Parquet or Arrow file (one row, one
document); a tar archive; a folder, or one that `datasets` saved. Its content says which
(preparation/corpus_kinds.py). Ids are those of transformers' AutoTokenizer. Memory is bounded by the
number of jobs, not by the files: long documents are cut where the tokenizer at hand gives the same ids
cut and whole (preparation/encoding.py).

Exit codes: 0 done, 2 bad command line, 3 bad corpus, 4 bad model directory, 6 output.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from preparation.batches import batches, encoded
from preparation.byte_offsets import ByteOffsets
from preparation.chats import ROLES, ChatTemplate
from preparation.controls import Shuffle
from preparation.corpus_options import SPECIAL, control, parse_command_line, selection, text_fields
from preparation.corpus_pieces import CorpusPieces
from preparation.corpus_writer import CorpusWriter, SpecialTokens
from preparation.encoding import Piece, encode, safe_cuts
from preparation.errors import CORPUS, MODEL, OUTPUT, PreparationError, one_line, run_program
from preparation.hub_cache import model_directory
from preparation.id_files import SUFFIXES, id_documents
from preparation.inputs import Input, inputs_of, stored_bytes
from preparation.mistakes import Mistakes
from preparation.output_path import output_file
from preparation.reading import Reading
from preparation.remarks import Remarks
from preparation.selection import Selection
from preparation.source_log import TextLog
from preparation.special_spellings import SpecialSpellings
from preparation.stored_file import CountedFile
from preparation.text_encoder import tokenizer_of, use_one_thread
from preparation.token_file import TokenFileWriter, partial_paths
from preparation.tokenizer_directory import (
    NO_TOKEN,
    ModelTokenizer,
    keep_converted,
    load_tokenizer,
)
from preparation.vocabulary import Vocabulary, load_vocabulary


def refuse_inputs(output: Path, inputs: list[Input]) -> None:
    """Refuses an output that is, or is made by way of, one of the inputs."""
    for written in (output, *partial_paths(output)):
        if os.path.exists(written) and any(written.samefile(one.path) for one in inputs):
            raise PreparationError(OUTPUT, f"cannot write {written}: it is one of the files to be read")


def special_tokens(arguments: argparse.Namespace, vocabulary: Vocabulary) -> SpecialTokens:
    wanted = SPECIAL[arguments.special]
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


def write_texts(
    pieces: CorpusPieces, loaded: ModelTokenizer, jobs: int, corpus: CorpusWriter, progress: tqdm
) -> None:
    work = batches(iter(pieces))
    for batch, ids in encoded(work, loaded, pieces.specials.stay_text(), jobs):
        corpus.add(batch, ids)
        progress.update(batch.bytes_read - progress.n)
        if corpus.is_full:
            return


def write_ids(
    log: TextLog, taken: Selection, mistakes: Mistakes, vocabulary: int, corpus: CorpusWriter
) -> None:
    number = 0
    written = 0
    for place, one in enumerate(list(log.sources)):
        try:
            for document in id_documents(one.source.path):
                if taken.takes(number):
                    corpus.add_ids(document, vocabulary, place)
                    written += 1
                number += 1
                if written == taken.documents:
                    log.end_at(place)
                if corpus.is_full or written == taken.documents:
                    return
        except PreparationError as error:
            mistakes.met(error)
        with CountedFile(one.source.path) as stored:
            stored.read_up_to(stored.size)
            one.stored = {"bytes": stored.bytes_read, "sha256": stored.sha256()}


def write_control(
    arguments: argparse.Namespace,
    taken: Selection,
    vocabulary: Vocabulary,
    special: SpecialTokens,
    corpus: CorpusWriter,
) -> None:
    """One that reads no file."""
    chosen = control(arguments)
    assert chosen is not None
    written = 0
    documents = chosen.documents(vocabulary, len(special.before) + len(special.after))
    for number, document in enumerate(documents):
        if taken.takes(number):
            corpus.add_ids(document, len(vocabulary.spellings), source=0)
            written += 1
        if corpus.is_full or written == taken.documents:
            return


def attributes_of(
    arguments: argparse.Namespace, log: TextLog, mistakes: Mistakes, specials: SpecialSpellings
) -> dict[str, object]:
    """What the token file says of where it came from."""
    fields = text_fields(arguments)
    chat = {"messages": arguments.messages_field, "tools": arguments.tools_field}
    of_chats = {"chat_fields": json.dumps(chat), "token_roles": json.dumps(ROLES)}
    chosen = control(arguments)
    of_control = {} if chosen is None else {"control": json.dumps(chosen.described())}
    return of_control | (of_chats if arguments.messages_field is not None else {}) | {
        "special_tokens": arguments.special,
        "special_in_text": arguments.special_in_text,
        "special_in_text_count": np.int64(specials.number),
        "sources": json.dumps(log.described()),
        "text_fingerprint": log.text_fingerprint(),
        "text_fields": json.dumps(
            {"names": fields.names, "join": fields.join, "where": dict(fields.where)}
        ),
        "selection": json.dumps(selection(arguments).described()),
        "mistakes": np.int64(mistakes.number),
        "first_mistakes": json.dumps(mistakes.first, ensure_ascii=False),
    }


def mistake_lines(mistakes: Mistakes) -> list[str]:
    if mistakes.number == 0:
        return []
    return [f"{mistakes.number:,} mistake(s) were left out; the first is {mistakes.first[0]}"]


def reading_of(arguments: argparse.Namespace) -> Reading:
    remarks, chats = Remarks(), None
    if arguments.messages_field is not None:
        directory = model_directory(arguments.tokenizer)
        load_tokenizer(directory)  # which says what is wrong with it
        chats = ChatTemplate(directory, arguments.messages_field, arguments.tools_field, remarks)
    mistakes = Mistakes(arguments.on_error == "skip")
    return Reading(text_fields(arguments), remarks, mistakes, chats)


def main() -> None:
    arguments = parse_command_line(__doc__.splitlines()[0])
    use_one_thread()
    reading = reading_of(arguments)
    inputs = inputs_of(arguments.files, reading.remarks, SUFFIXES if arguments.ids else ())
    total_bytes = stored_bytes(inputs)
    output = output_file(arguments.output)
    refuse_inputs(output, inputs)
    loaded = load_tokenizer(model_directory(arguments.tokenizer))
    vocabulary = load_vocabulary(loaded)
    special = special_tokens(arguments, vocabulary)
    prompts = prompt_ids(arguments, loaded, special)
    no_file = Input(Path(os.devnull), f"--control {arguments.control}")
    log = TextLog(inputs or [no_file], has_text=bool(inputs) and not arguments.ids)
    specials = SpecialSpellings(vocabulary.special_texts, arguments.special_in_text, reading.remarks)
    taken = selection(arguments)
    tokenizer = tokenizer_of(loaded.backend, specials.stay_text())
    pieces = CorpusPieces(reading, taken, safe_cuts(tokenizer, vocabulary.spellings), specials, log)
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
        corpus = CorpusWriter(writer, special, log, taken.tokens)
        if arguments.byte_offsets or reading.chats is not None:
            corpus.byte_offsets = ByteOffsets(tokenizer, vocabulary.spellings)
            corpus.stores_bytes = arguments.byte_offsets
        if arguments.control == "shuffle":
            corpus.shuffle = Shuffle(arguments.seed)
        if not inputs:
            write_control(arguments, taken, vocabulary, special, corpus)
        elif arguments.ids:
            write_ids(log, taken, reading.mistakes, len(vocabulary.spellings), corpus)
        else:
            write_texts(pieces, loaded, arguments.jobs, corpus, progress)
        if writer.num_tokens() == 0 and reading.mistakes.number > 0:
            raise PreparationError(CORPUS, f"the corpus is empty: {mistake_lines(reading.mistakes)[0]}")
        attributes = attributes_of(arguments, log, reading.mistakes, specials)
        fingerprint = writer.finish(vocabulary, prompts, attributes)
        documents, tokens = writer.num_documents(), writer.num_tokens()
    remarked = [*loaded.warnings, *mistake_lines(reading.mistakes), *reading.remarks.lines()]
    for line in [*remarked, *bos_warning(corpus.own_bos, documents, special, vocabulary)]:
        print(f"prepare_corpus.py: warning: {one_line(line)}", file=sys.stderr)
    print(
        f"{arguments.output}: {documents:,} document(s), {tokens:,} tokens, fingerprint"
        f" {fingerprint}"
    )
    keep_converted(loaded, output)


if __name__ == "__main__":
    run_program("prepare_corpus.py", main)
