"""Files of torch.save, read by torch's loader of weights, which runs no code of the file.

In: the path of a `.bin`, `.pth` or `.pt`. Out: what it holds; the tensors stay in the file until they are
used, if it is of the format that PyTorch has written since 1.6. Refuses a file that holds more than tensors
and numbers, and one that is damaged.
"""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from preparation.errors import MODEL, PreparationError


def load_weights(path: Path) -> Any:
    """Nothing of the file is run."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except FileNotFoundError:
        raise PreparationError(MODEL, f"{path}: no such file") from None
    except pickle.UnpicklingError as error:
        lines = str(error).splitlines()  # of advice, among which one says what was found
        reason = next((line for line in lines if "unsupported" in line.lower()), lines[0])
        raise PreparationError(
            MODEL, f"{path} is not a checkpoint of only tensors and numbers: {reason.strip()}"
        ) from None
    except Exception as error:  # a damaged file raises almost anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise PreparationError(MODEL, f"{path} is not a whole checkpoint: {reason}") from None
