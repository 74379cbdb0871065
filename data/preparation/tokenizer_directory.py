"""The tokenizer of a model directory, with the ids that transformers' AutoTokenizer gives.

In: a directory with any of the files that AutoTokenizer knows. AutoTokenizer itself reads it, in a
process of its own, offline, running no code of the directory; its answer is kept (tokenizer_cache.py).
Out: what it made of it, as a tokenizer of the tokenizers package, without truncation, padding and
dropout. Refuses what AutoTokenizer cannot load, and a tokenizer that gives probe texts other ids than
AutoTokenizer did.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from preparation.errors import MODEL, PreparationError, writing
from preparation.text_encoder import tokenizer_of
from preparation.tokenizer_cache import CHILD, kept_answer
from preparation.tokenizer_files import TOKENIZER, check_directory, fingerprint_of

NO_TOKEN = -1
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


@dataclass(frozen=True)
class ModelTokenizer:
    path: Path  # names it in errors
    backend: str  # a whole tokenizer.json
    splits_special_tokens: bool
    tokenizer: Tokenizer  # of these
    bos_id: int  # NO_TOKEN where AutoTokenizer knows none
    eos_id: int
    fingerprint: str
    warnings: tuple[str, ...]
    is_converted: bool  # from other files than a tokenizer.json


def load_tokenizer(directory: Path) -> ModelTokenizer:
    stored = check_directory(directory)
    answer = kept_answer(directory, lambda: _ask_autotokenizer(directory))
    if "error" in answer:
        raise PreparationError(
            MODEL,
            f"{directory} does not hold a tokenizer that transformers' AutoTokenizer can load:"
            f" {answer['error']}",
        )
    backend, splits_special_tokens = answer["backend"], answer["splits_special_tokens"]
    tokenizer = tokenizer_of(backend, splits_special_tokens)
    for text, expected in answer["probes"]:
        _check_probe(directory, text, expected, tokenizer.encode(text, add_special_tokens=False).ids)
    warnings = []
    if answer["dropout"]:
        warnings.append(
            f"{directory}: the tokenizer has a dropout of {answer['dropout']:g}, which gives other ids"
            " each time; it is switched off"
        )
    return ModelTokenizer(
        directory / TOKENIZER if stored else directory,
        backend,
        splits_special_tokens,
        tokenizer,
        NO_TOKEN if answer["bos_id"] is None else answer["bos_id"],
        NO_TOKEN if answer["eos_id"] is None else answer["eos_id"],
        fingerprint_of(stored or json.loads(backend), directory),
        tuple(warnings),
        stored is None,
    )


def keep_converted(loaded: ModelTokenizer, corpus: Path) -> None:
    """What a tokenizer without a tokenizer.json was converted to, as NAME.tokenizer.json beside the
    corpus NAME.h5: the tokenizers package encodes with it what the corpus was encoded with."""
    if not loaded.is_converted:
        return
    path = corpus.with_suffix(".tokenizer.json")
    partial = path.with_name(path.name + ".partial")
    with writing(path):
        partial.write_text(loaded.backend, encoding="utf-8")
        partial.replace(path)
    print(f"{path}: the tokenizer, converted from the files of {loaded.path}")


def _ask_autotokenizer(directory: Path) -> dict[str, Any]:
    child = subprocess.run(
        [sys.executable, str(CHILD), str(directory)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=os.environ | OFFLINE,
        check=False,
    )
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        return {"error": f"it was ended by {name}"}
    if child.returncode != 0:
        lines = child.stderr.decode(errors="replace").split("\n")
        return {"error": next(line for line in [*reversed(lines), "it failed"] if line.strip())}
    return json.loads(child.stdout)


def _check_probe(directory: Path, text: str, expected: Sequence[int], found: Sequence[int]) -> None:
    if list(found) == list(expected):
        return
    place = next(
        (i for i, pair in enumerate(zip(expected, found, strict=False)) if pair[0] != pair[1]),
        min(len(expected), len(found)),
    )
    shown = text if len(text) <= 40 else text[:40] + "…"
    raise PreparationError(
        MODEL,
        f"{directory}: the tokenizers package gives {shown!r} other ids than transformers'"
        f" AutoTokenizer: expected {list(expected[place : place + 3])} from token {place} on, found"
        f" {list(found[place : place + 3])}",
    )
