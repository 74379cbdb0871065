"""Models in the local cache of Hugging Face, by name, without a network.

In: "hf:NAME" or "hf:NAME@REVISION" in place of a directory. Out: the snapshot's directory. Refuses
(MODEL) what the cache does not have, saying what it has; and a download that was not finished.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from preparation.errors import MODEL, PreparationError, one_line

SCHEME = "hf:"


def model_directory(given: Path) -> Path:
    """The directory that an argument means."""
    text = str(given)
    if not text.startswith(SCHEME):
        return given
    name, at, revision = text.removeprefix(SCHEME).partition("@")
    # Takes a while, and most runs name a directory.
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    expected = f'{text}: expected "hf:ORG/MODEL" or "hf:ORG/MODEL@REVISION"'
    if at and not revision:
        raise PreparationError(MODEL, f"{expected}, found no revision behind @")
    wanted = _Wanted(text, name, revision, Path(constants.HF_HUB_CACHE))
    try:
        found = Path(snapshot_download(name, revision=revision or None, local_files_only=True))
    except HFValidationError as error:
        raise PreparationError(MODEL, one_line(f"{expected}: {error}")) from error
    except LocalEntryNotFoundError as error:
        raise PreparationError(MODEL, wanted.what_is_missing()) from error
    for link in sorted(found.iterdir()):
        if not link.exists():
            words = f"{text}: {link}: expected the file that it links to, found none; {wanted.remedy()}"
            raise PreparationError(MODEL, words)
    return found


@dataclass(frozen=True)
class _Wanted:
    """A model of the cache, as a command line names it."""

    text: str  # the whole
    name: str
    revision: str  # empty: main
    cache: Path

    def remedy(self) -> str:
        option = f" --revision {self.revision}" if self.revision else ""
        return f"to fetch it, where there is a network: hf download {self.name}{option}"

    def what_is_missing(self) -> str:
        folder = self.cache / f"models--{self.name.replace('/', '--')}"
        if not folder.is_dir():
            models = _listed(map(name_of, self.cache.glob("models--*")))
            return (
                f"{self.text}: expected a snapshot of it in the cache {self.cache}, found of models:"
                f" {models}; {self.remedy()}"
            )
        revision = self.revision or "main"
        if parts := _unfinished_parts(folder):
            found = f"a download that was not finished (blobs/{parts[0]})"
        else:
            revisions = [path.name for inner in ("refs", "snapshots") for path in folder.glob(f"{inner}/*")]
            found = f"of revisions: {_listed(revisions)}"
        return f"{self.text}: expected the revision {revision} in {folder}, found {found}; {self.remedy()}"


def unfinished_download(directory: Path) -> str:
    """What to say behind "there is no …" of a snapshot whose download was not finished; else nothing."""
    parts = _unfinished_parts(directory.parents[1]) if directory.parent.name == "snapshots" else []
    return f"; a download of it was not finished (blobs/{parts[0]})" if parts else ""


def _unfinished_parts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("blobs/*.incomplete"))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def name_of(folder: Path) -> str:
    """ORG/MODEL of a folder models--ORG--MODEL."""
    return folder.name.removeprefix("models--").replace("--", "/", 1)
