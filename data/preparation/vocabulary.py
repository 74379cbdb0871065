"""What a token file has to know of a tokenizer: the bytes of each id, its special tokens, its
fingerprint.

In: the tokenizer of a model directory (tokenizer_directory.py). Refuses one that is neither byte-level
BPE nor SentencePiece-like nor WordPiece.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from preparation.errors import MODEL, PreparationError
from preparation.tokenizer_directory import ModelTokenizer

BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
WORD_BEGIN = "\u2581"  # SentencePiece's mark for a space


@dataclass(frozen=True)
class Vocabulary:
    spellings: list[bytes]  # [V] the bytes that each id decodes to; empty for an id without a token
    special_ids: frozenset[int]
    special_texts: tuple[str, ...]
    bos_id: int  # NO_TOKEN where the tokenizer has none
    eos_id: int
    fingerprint: str


def _byte_of_character() -> dict[str, int]:
    """GPT-2's map of bytes to characters, reversed: printable bytes stand for themselves."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(256 + place): byte for place, byte in enumerate(others)
    }


BYTE_OF_CHARACTER = _byte_of_character()


def _byte_level_spelling(token: str) -> bytes:
    return bytes(BYTE_OF_CHARACTER[character] for character in token)


def _sentencepiece_spelling(token: str) -> bytes:
    byte = BYTE_TOKEN.fullmatch(token)
    return bytes([int(byte[1], 16)]) if byte else token.replace(WORD_BEGIN, " ").encode()


def _word_piece_spelling(prefix: str) -> Callable[[str], bytes]:
    """A token that goes on with a word has the prefix; another begins one, behind a space."""

    def spelling(token: str) -> bytes:
        is_inside = token.startswith(prefix) and token != prefix
        return (token.removeprefix(prefix) if is_inside else f" {token}").encode()

    return spelling


def _parts(component: dict[str, Any] | None, key: str) -> list[dict[str, Any]]:
    """A pipeline stage of tokenizer.json as a flat list."""
    if component is None:
        return []
    return component[key] if component["type"] == "Sequence" else [component]


def _spelling_rule(path: Path, content: dict[str, Any]) -> Callable[[str], bytes]:
    """The function from a token's text in the vocabulary to its bytes."""
    decoders = _parts(content.get("decoder"), "decoders")
    kinds = {part["type"] for part in decoders}
    if "ByteLevel" in kinds:
        return _byte_level_spelling
    replaced = {
        part.get("pattern", {}).get("String") for part in decoders if part["type"] == "Replace"
    }
    if "Metaspace" in kinds or WORD_BEGIN in replaced:
        return _sentencepiece_spelling
    for part in decoders:
        if part["type"] == "WordPiece":
            return _word_piece_spelling(part["prefix"])
    found = ", ".join(sorted(kinds)) or "none"
    raise PreparationError(
        MODEL,
        f"{path}: the decoder ({found}) is neither ByteLevel nor SentencePiece's nor WordPiece, so ids"
        " have no known bytes",
    )


def _spellings(path: Path, content: dict[str, Any], tokenizer: Tokenizer) -> list[bytes]:
    rule = _spelling_rule(path, content)
    added = {token["id"]: token["content"] for token in content.get("added_tokens", [])}
    by_token = tokenizer.get_vocab(with_added_tokens=True)
    spellings = [b""] * (max(by_token.values()) + 1)
    for token, number in by_token.items():
        try:
            spellings[number] = added[number].encode() if number in added else rule(token)
        except KeyError as error:
            raise PreparationError(
                MODEL,
                f"{path}: token {number} ({token!r}) has {error}, no character of byte-level BPE",
            ) from None
    return spellings


def load_vocabulary(loaded: ModelTokenizer) -> Vocabulary:
    content = json.loads(loaded.backend)
    special = [token for token in content.get("added_tokens", []) if token["special"]]
    return Vocabulary(
        spellings=_spellings(loaded.path, content, loaded.tokenizer),
        special_ids=frozenset(token["id"] for token in special),
        special_texts=tuple(token["content"] for token in special),
        bos_id=loaded.bos_id,
        eos_id=loaded.eos_id,
        fingerprint=loaded.fingerprint,
    )
