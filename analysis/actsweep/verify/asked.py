"""What of a job is compared, by the keys of its tables.

In: a job. Out: the keys of `[statistics]` and `[store]` for sweeps of its first windows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .program import Job
from .statistics import SITES

# What is compared with textbook code, and the keys that shape it.
STATISTICS = (
    "attention_received", "score_extrema", "event_updates", "geometry", "quantisation", "formats", "experts",
    "lifecycle", "expert_rows",
)  # fmt: skip
CRITERION = ("criterion_magnitude", "criterion_ratio", "max_events")
SHAPES = (*CRITERION, "lifecycle_channels", "lifecycle_from")
# Of the windows where they stand in the corpus: classes of tokens, and the events of an earlier sweep.
IN_CORPUS, OF_SETS = "attention", ("attention", "epsilon")  # the key; its groups and datasets
SHAPES_IN_CORPUS = (*CRITERION, "attention_from")
# What transformers shows of images' blocks by the same hooks.
OF_IMAGES = ("attention", "attention_received", "score_extrema", "geometry")


def asked(job: Job, keys: Sequence[str], shapes: Sequence[str]) -> dict[str, Any]:
    """Of these keys those that a job asks for, with what shapes them; empty if it asks for none."""
    given = job.get("statistics", {})
    wanted = {key: given[key] for key in keys if given.get(key)}
    return {**wanted, **{key: given[key] for key in shapes if key in given}} if wanted else {}


def wanted_of_windows(job: Job) -> dict[str, Any]:
    """The statistics of a job's windows that are compared, with the sites that they are of."""
    wanted = asked(job, STATISTICS, SHAPES)
    sites = job.get("statistics", {}).get("sites", [])
    others = [site for site in sites if site in SITES and site != "residual"]
    return {**wanted, "sites": ["residual", *others]} if wanted else {}


def stored(job: Job) -> dict[str, Any]:
    """The store of a job, in float32, of the sites that are compared."""
    store = job.get("store", {})
    sites = [site for site in store.get("sites", []) if site in SITES]
    return {**store, "sites": sites, "dtype": "float32"} if sites else {}


def readers(facts: Mapping[str, Any]) -> dict[str, str]:
    """By site a linear layer that reads its rows as they are."""
    found: dict[str, str] = {}
    for layer in facts.get("linear_layers", []):
        if layer.get("factor", 1) == 1:
            found.setdefault(layer["reads"], layer["module"])
    return {site: name for site, name in found.items() if site in SITES}
