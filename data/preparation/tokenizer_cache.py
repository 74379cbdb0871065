"""What AutoTokenizer made of a directory, kept in the user's cache: loading transformers takes seconds, and a
tokenizer.model is converted each time.

In: the directory, and how to ask. Out: the answer, from $XDG_CACHE_HOME/actsweep or ~/.cache/actsweep where
it has been asked before: of the same content under the same name, with the same versions of the libraries. A
folder or a file that cannot be read or written, or holds something else, is as none; nothing is an error.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Answer = dict[str, Any]

LIBRARIES = ("transformers", "tokenizers", "sentencepiece", "tiktoken", "protobuf", "mistral_common")
CHILD = Path(__file__).with_name("autotokenizer_child.py")
# Which hold no tokenizer, and are read by nobody here.
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".gguf")
MOST_BYTES = 1 << 30  # of a directory's files; to read more takes longer than to ask


def kept_answer(directory: Path, ask: Callable[[], Answer]) -> Answer:
    """Asks where no answer is kept. An error is kept nowhere."""
    key = _key_of(directory)
    entry = _entry_of(key)
    if entry is None:
        return ask()
    if (kept := _read(entry)) is not None:
        return kept
    answer = ask()
    if "error" not in answer and _key_of(directory) == key:  # what was read is what has the key
        _write(entry, answer)
    return answer


def _key_of(directory: Path) -> str | None:
    """SHA-256 of all that the answer hangs on; None where that cannot be known."""
    digest = hashlib.sha256()
    try:
        for part in _parts(directory):
            digest.update(f"{len(part)} ".encode() + part)
    except (OSError, _TooLarge):
        return None
    return digest.hexdigest()


class _TooLarge(Exception):
    """More than MOST_BYTES."""


def _parts(directory: Path) -> Iterator[bytes]:
    yield CHILD.read_bytes()
    yield repr(sys.version_info).encode()
    for name in LIBRARIES:
        yield f"{name} {_version_of(name)}".encode()
    yield os.fsencode(directory)  # by which transformers may know a model
    total = 0
    for path in sorted(directory.iterdir()):
        if path.suffix.lower() in WEIGHTS:
            continue
        yield os.fsencode(path.name)
        if not path.is_file():
            continue
        total += path.stat().st_size
        if total > MOST_BYTES:
            raise _TooLarge
        with path.open("rb") as file:
            yield hashlib.file_digest(file, "sha256").digest()


def _version_of(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _entry_of(key: str | None) -> Path | None:
    """As the XDG Base Directory Specification places it; None where there is no place."""
    if key is None:
        return None
    for variable, below in (("XDG_CACHE_HOME", "actsweep"), ("HOME", ".cache/actsweep")):
        if os.path.isabs(folder := os.environ.get(variable, "")):
            return Path(folder, below, f"tokenizer-{key}")
    return None


def _read(entry: Path) -> Answer | None:
    with contextlib.suppress(OSError):
        stored, _, text = entry.read_bytes().partition(b"\n")
        if stored.decode("ascii", "replace") == hashlib.sha256(text).hexdigest():
            return json.loads(text)
    return None


def _write(entry: Path, answer: Answer) -> None:
    """Whole or not at all: another process may read it, or write the same."""
    text = json.dumps(answer).encode()
    with contextlib.suppress(OSError):
        entry.parent.mkdir(parents=True, exist_ok=True)
        number, partial = tempfile.mkstemp(prefix=".partial-", dir=entry.parent)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
            os.rename(partial, entry)
        except BaseException:
            os.unlink(partial)
            raise
