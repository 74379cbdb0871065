"""Whether a corpus' tokens are those of the checkpoint's own tokenizer, as transformers loads it.

In: token files of one tokenizer, a checkpoint directory, the documents to look at. Out: lines that say what agrees and
what does not. The text of a document is the bytes of its ids; encoded anew it must give its ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "spiece.model", "vocab.json",
    "vocab.txt", "sentencepiece.bpe.model", "tekken.json",
)  # fmt: skip
SPELLINGS = 4096  # ids whose spellings are looked at, beside those of the documents
IDS_OF_DOCUMENT = 20_000  # a longer one is looked at so far
IDS_BEHIND = 64  # encoded too, so that the cut changes nothing before it


@dataclass(frozen=True)
class Finding:
    """One line, and whether all is as it should be."""

    is_right: bool
    text: str


@dataclass(frozen=True)
class TokenFile:
    """What of a token file is looked at."""

    attributes: dict[str, Any]
    documents: dict[int, np.ndarray]  # int64 ids, by number
    is_whole: dict[int, bool]
    drawn: frozenset[int]  # documents of control corpora, which are tokens of no text
    spellings: Sequence[bytes]


def check_tokens(corpus: Sequence[Path], documents: np.ndarray, directory: Path) -> list[Finding]:
    """The ids of some documents of a corpus, its spellings, its BOS and EOS."""
    if not any((directory / name).is_file() for name in TOKENIZER_FILES):
        return [Finding(True, "not checked: the checkpoint has no tokenizer")]
    import transformers

    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(directory, local_files_only=True)
    except Exception as error:  # noqa: BLE001 (of any kind: the files are not ours)
        words = " ".join(str(error).split())
        return [Finding(True, f"not checked: AutoTokenizer cannot load it: {words}")]
    file = _read(corpus, documents)
    return [*_special(file, tokenizer), _spelling(file, tokenizer), *_encoded(file, tokenizer)]


def _read(corpus: Sequence[Path], documents: np.ndarray) -> TokenFile:
    with h5py.File(corpus[0]) as file:
        raw, offsets = file["vocabulary/bytes"][()].tobytes(), file["vocabulary/offset"][()]
        attributes = dict(file.attrs)
    spellings = [raw[begin:end] for begin, end in zip(offsets[:-1], offsets[1:], strict=True)]
    ids: dict[int, np.ndarray] = {}
    is_whole: dict[int, bool] = {}
    drawn: set[int] = set()
    first = 0  # document of the file
    for path in corpus:
        with h5py.File(path) as file:
            count = len(file["document_offset"]) - 1
            for number in documents[(documents >= first) & (documents < first + count)].tolist():
                place = number - first
                begin, end = (int(each) for each in file["document_offset"][place : place + 2])
                last = min(end, begin + IDS_OF_DOCUMENT + IDS_BEHIND)
                ids[number] = file["ids"][begin:last].astype(np.int64)
                is_whole[number] = last == end
                if "control" in file.attrs:
                    drawn.add(number)
        first += count
    return TokenFile(attributes, ids, is_whole, frozenset(drawn), spellings)


def _special(file: TokenFile, tokenizer: Any) -> Iterator[Finding]:
    for role in ("bos", "eos"):
        mine = int(file.attributes.get(f"{role}_id", -1))
        theirs = getattr(tokenizer, f"{role}_token_id")
        words = f"{role.upper()} {'none' if mine < 0 else mine}"
        if mine == (-1 if theirs is None else theirs):
            yield Finding(True, f"{words}, as AutoTokenizer has it")
        else:
            other = "none" if theirs is None else theirs
            yield Finding(False, f"{words}, but AutoTokenizer has {other}")


def _spelling(file: TokenFile, tokenizer: Any) -> Finding:
    """Spaces around a token and parts of characters aside, which a decoder may drop."""
    spread = np.linspace(0, len(file.spellings) - 1, SPELLINGS).astype(np.int64)
    used = np.unique(np.concatenate([spread, *file.documents.values()]))
    used = used[used < len(file.spellings)].tolist()
    decoded = tokenizer.batch_decode([[one] for one in used], clean_up_tokenization_spaces=False)
    differing = [
        (one, mine, theirs)
        for one, theirs in zip(used, decoded, strict=True)
        if _bare(mine := file.spellings[one].decode("utf-8", "replace")) != _bare(theirs)
    ]
    if not differing:
        return Finding(True, f"{len(used):,} spellings, as AutoTokenizer has them")
    one, mine, theirs = differing[0]
    return Finding(
        False,
        f"{len(differing):,} of {len(used):,} spellings differ: id {one} is {mine!r} in the corpus,"
        f" {theirs!r} to AutoTokenizer",
    )


def _bare(text: str) -> str:
    return text.replace("\ufffd", "").strip(" ")


def _encoded(file: TokenFile, tokenizer: Any) -> Iterator[Finding]:
    """Of each document: its text encoded anew."""
    agreeing = 0
    for number, stored in file.documents.items():
        ids = _without_special(file, stored, number)
        if not len(ids) or number in file.drawn:
            continue
        raw = b"".join(file.spellings[one] for one in ids)
        try:
            # A cut may go through a character, whose rest is not looked at.
            text = raw.decode("utf-8", "strict" if file.is_whole[number] else "ignore")
        except UnicodeDecodeError:
            yield Finding(True, f"document {number} not encoded anew: its bytes are no UTF-8")
            continue
        kept = len(ids) if file.is_whole[number] else len(ids) - IDS_BEHIND
        wrong = _first_difference(tokenizer, text, ids, kept)
        if wrong is None:
            agreeing += kept
        else:
            place, theirs = wrong
            one = int(ids[place])
            mine = f"{file.spellings[one].decode('utf-8', 'replace')!r} ({one})"
            other = "nothing" if theirs is None else f"{tokenizer.decode([theirs])!r} ({theirs})"
            yield Finding(
                False,
                f"document {number}, token {place}: {mine} in the corpus, {other} where AutoTokenizer"
                " encodes the text",
            )
    if file.drawn:
        yield Finding(True, f"{len(file.drawn):,} documents not encoded anew: a control corpus is no text")
    if agreeing:
        yield Finding(True, f"{agreeing:,} ids of the windows' documents, encoded anew, are the same")


def _without_special(file: TokenFile, ids: np.ndarray, number: int) -> np.ndarray:
    """Without the special tokens that preparation put around a document."""
    around = str(file.attributes.get("special_tokens", "none"))
    begin = int("bos" in around and len(ids) > 0 and ids[0] == file.attributes["bos_id"])
    has_end = "eos" in around and file.is_whole[number] and len(ids) > begin
    end = len(ids) - int(has_end and ids[-1] == file.attributes["eos_id"])
    return ids[begin:end]


def _first_difference(
    tokenizer: Any, text: str, ids: np.ndarray, kept: int
) -> tuple[int, int | None] | None:
    """The first place where the text's ids are others, and the id there."""
    found = None
    # A decoder may have put a space before the first word.
    for candidate in [text, text[1:]] if text.startswith(" ") else [text]:
        encoded = np.array(tokenizer(candidate, add_special_tokens=False)["input_ids"])
        shared = min(len(encoded), kept)
        differing = np.flatnonzero(encoded[:shared] != ids[:shared])
        is_longer = kept == len(ids) and len(encoded) > kept
        if not len(differing) and shared == kept and not is_longer:
            return None
        place = int(differing[0]) if len(differing) else min(shared, kept - 1)
        if found is None or place > found[0]:
            found = place, int(encoded[place]) if place < len(encoded) else None
    return found

