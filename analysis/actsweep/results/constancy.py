"""How constant massive activations are (arXiv 2402.17762, section 3: they act as biases).

In: a `Sweep`. Out: mean, standard deviation and coefficient of variation of the value at each
massive (layer, channel), over *all* tokens of a class: over events alone the threshold would make
them look constant. Reads the class sums of one layer at a time.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..sweep import Sweep
from .events import events_by
from .frames import deviation, mean_of

START, REST = 0, "every other position"


def constancy(sweep: Sweep) -> pd.DataFrame:
    """By layer and channel with events: each class, and the tokens outside class 0 together."""
    events = events_by(sweep, ["layer", "channel", "class"])
    pairs = events.groupby("layer")["channel"].unique()
    parts = [_of_layer(sweep, events, int(layer), channel) for layer, channel in pairs.items()]
    columns = ("layer", "channel", "tokens", "count", "mean", "std", "CV", "events", "remark")
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _of_layer(sweep: Sweep, events: pd.DataFrame, layer: int, channels: np.ndarray) -> pd.DataFrame:
    site = sweep.residual.isel(layer=layer)
    columns = np.sort(channels.astype(np.int64))
    count = site["class_count"].values  # [class]
    total = site["class_sum"].values[:, columns]  # [class, channel]
    squares = site["class_sum_square"].values[:, columns]
    names = sweep.class_names(range(len(count)))
    groups = [(name, [index]) for index, name in enumerate(names)]
    groups.insert(1, (REST, [index for index in range(len(names)) if index != START]))
    rows = []
    for place, channel in enumerate(columns):
        here = events[(events["layer"] == layer) & (events["channel"] == channel)]
        for name, classes in groups:
            n = count[classes].sum()
            if n == 0:
                continue
            mean = mean_of(total[classes, place].sum(), n).item()
            std = deviation(total[classes, place].sum(), squares[classes, place].sum(), n).item()
            trivial = classes == [START] and sweep.is_text and sweep.starts_with_bos
            rows.append(
                {
                    "layer": layer,
                    "channel": int(channel),
                    "tokens": name,
                    "count": int(n),
                    "mean": mean,
                    "std": std,
                    "CV": std / abs(mean) if mean else np.nan,
                    "events": int(here["events"][here["class"].isin(classes)].sum()),
                    "remark": "trivial: a BOS that sees itself alone" if trivial else "",
                }
            )
    return pd.DataFrame(rows)
