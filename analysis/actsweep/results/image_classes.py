"""What models, and interventions on them, do to the classes that a classifier tells of images.

In: a `Sweep` with `/classification`, of labelled images and a job with `[statistics] classifier`. Out: top-1
and top-5 accuracy of the original and of each variant, with paired differences of top-1.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..sweep import Sweep
from .interventions import ORIGINAL
from .tasks import paired, standard_error

TOP = (1, 5)


def label_ranks(sweep: Sweep) -> pd.DataFrame:
    """By image: its label's number and name, and in columns of their names where the original and each
    variant put it: how many classes stand before the label."""
    group = sweep.group("classification")
    label = group["label"].values.astype(np.int64)
    names = np.array(sweep.names("label_names"), dtype=object)
    frame = pd.DataFrame({"label": label, "class": names[label] if len(names) else ""})
    for name, rank in _by_model(sweep, "label_rank").items():
        frame[name] = rank.astype(np.int64)
    return frame


def _by_model(sweep: Sweep, dataset: str) -> dict[str, np.ndarray]:
    """A dataset of images, of the original and of the variants."""
    by = {ORIGINAL: sweep.group("classification")[dataset].values}
    if sweep.has(f"variants/{dataset}"):
        by |= dict(zip(sweep.names("variants"), sweep.group("variants")[dataset].values, strict=True))
    return by


def accuracies(sweep: Sweep) -> pd.DataFrame:
    """The original first, then each variant with its paired difference."""
    ranks = _by_model(sweep, "label_rank")
    likelihood = _by_model(sweep, "label_log_likelihood")
    rows = []
    for name, rank in ranks.items():
        row: dict[str, object] = {"variant": name, "images": len(rank)}
        row |= {f"top-{top} accuracy": float((rank < top).mean()) for top in TOP}
        row["standard error"] = standard_error(rank == 0)
        row["mean log-likelihood, nats"] = float(likelihood[name].mean())
        if name != ORIGINAL:
            row |= paired(ranks[ORIGINAL] == 0, rank == 0)
        rows.append(row)
    return pd.DataFrame(rows)
