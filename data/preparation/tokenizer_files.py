"""The files of a tokenizer directory: what of them can be read, and their fingerprint.

In: a directory. Refuses, by file and entry, what would make a library stumble: a file that is no
JSON object or a Git LFS pointer, a special token that is no text, an added token without one of its
fields, a directory that holds no tokenizer at all.
"""

from __future__ import annotations

import codecs
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from preparation.errors import MODEL, PreparationError
from preparation.file_kinds import refuse_pointer
from preparation.hub_cache import unfinished_download
from preparation.json_files import read_object
from preparation.json_kinds import called

TOKENIZER = "tokenizer.json"
SETTINGS = "tokenizer_config.json"
MODEL_SETTINGS = "config.json"
SPECIAL_TOKENS = "special_tokens_map.json"
ADDED_TOKENS = "added_tokens.json"
FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
# Of tokenizers that transformers turns into one of the tokenizers package.
OTHER_VOCABULARIES = ("*.model", "vocab.json", "vocab.txt", "tekken.json", "*.tiktoken")
MOST_IDS = 1 << 24


def read_file(path: Path) -> dict[str, Any]:
    """The object of a JSON file, as AutoTokenizer reads it: without a byte order mark."""
    content = read_object(path)
    with path.open("rb") as file:
        if file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8:
            raise PreparationError(
                MODEL, f"{path} begins with a byte order mark, which AutoTokenizer does not read: remove it"
            )
    return content


def content_of(token: object) -> str | None:
    """The text of a token, which is stored as a text or as an object; None for what is neither."""
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else None


def read_optional(directory: Path, name: str) -> dict[str, Any]:
    path = directory / name
    return read_file(path) if path.exists() else {}


def check_directory(directory: Path) -> dict[str, Any] | None:
    """What its tokenizer.json holds; None where it has another tokenizer. Refuses what is no directory
    with a tokenizer in it, and malformed tables of tokens."""
    if not directory.is_dir():
        found = "is a file" if directory.exists() else "there is no such directory"
        raise PreparationError(
            MODEL, f"{directory}: expected the directory of a model with its tokenizer; {found}"
        )
    if not (directory / TOKENIZER).exists() and not any(
        path.is_file() for pattern in OTHER_VOCABULARIES for path in directory.glob(pattern)
    ):
        raise PreparationError(
            MODEL,
            f"{directory}: there is no tokenizer: expected tokenizer.json, or tokenizer.model,"
            f" vocab.json with merges.txt, or vocab.txt{unfinished_download(directory)}",
        )
    for pattern in OTHER_VOCABULARIES:
        for path in directory.glob(pattern):
            refuse_pointer(path)
    tokenizer = None
    if (directory / TOKENIZER).exists():
        tokenizer = read_file(directory / TOKENIZER)
        _check_tokenizer(directory / TOKENIZER, tokenizer)
    read_optional(directory, MODEL_SETTINGS)  # AutoTokenizer reads it, too
    for name in (SETTINGS, SPECIAL_TOKENS):
        _check_special_tokens(directory / name, read_optional(directory, name))
    _check_settings(directory / SETTINGS, read_optional(directory, SETTINGS))
    for content, number in read_optional(directory, ADDED_TOKENS).items():
        if not _is_id(number):
            raise PreparationError(
                MODEL,
                f"{directory / ADDED_TOKENS}: {content!r}: expected an id, found {called(number)}",
            )
    return tokenizer


def _check_settings(path: Path, settings: dict[str, Any]) -> None:
    kinds = {"tokenizer_class": (str, "a text"), "model_max_length": (int | float, "a number")}
    for key, (kind, expected) in kinds.items():
        value = settings.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, kind)):
            raise PreparationError(
                MODEL, f"{path}: {key}: expected {expected} or null, found {called(value)}"
            )


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST_IDS


def _check_tokenizer(path: Path, content: dict[str, Any]) -> None:
    if not isinstance(content.get("model"), dict) or "vocab" not in content["model"]:
        raise PreparationError(
            MODEL, f"{path} does not hold a tokenizer: expected a model with a vocabulary"
        )
    if isinstance(content["model"]["vocab"], dict):
        _check_ids(path, content["model"]["vocab"])
    added = content.get("added_tokens")
    if added is None:
        return
    if not isinstance(added, list):
        raise PreparationError(
            MODEL, f"{path}: added_tokens: expected a list, found {called(added)}"
        )
    for place, token in enumerate(added):
        _check_token(f"{path}: added_tokens, entry {place + 1}", token)
        if not _is_id(token.get("id")):
            found = called(token["id"]) if "id" in token else "none"
            raise PreparationError(
                MODEL, f"{path}: added_tokens, entry {place + 1}: expected an id, found {found}"
            )
        for flag in FLAGS:
            if not isinstance(token.get(flag), bool):
                found = called(token[flag]) if flag in token else "none"
                raise PreparationError(
                    MODEL,
                    f'{path}: added_tokens, entry {place + 1} ({token["content"]!r}): expected'
                    f' "{flag}" true or false, found {found}',
                )


def _check_ids(path: Path, vocabulary: dict[str, Any]) -> None:
    token_of: dict[int, str] = {}
    for token, number in vocabulary.items():
        if not _is_id(number):
            raise PreparationError(
                MODEL,
                f"{path}: token {token!r}: expected an id below {MOST_IDS:,}, found {called(number)}",
            )
        if number in token_of:
            raise PreparationError(
                MODEL, f"{path}: tokens {token_of[number]!r} and {token!r} have one id, {number}"
            )
        token_of[number] = token


def _check_token(place: str, token: object) -> None:
    if not isinstance(token, dict) or not isinstance(token.get("content"), str):
        found = "none" if isinstance(token, dict) else called(token)
        raise PreparationError(MODEL, f'{place}: expected an object with "content", found {found}')


def _check_special_tokens(path: Path, settings: dict[str, Any]) -> None:
    """A role's token is a text, an object with one, or null; lists and tables are of such."""
    needs_type = path.name == SETTINGS  # for AutoTokenizer to take an object as a token
    for role, token in settings.items():
        named = role.endswith("_token") and not role.startswith("add_")
        if named and token is not None and content_of(token) is None:
            raise PreparationError(
                MODEL,
                f'{path}: {role}: expected a text, an object with "content" or null, found'
                f" {called(token)}",
            )
        if named and needs_type and isinstance(token, dict) and token.get("__type") != "AddedToken":
            raise PreparationError(
                MODEL,
                f'{path}: {role}: AutoTokenizer takes no object for a token without "__type":'
                ' "AddedToken"; expected that, or a text',
            )
    for key in ("additional_special_tokens", "extra_special_tokens"):
        tokens = settings.get(key)
        if tokens is None:
            continue
        if not isinstance(tokens, list | dict):
            raise PreparationError(
                MODEL, f"{path}: {key}: expected a list or an object, found {called(tokens)}"
            )
        for token in tokens.values() if isinstance(tokens, dict) else tokens:
            if content_of(token) is None:
                raise PreparationError(
                    MODEL, f"{path}: {key}: expected texts, found {called(token)} among them"
                )
    decoder = settings.get("added_tokens_decoder")
    if decoder is None:
        return
    if not isinstance(decoder, dict):
        raise PreparationError(
            MODEL, f"{path}: added_tokens_decoder: expected an object, found {called(decoder)}"
        )
    for number, token in decoder.items():
        if not (number.isascii() and number.isdigit()):
            raise PreparationError(
                MODEL, f"{path}: added_tokens_decoder: {number!r} is not an id"
            )
        _check_token(f"{path}: added_tokens_decoder, {number}", token)


def _tokens_beside(directory: Path) -> Iterator[tuple[str, int]]:
    """Every token that a file beside tokenizer.json names, with its id or -1; ids first."""
    settings = read_optional(directory, SETTINGS)
    special = read_optional(directory, SPECIAL_TOKENS)
    for number, token in (settings.get("added_tokens_decoder") or {}).items():
        yield token["content"], int(number)
    yield from read_optional(directory, ADDED_TOKENS).items()
    for table in (settings, special):
        for role, token in table.items():
            if role.endswith("_token") and (content := content_of(token)) is not None:
                yield content, -1
        for key in ("additional_special_tokens", "extra_special_tokens"):
            tokens = table.get(key) or []
            for token in tokens.values() if isinstance(tokens, dict) else tokens:
                yield content_of(token) or "", -1


def fingerprint_of(content: dict[str, Any], directory: Path) -> str:
    """SHA-256 of vocabulary, merges and added tokens of a tokenizer.json, and of the tokens that
    the files beside it add, as JSON with sorted keys, no spaces, UTF-8 (data/README.md)."""
    model = content["model"]
    merges = [
        merge.split(" ") if isinstance(merge, str) else merge
        for merge in model.get("merges") or []
    ]
    added = [
        [token["id"], token["content"], token["special"]]
        for token in content.get("added_tokens") or []
    ]
    parts = {"vocab": model["vocab"], "merges": merges, "added_tokens": sorted(added)}
    known = {token[1] for token in added}
    more: dict[str, int] = {}
    for token, number in _tokens_beside(directory):
        if token not in known:
            more.setdefault(token, number)
    if more:
        parts["tokens_beside"] = sorted([token, number] for token, number in more.items())
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
