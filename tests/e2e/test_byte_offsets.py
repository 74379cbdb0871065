"""Where each token begins in its document, against the offsets of the tokenizers package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from tokenizers import Tokenizer, normalizers

import small_tokenizers as small
from corpus_formats import lines
from preparing import ENGLISH, ODDITIES, run_well
from preparation import documents
from preparation.byte_offsets import ByteOffsets
from preparation.encoding import encode, safe_cuts
from preparation.tokenizer_directory import load_tokenizer
from preparation.vocabulary import load_vocabulary

TEXT = ENGLISH[:20_000] + ODDITIES


def lower_case() -> Tokenizer:
    tokenizer = small.byte_level()
    tokenizer.normalizer = normalizers.Lowercase()
    return tokenizer


@pytest.mark.parametrize("kind", [small.byte_level, small.byte_fallback, lower_case])
def test_tokens_begin_where_the_tokenizer_says(
    kind: Callable[[], Tokenizer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In pieces as short as can be; a token inside a character begins there, where the tokenizer says only
    which character it is."""
    loaded = load_tokenizer(small.save(kind(), tmp_path / "model"))
    spellings = load_vocabulary(loaded).spellings
    monkeypatch.setattr(documents, "PIECE_CHARS", 500)
    cuts = safe_cuts(loaded.tokenizer, spellings)
    pieces = list(documents.cut_document([TEXT], cuts, "text"))
    assert len(pieces) > 20
    offsets = ByteOffsets(loaded.tokenizer, spellings)
    ids = encode(loaded.tokenizer, pieces)
    found = np.concatenate([offsets.of(*pair) for pair in zip(pieces, ids, strict=True)])
    sizes = np.array([len(character.encode()) for character in TEXT])
    begins = np.cumsum([0, *sizes])
    characters = np.array([begin for begin, _ in loaded.tokenizer.encode(TEXT).offsets])
    inside = found - begins[characters]
    assert np.all((inside >= 0) & (inside < sizes[characters]))
    begins_anew = np.diff(characters, prepend=-1) > 0
    assert np.all(inside[begins_anew & (sizes[characters] == 1)] == 0) and np.all(np.diff(found) >= 0)
    assert offsets.end() == len(TEXT.encode())


def test_token_file_has_the_bytes_of_each_token(tmp_path: Path) -> None:
    settings = {"bos_token": "<s>", "eos_token": "</s>"}
    model = small.save(small.byte_level(), tmp_path / "model", tokenizer_config=settings)
    texts = ["The fox.", "", TEXT]
    (tmp_path / "a.jsonl").write_bytes(lines(texts))
    options = ("--tokenizer", model, "--output", tmp_path / "out.h5", "--special", "bos-eos")
    run_well("prepare_corpus.py", *options, "--byte-offsets", tmp_path / "a.jsonl")
    with h5py.File(tmp_path / "out.h5") as file:
        spelling, offset = file["vocabulary/bytes"][:].tobytes(), file["vocabulary/offset"][:].tolist()
        assert file["byte_offset"].dtype.str == "<u4" and file["byte_offset"].compression == "gzip"
        borders = file["document_offset"][1:-1].astype(int)
        for text, ids, begins in zip(
            texts, np.split(file["ids"][:], borders), np.split(file["byte_offset"][:], borders), strict=True
        ):
            assert begins[0] == begins[1] == 0 and begins[-1] == len(text.encode())
            for number, begin in zip(ids[1:-1].tolist(), begins[1:-1].tolist(), strict=True):
                own = spelling[offset[number] : offset[number + 1]]
                assert text.encode()[begin : begin + len(own)] == own
