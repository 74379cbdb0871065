"""What a token file has to know of a tokenizer: the bytes of each id, its special tokens, its
fingerprint.

In: a model directory with tokenizer.json, and tokenizer_config.json or config.json for the BOS and
EOS tokens. Refuses a directory without tokenizer.json and a tokenizer that is neither byte-level
BPE nor SentencePiece-like.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from preparation.errors import MODEL, PreparationError

NO_TOKEN = -1
BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
WORD_BEGIN = "\u2581"  # SentencePiece's mark for a space


@dataclass(frozen=True)
class Vocabulary:
    spellings: list[bytes]  # [V] the bytes that each id decodes to; empty for an id without a token
    special_ids: frozenset[int]
    bos_id: int  # NO_TOKEN where the tokenizer has none
    eos_id: int
    fingerprint: str


def load_tokenizer(directory: Path) -> Tokenizer:
    """The tokenizer of a model directory, without truncation and padding."""
    path = directory / "tokenizer.json"
    if not path.is_file():
        raise PreparationError(MODEL, f"{directory}: there is no tokenizer.json")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the only type that the tokenizers package raises
        raise PreparationError(MODEL, f"{path} does not hold a tokenizer: {error}") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


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


def _parts(component: dict[str, Any] | None, key: str) -> list[dict[str, Any]]:
    """A pipeline stage of tokenizer.json as a flat list."""
    if component is None:
        return []
    return component[key] if component["type"] == "Sequence" else [component]


def _spelling_rule(path: Path, content: dict[str, Any]) -> Any:
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
    found = ", ".join(sorted(kinds)) or "none"
    raise PreparationError(
        MODEL,
        f"{path}: the decoder ({found}) is neither ByteLevel nor SentencePiece's, so ids have no"
        " known bytes",
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


def fingerprint_of(content: dict[str, Any]) -> str:
    """SHA-256 of vocabulary, merges, added tokens as JSON with sorted keys, no spaces, UTF-8."""
    model = content["model"]
    merges = [
        merge.split(" ") if isinstance(merge, str) else merge for merge in model.get("merges", [])
    ]
    added = [
        [token["id"], token["content"], token["special"]]
        for token in content.get("added_tokens", [])
    ]
    parts = {"vocab": model["vocab"], "merges": merges, "added_tokens": sorted(added)}
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _special_id(directory: Path, tokenizer: Tokenizer, role: str) -> int:
    """The id of a role, by tokenizer_config.json, or by config.json where that is silent."""
    config_path = directory / "tokenizer_config.json"
    config = _read_json(config_path) if config_path.is_file() else {}
    if role in config:
        token = config[role]["content"] if isinstance(config[role], dict) else config[role]
        number = NO_TOKEN if token is None else tokenizer.token_to_id(token)
        if number is None:
            raise PreparationError(
                MODEL, f"{config_path}: {role} {token!r} is not in tokenizer.json"
            )
        return number
    model_path = directory / "config.json"
    number = _read_json(model_path).get(f"{role}_id") if model_path.is_file() else None
    if isinstance(number, list):
        number = number[0]
    return NO_TOKEN if number is None else number


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise PreparationError(MODEL, f"{path} is not readable as JSON: {error}") from None
    if not isinstance(content, dict):
        raise PreparationError(
            MODEL, f"{path}: expected a JSON object, found {type(content).__name__}"
        )
    return content


def load_vocabulary(directory: Path, tokenizer: Tokenizer) -> Vocabulary:
    """The vocabulary of the `tokenizer` that was loaded from `directory`."""
    path = directory / "tokenizer.json"
    content = _read_json(path)
    return Vocabulary(
        spellings=_spellings(path, content, tokenizer),
        special_ids=frozenset(t["id"] for t in content.get("added_tokens", []) if t["special"]),
        bos_id=_special_id(directory, tokenizer, "bos_token"),
        eos_id=_special_id(directory, tokenizer, "eos_token"),
        fingerprint=fingerprint_of(content),
    )
