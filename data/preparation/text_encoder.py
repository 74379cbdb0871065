"""Ids of texts, made in this process or in a worker's.

In: texts, each behind a lead. Out: the ids of each without those of its lead, as the bytes of uint32 of
this machine, which go from a worker as they are. A worker imports this module alone: it begins to encode
sooner than NumPy is loaded. Refuses a text whose first token reaches back into its lead.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from preparation.errors import MODEL, PreparationError


def use_one_thread() -> None:
    """Of the package's own pool: an eighth faster than to encode without it."""
    os.environ |= {"TOKENIZERS_PARALLELISM": "true", "RAYON_NUM_THREADS": "1"}


def tokenizer_of(backend: str, splits_special_tokens: bool) -> Tokenizer:
    """Of a whole tokenizer.json, without truncation and padding."""
    tokenizer = Tokenizer.from_str(backend)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = splits_special_tokens
    return tokenizer


def encode_texts(tokenizer: Tokenizer, texts: Sequence[str], leads: Sequence[str]) -> list[bytes]:
    """Of each text the ids behind those of its lead, without special tokens."""
    behind = [lead + text if lead else text for text, lead in zip(texts, leads, strict=True)]
    encodings = tokenizer.encode_batch_fast(behind, add_special_tokens=False)
    lead_ids = {lead: tokenizer.encode(lead, add_special_tokens=False).ids for lead in set(leads)}
    found = []
    for text, lead, encoding in zip(texts, leads, encodings, strict=True):
        ids, before = encoding.ids, lead_ids[lead]
        if ids[: len(before)] != before:
            raise PreparationError(MODEL, f"the tokenizer joins {lead!r} with {text[:40]!r} behind it")
        found.append(array("I", ids[len(before) :] if before else ids).tobytes())
    return found


_tokenizer: Tokenizer | None = None  # of a worker process


def start_worker(backend: Path, splits_special_tokens: bool) -> None:
    """Loads a worker's tokenizer: the processes are the parallelism.

    It comes in a file: a worker that is killed before it has read many arguments hangs its parent.
    """
    global _tokenizer
    use_one_thread()
    _tokenizer = tokenizer_of(backend.read_text(encoding="utf-8"), splits_special_tokens)


def encode_in_worker(texts: Sequence[str], leads: Sequence[str]) -> list[bytes]:
    assert _tokenizer is not None
    return encode_texts(_tokenizer, texts, leads)
