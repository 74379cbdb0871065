"""What lies in `/store`, in numbers: how long its rows are, and how much of a row one channel has.

In: a `Sweep` with `/store`. Out: a frame by site and stored layer. Of many rows it reads a part, as far apart
as they come, so that a store of gigabytes takes no longer.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..store import BITS_OF
from ..sweep import Sweep

ROWS_READ = 1024


def stored_rows(sweep: Sweep) -> pd.DataFrame:
    """By site and layer: rows, channels, type, and of the rows that are read the median norm, the
    median share of a row's square that its largest channel has, and the largest magnitude."""
    group = sweep.stored_group()
    rows = []
    for site in sweep.stored:
        values = sweep.store(site)
        chosen = np.unique(np.linspace(0, max(0, len(values) - 1), min(len(values), ROWS_READ)).astype(int))
        facts = {
            "rows": len(values),
            "channels": values.shape[2],
            "type": group[site].attrs.get(BITS_OF, str(group[site].dtype)),
        }
        for place, layer in enumerate(values["stored_layer"].values):
            of_layer = values.isel(row=chosen, stored_layer=place).values.astype(np.float64)
            kept = of_layer[np.isfinite(of_layer).all(axis=1)]
            if len(kept):
                rows.append({"site": site, "layer": int(layer), **facts, **_sizes(kept)})
    return pd.DataFrame(rows)


def _sizes(rows: np.ndarray) -> dict[str, float]:
    """Of rows [row, channel]."""
    square = rows**2
    total = square.sum(axis=1)
    share = np.divide(square.max(axis=1), total, out=np.full(len(rows), np.nan), where=total > 0)
    return {
        "median norm": float(np.median(np.sqrt(total))),
        "share of the largest channel": float(np.nanmedian(share)) if (total > 0).any() else np.nan,
        "largest magnitude": float(np.abs(rows).max()),
    }
