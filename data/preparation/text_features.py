"""Features of texts -> a head that tells classes of images, as CLIP compares both (arXiv 2103.00020).

In: a directory of a whole CLIP and some texts for each class. Out: `weight` [class, width] float32 in a
safetensors file. Refuses (MODEL) a directory that is no CLIP with its text model and tokenizer.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from preparation.errors import MODEL, PreparationError, one_line, writing
from preparation.json_files import read_object

BATCH = 64  # classes whose texts pass the model together


def text_features(directory: Path, texts: list[list[str]]) -> np.ndarray:
    """[class, width]: the mean of the directions of a class' texts, of length 1, times exp(logit_scale)."""
    found = read_object(directory / "config.json").get("model_type")
    if found != "clip":
        raise PreparationError(MODEL, f'{directory}: expected a model of type "clip", found "{found}"')
    # Takes seconds, and mistakes of the command line come first.
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    try:
        model = transformers.CLIPModel.from_pretrained(directory, dtype=torch.float32, local_files_only=True)
        tokenizer = transformers.AutoTokenizer.from_pretrained(directory, local_files_only=True)
    except (OSError, ValueError) as error:
        raise PreparationError(MODEL, one_line(f"{directory}: {error}")) from None
    longest = model.config.text_config.max_position_embeddings
    rows = []
    with torch.no_grad():
        for first in range(0, len(texts), BATCH):
            batch = texts[first : first + BATCH]
            ids = tokenizer(
                [text for group in batch for text in group],
                padding=True,
                truncation=True,
                max_length=longest,
                return_tensors="pt",
            )
            features = model.get_text_features(**ids)
            features = getattr(features, "pooler_output", features)  # of transformers 5
            directions = features / features.norm(dim=-1, keepdim=True)
            mean = directions.unflatten(0, (len(batch), -1)).mean(1)
            rows.append(mean / mean.norm(dim=-1, keepdim=True) * model.logit_scale.exp())
    return torch.cat(rows).numpy()


def write_head(path: Path, weight: np.ndarray, notes: dict[str, str]) -> None:
    """Under another name first, so that the file is whole or not there."""
    from safetensors.numpy import save_file

    partial = path.with_name(path.name + ".partial")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({"weight": np.ascontiguousarray(weight)}, partial, metadata=notes)
        partial.rename(path)
