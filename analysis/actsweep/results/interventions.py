"""What changing massive activations does to the loss (arXiv 2402.17762, table 3).

In: a `Sweep` with `/variants`. Out: perplexities of the original and of each variant, and the
paired difference of the loss of each token. Rows per token are read in blocks.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from ..sweep import Sweep
from .frames import mean_of

TOKENS_PER_READ = 1 << 20
ORIGINAL = "original"
PLACE = ("variant", "layer", "site", "channels", "tokens", "action")
SUMS = ("nll_sum", "target_count", "window_mean_sum", "window_count")


def effects(sweep: Sweep) -> pd.DataFrame:
    """The original first, then each variant."""
    loss, variants = sweep.group("loss"), sweep.group("variants")
    names = sweep.names("variants")
    sums = {name: np.r_[float(loss[name]), variants[name].values] for name in SUMS}
    token_mean = mean_of(sums["nll_sum"], sums["target_count"])
    window_mean = mean_of(sums["window_mean_sum"], sums["window_count"])
    with np.errstate(over="ignore"):  # a ruined model's perplexity may be infinite
        perplexity, by_window = np.exp(token_mean), np.exp(window_mean)
    frame = pd.DataFrame(
        {
            "variant": [ORIGINAL, *names],
            "perplexity": perplexity,
            "perplexity, mean of windows": by_window,
            "mean loss, nats": token_mean,
        }
    )
    for title, dataset in (
        ("matched tokens", "matched_tokens"),
        ("changed activations", "changed_activations"),
    ):
        if dataset in variants:
            frame[title] = np.r_[np.nan, variants[dataset].values]
    if "token_nll" in variants and "token_nll" in loss:
        changed = [variants["token_nll"].isel(variant=index) for index in range(len(names))]
        paired = [paired_difference(loss["token_nll"], one) for one in changed]
        nothing = dict.fromkeys(paired[0] if paired else (), np.nan)
        frame = pd.concat([frame, pd.DataFrame([nothing, *paired])], axis=1)
    return frame


def overwritten(sweep: Sweep) -> pd.DataFrame:
    """The job's `[[intervention]]` tables, what each matched, and whether it is of a variant."""
    counts = sweep.group("interventions")
    rows = []
    for index, table in enumerate(sweep.job["intervention"]):
        where = {} if "weight" in table else {"site": "residual"}  # of tables that name none
        facts = {name: value for name, value in table.items() if name not in PLACE}
        rows.append(
            {
                "applies to": table.get("variant", "the sweep itself"),
                **{name: str((where | table).get(name, "")) for name in PLACE[1:]},
                "more": ", ".join(f"{name} = {value}" for name, value in facts.items()),
                "matched tokens": int(counts["matched_tokens"][index]),
                "changed activations": int(counts["changed_activations"][index]),
            }
        )
    return pd.DataFrame(rows)


def effect_between(original: Sweep, changed: Sweep) -> dict[str, float]:
    """The same between two files of one model and corpus, of which one was swept intervened."""
    before, after = (sweep.group("loss")["token_nll"] for sweep in (original, changed))
    return {
        "perplexity": changed.perplexity or np.nan,
        "perplexity of the original": original.perplexity or np.nan,
    } | paired_difference(before, after)


def are_paired(original: Sweep, changed: Sweep) -> bool:
    """Whether `changed` was swept intervened, and `original` not, on the same tokens."""
    same = ("model_fingerprint", "corpus_fingerprint")
    if "intervention" in original.attributes or "intervention" not in changed.attributes:
        return False
    if any(original.attributes[name] != changed.attributes[name] for name in same):
        return False
    if not (original.has("loss/token_nll") and changed.has("loss/token_nll")):
        return False
    lengths = (sweep.sequences["length"].values for sweep in (original, changed))
    return np.array_equal(*lengths) and np.array_equal(
        *(np.isfinite(sweep.group("loss")["token_nll"].values) for sweep in (original, changed))
    )


def paired_difference(original: xr.DataArray, changed: xr.DataArray) -> dict[str, float]:
    """A changed model's loss [token] less the original's, token by token."""
    axis = original.dims[0]
    count, total, squares, worse = 0, 0.0, 0.0, 0
    for start in range(0, original.size, TOKENS_PER_READ):
        block = {axis: slice(start, start + TOKENS_PER_READ)}
        before = original.isel(block).values.astype(np.float64)
        has_target = np.isfinite(before)
        difference = changed.isel(block).values.astype(np.float64)[has_target] - before[has_target]
        count += difference.size
        total += difference.sum()
        squares += np.square(difference).sum()
        worse += int(np.count_nonzero(difference > 0))
    mean = total / count if count else np.nan
    with np.errstate(invalid="ignore"):  # infinite losses have no deviation
        error = np.sqrt(max(squares / count - mean**2, 0) / count) if count else np.nan
    return {
        "paired tokens": count,
        "difference, nats": mean,
        "its standard error": error,
        "tokens that got worse": worse / count if count else np.nan,
    }
