#!/usr/bin/env python3
"""Makes one token file (HDF5) of tasks: a document for each choice of a question, and what is scored in it.

    prepare_choices.py --tokenizer MODEL_DIR --output TASKS.h5 REQUESTS.jsonl...

Reads what lm-evaluation-harness logs (--log_samples), so that any of its tasks by log-likelihood serves;
{"context": …, "choices": […], "answer": N}, where a choice begins with the space before it; and
{"text": …}, whose whole likelihood gives perplexities. Ids are those that the harness makes. A sweep of the
file with [statistics] loss = true scores it, and `python -m actsweep tasks` tells the accuracies.

Exit codes: 0 done, 2 bad command line, 3 a bad record, 4 bad model directory, 6 output.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from preparation.errors import MODEL, PreparationError, one_line, run_program
from preparation.hub_cache import model_directory
from preparation.json_files import read_object
from preparation.output_path import output_file
from preparation.questions import questions_of
from preparation.requests import Requests
from preparation.scoring import Scoring
from preparation.token_file import TokenFileWriter
from preparation.tokenizer_directory import keep_converted, load_tokenizer
from preparation.vocabulary import load_vocabulary

# Where a config says how many tokens a model reads, in the harness's order; and what it takes where none does.
LENGTH_KEYS = ("max_length", "n_positions", "max_position_embeddings", "n_ctx")
DEFAULT_LENGTH = 2048


def parse_command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="prepare_choices.py", description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="REQUESTS.jsonl")
    parser.add_argument("--tokenizer", required=True, type=Path, metavar="MODEL_DIR")
    parser.add_argument("--output", required=True, metavar="TASKS.h5")
    parser.add_argument(
        "--max-length",
        type=int,
        metavar="N",
        help="most tokens of a document but for the last; longer ones lose their beginning, and texts"
        " are cut into windows (default: the model's positions, as its config says)",
    )
    parser.add_argument(
        "--no-special-tokens",
        action="store_true",
        help="no BOS, whatever the tokenizer puts there (the harness's add_bos_token=False)",
    )
    arguments = parser.parse_args()
    if arguments.max_length is not None and arguments.max_length < 1:
        parser.error(f"--max-length: expected a number above 0, found {arguments.max_length}")
    return arguments


def max_length_of(directory: Path) -> int:
    """Most tokens that the model reads at once."""
    path = directory / "config.json"
    if not path.exists():
        raise PreparationError(
            MODEL, f"{path}: expected a config, which says how many tokens the model reads; or --max-length"
        )
    config = read_object(path)
    text = config.get("text_config")
    section = text if isinstance(text, dict) else config
    lengths = (section.get(key) for key in LENGTH_KEYS)
    return next((length for length in lengths if isinstance(length, int)), DEFAULT_LENGTH)


def main() -> None:
    arguments = parse_command_line()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    directory = model_directory(arguments.tokenizer)
    output = output_file(arguments.output)
    loaded = load_tokenizer(directory)
    vocabulary = load_vocabulary(loaded)
    max_length = arguments.max_length or max_length_of(directory)
    scoring = Scoring(loaded, not arguments.no_special_tokens, max_length)
    requests, longest = Requests(), 0
    with TokenFileWriter(output) as writer:
        for asked in tqdm(questions_of(arguments.files), unit="question", desc=output.name, disable=None):
            runs = scoring.runs_of(asked)
            requests.append(asked, runs)
            for run in runs:
                writer.append(np.array(run.ids, dtype=np.uint32))
                writer.end_document()
                longest = max(longest, len(run.ids))
        attributes = {"special_tokens": "none", "max_length": np.int64(max_length)}
        fingerprint = writer.finish(vocabulary, {}, attributes | requests.attributes(), requests)
        documents, tokens = writer.num_documents(), writer.num_tokens()
    for line in loaded.warnings:
        print(f"prepare_choices.py: warning: {one_line(line)}", file=sys.stderr)
    print(
        f"{arguments.output}: {requests.questions:,} question(s) of {', '.join(requests.tasks)}, {documents:,}"
        f" document(s), {tokens:,} tokens, fingerprint {fingerprint}"
    )
    keep_converted(loaded, output)
    print(f'score it with [corpus] windows = "per_document", sequence_length = {longest}')


if __name__ == "__main__":
    run_program("prepare_choices.py", main)
