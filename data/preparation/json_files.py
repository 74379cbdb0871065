"""A JSON file of a model -> the object that it holds.

In: a path. Out: its keys and values; a byte order mark is dropped, and a whole number may have any
number of digits. Refuses, in one line, a file that cannot be read, a Git LFS pointer, what is not
JSON (with line and column), brackets deeper than Python reads, and what is no object.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from preparation.errors import MODEL, PreparationError
from preparation.file_kinds import refuse_pointer
from preparation.json_kinds import called, integer


def read_object(path: Path) -> dict[str, Any]:
    refuse_pointer(path)
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"), parse_int=integer)
    except OSError as error:
        raise PreparationError(MODEL, f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise PreparationError(
            MODEL, f"{path} is not JSON: invalid UTF-8 at byte {error.start}"
        ) from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise PreparationError(MODEL, f"{path} is not JSON: {place}: {error.msg}") from None
    except RecursionError:
        raise PreparationError(MODEL, f"{path}: brackets are nested too deeply") from None
    if not isinstance(content, dict):
        raise PreparationError(
            MODEL, f"{path}: expected a JSON object, found {called(content)}"
        )
    return content
