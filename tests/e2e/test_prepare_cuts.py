"""Where data/prepare_corpus.py cuts long texts, the ids stay those of the whole text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from small_tokenizers import BYTES, as_published, sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE

from preparing import ENGLISH, TEXT
from preparation import documents, encoding
from preparation.errors import PreparationError
from preparation.tokenizer_directory import load_tokenizer
from preparation.vocabulary import Vocabulary, load_vocabulary


def trained(tokenizer: Tokenizer, special: list[str]) -> Tokenizer:
    trainer = trainers.BpeTrainer(
        vocab_size=1500,
        show_progress=False,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator([ENGLISH[:200_000]], trainer)
    return tokenizer


def sentencepiece_like() -> Tokenizer:
    """As Llama 2: a space put before the text, no pre-tokenizer, bytes for what is unknown."""
    return as_published(trained(sentencepiece(), ["<unk>", "<s>", *BYTES]), special=2)


def llama3_like() -> Tokenizer:
    """Byte-level with an expression that keeps line ends with the punctuation before them."""
    expression = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(expression), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return trained(tokenizer, [])


def gpt2_like_with_prefix_space() -> Tokenizer:
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    return trained(tokenizer, [])


def phrases() -> Tokenizer:
    """Byte-level without a pre-tokenizer's borders: its tokens span words and lines."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"[\s\S]{1,60}"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return trained(tokenizer, [])


def save(tokenizer: Tokenizer, directory: Path) -> Path:
    directory.mkdir()
    tokenizer.save(str(directory / "tokenizer.json"))
    return directory


def loaded(directory: Path) -> tuple[Tokenizer, Vocabulary]:
    found = load_tokenizer(directory)
    return found.tokenizer, load_vocabulary(found)


def chunks(text: str, size: int) -> Iterator[str]:
    for begin in range(0, len(text), size):
        yield text[begin : begin + size]


@pytest.mark.parametrize("kind", [sentencepiece_like, llama3_like, gpt2_like_with_prefix_space])
def test_cut_ids_are_the_whole_texts(
    kind: Callable[[], Tokenizer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With pieces so short that the text is cut at every place that allows it."""
    tokenizer, known = loaded(save(kind(), tmp_path / "model"))
    cuts = encoding.safe_cuts(tokenizer, known.spellings)
    assert cuts is not None
    monkeypatch.setattr(documents, "PIECE_CHARS", 1)
    text = TEXT[-100_000:]
    whole = tokenizer.encode(text, add_special_tokens=False).ids
    for chunk_chars in (1 << 20, 17):
        pieces = list(documents.cut_document(chunks(text, chunk_chars), cuts, "text"))
        assert "".join(piece.text for piece in pieces) == text
        leads = {piece.lead for piece in pieces}
        assert leads == {"", encoding.SPACE_CUT.lead, encoding.LINE_CUT.lead}
        assert len(pieces) > 5000
        assert [piece.ends_document for piece in pieces] == [False] * (len(pieces) - 1) + [True]
        assert np.concatenate(encoding.encode(tokenizer, pieces)).tolist() == whole


def test_sentencepiece_bytes_decode_the_text(tmp_path: Path) -> None:
    tokenizer, known = loaded(save(sentencepiece_like(), tmp_path / "model"))
    text = "The year 2004: naïve 日本.\nDone"
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert b"".join(known.spellings[i] for i in ids) == b" " + text.encode()  # its own space
    assert b"\n" in (known.spellings[i] for i in ids)


def test_tokens_that_span_words_forbid_cuts(tmp_path: Path) -> None:
    tokenizer, known = loaded(save(phrases(), tmp_path / "model"))
    assert any(b"e " in spelling for spelling in known.spellings)
    assert encoding.safe_cuts(tokenizer, known.spellings) is None


def test_added_token_that_takes_the_space_forbids_cuts(tmp_path: Path) -> None:
    tokenizer = llama3_like()
    tokenizer.add_tokens([AddedToken("user", rstrip=True, normalized=False)])
    tokenizer, known = loaded(save(tokenizer, tmp_path / "model"))
    assert encoding.safe_cuts(tokenizer, known.spellings) is None


def test_text_that_cannot_be_cut_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "PIECE_CHARS", 10)
    monkeypatch.setattr(documents, "LONGEST_PIECE_CHARS", 1000)
    with pytest.raises(PreparationError, match="long.txt.*place to cut"):
        list(documents.cut_document(chunks("x" * 5000, 100), None, "long.txt"))
