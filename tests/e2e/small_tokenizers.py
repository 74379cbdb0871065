"""Tokenizers of each kind, trained on a little text, and their directories."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from preparing import ENGLISH

TRAINED_ON = ENGLISH[:30_000]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def byte_level() -> Tokenizer:
    """As GPT-2's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        show_progress=False,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator([TRAINED_ON], trainer)
    return tokenizer


def bytes_alone() -> Tokenizer:
    """Byte-level, without special tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=500, show_progress=False, initial_alphabet=alphabet)
    tokenizer.train_from_iterator([TRAINED_ON], trainer)
    return tokenizer


def tokens_of(tokenizer: Tokenizer) -> list[str]:
    """By id, as the vocabulary spells them."""
    vocabulary = tokenizer.get_vocab()
    return sorted(vocabulary, key=vocabulary.__getitem__)


def token_bytes(tokens: Iterable[str]) -> list[bytes]:
    """Of byte-level tokens."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode  # takes a second to load

    byte_of = {character: byte for byte, character in bytes_to_unicode().items()}
    return [bytes(byte_of[character] for character in token) for token in tokens]


def save_tekken(directory: Path) -> Path:
    """As Mistral publishes it: tekken.json alone, with special tokens before all others."""
    directory.mkdir(exist_ok=True)
    ranks = [base64.b64encode(raw).decode() for raw in token_bytes(tokens_of(bytes_alone()))]
    special = ["<unk>", "<s>", "</s>", "[INST]"]
    content = {
        "config": {
            "pattern": r" ?[^\s\p{L}\p{N}]+|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|\s+",
            "num_vocab_tokens": len(ranks),
            "default_vocab_size": len(ranks) + len(special),
            "default_num_special_tokens": len(special),
            "version": "v7",
        },
        "vocab": [{"rank": i, "token_bytes": raw, "token_str": None} for i, raw in enumerate(ranks)],
        "special_tokens": [
            {"rank": i, "token_str": text, "is_control": True} for i, text in enumerate(special)
        ],
    }
    (directory / "tekken.json").write_text(json.dumps(content))
    return directory


def sentencepiece(**bpe: bool) -> Tokenizer:
    """SentencePiece's BPE before it is trained: bytes for what is unknown, a space put before the text, and
    words apart, so that training ends soon."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, **bpe))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("▁*[^▁\n]*|\n"), "isolated")
    return tokenizer


def as_published(trained: Tokenizer, special: int) -> Tokenizer:
    """A trained one as Llama 2 has it: no pre-tokenizer, and so many special tokens; bytes are tokens like
    any other."""
    content = json.loads(trained.to_str())
    content["pre_tokenizer"] = None
    content["decoder"] = {
        "type": "Sequence",
        "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ],
    }
    content["added_tokens"] = content["added_tokens"][:special]
    return Tokenizer.from_str(json.dumps(content))


def byte_fallback() -> Tokenizer:
    """As Llama 2's: SentencePiece's BPE, bytes for what is unknown."""
    tokenizer = sentencepiece(fuse_unk=True)
    trainer = trainers.BpeTrainer(
        vocab_size=600, show_progress=False, special_tokens=["<unk>", "<s>", "</s>", *BYTES]
    )
    tokenizer.train_from_iterator([TRAINED_ON], trainer)
    return as_published(tokenizer, special=3)


def unigram() -> Tokenizer:
    """As T5's: SentencePiece's Unigram."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=500,
        show_progress=False,
        special_tokens=["<s>", "</s>", "<unk>"],
        unk_token="<unk>",
    )
    tokenizer.train_from_iterator([TRAINED_ON[:10_000]], trainer)
    return tokenizer


def unigram_with_bytes() -> Tokenizer:
    """As that of Gemma's or mT5's kind: bytes for what is unknown."""
    content = json.loads(unigram().to_str())
    content["model"]["vocab"] += [[token, -100.0] for token in BYTES]
    content["model"]["byte_fallback"] = True
    content["decoder"] = {
        "type": "Sequence",
        "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}, content["decoder"]],
    }
    return Tokenizer.from_str(json.dumps(content))


def word_piece() -> Tokenizer:
    """As BERT's."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=500, show_progress=False, special_tokens=["[UNK]", "[CLS]", "[SEP]"]
    )
    tokenizer.train_from_iterator([TRAINED_ON], trainer)
    return tokenizer


def save(tokenizer: Tokenizer, directory: Path, **files: Any) -> Path:
    """A directory with tokenizer.json and other files of JSON: `tokenizer_config={…}`."""
    directory.mkdir(exist_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"))
    for name, content in files.items():
        (directory / f"{name}.json").write_text(json.dumps(content))
    return directory


def changed(directory: Path, **values: Any) -> Path:
    """With other values in tokenizer.json; `model__dropout=0.1` is that of its model."""
    path = directory / "tokenizer.json"
    content = json.loads(path.read_text())
    for key, value in values.items():
        part, _, inner = key.partition("__")
        if inner:
            content[part][inner] = value
        else:
            content[part] = value
    path.write_text(json.dumps(content))
    return directory
