"""Models in the local cache of Hugging Face, by name, without a network.

In: "hf:NAME" or "hf:NAME@REVISION" in place of a directory. Out: the snapshot's directory. Refuses
(MODEL) what the cache does not have.
"""

from __future__ import annotations

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
    try:
        return Path(snapshot_download(name, revision=revision or None, local_files_only=True))
    except HFValidationError as error:
        raise PreparationError(MODEL, one_line(f"{expected}: {error}")) from error
    except LocalEntryNotFoundError as error:
        cache = Path(constants.HF_HUB_CACHE)
        found = ", ".join(sorted(map(name_of, cache.glob("models--*")))) or "none"
        option = f" --revision {revision}" if revision else ""
        raise PreparationError(
            MODEL,
            f"{text}: expected a snapshot of it in the cache {cache}, found of models: {found}; "
            f"to fetch it, where there is a network: hf download {name}{option}",
        ) from error


def name_of(folder: Path) -> str:
    """ORG/MODEL of a folder models--ORG--MODEL."""
    return folder.name.removeprefix("models--").replace("--", "/", 1)
