"""A sweep file in a few lines: what it was made from, what it holds, its massive activations.

In: an opened sweep with any of its groups. Out: lines of text. What the file lacks is named with the
job key that brings it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .findings import massive_channels
from .labels import number_label
from .sweep import KEYS, Sweep

CHANNELS_LISTED = 10
# Groups beside the sites, in the words of the summary.
OTHER_GROUPS = {
    "attention": "attention",
    "value_update": "value updates",
    "qk": "queries and keys",
    "super_weights": "super weights",
    "experts": "experts",
    "registers": "registers",
    "classification": "classes of images",
    "interventions": "interventions",
    "variants": "variants",
}


def lines(sweep: Sweep) -> Iterator[str]:
    """All of the summary."""
    facts = [*_nonfinite(sweep), *_origin(sweep), *_content(sweep)]
    for name, value in facts:
        yield f"{name:<11}{value}"
    if sweep.has("massive"):
        yield from _massive(sweep)
    else:
        yield f"{'massive':<11}not measured; the job key {KEYS['massive']} brings it"


def _nonfinite(sweep: Sweep) -> Iterator[tuple[str, str]]:
    """Tokens that each site left out."""
    for name in sweep.sites:
        count = sweep.site(name)["nonfinite_tokens"].values  # [layer]
        if count.any():
            layers = ", ".join(f"{layer}: {count[layer]:,}" for layer in count.nonzero()[0])
            place = "" if name == "residual" else f" at {name}"
            yield "NON-FINITE", f"tokens left out{place} by layer: {layers}"


def _origin(sweep: Sweep) -> Iterator[tuple[str, str]]:
    attributes = sweep.attributes
    lengths = sweep.sequences["length"].values
    yield "file", f"{sweep.path}, of {attributes['created']}"
    yield "model", f"{attributes['model_name']} ({attributes['model_family']})"
    yield "shape", f"{attributes['num_layers']} layers, {attributes['hidden_size']} channels"
    yield "program", f"actsweep {attributes['software_version']}, {attributes['git_commit'][:12]}"
    yield "dtype", f"{attributes['dtype']}, residual {attributes['residual_dtype']}"
    yield "ranks", f"model group of {attributes['model_group_size']}"
    yield "corpus", f"{lengths.sum(dtype=np.int64):,} tokens in {len(lengths):,} sequences"


def _content(sweep: Sweep) -> Iterator[tuple[str, str]]:
    yield "sites", ", ".join(sweep.sites) or "none measured"
    others = [words for name, words in OTHER_GROUPS.items() if sweep.has(name)]
    if others:
        yield "also", ", ".join(others)
    if sweep.stored:
        rows = sweep.stored_group().sizes["row"]
        yield "store", f"{rows:,} tokens at {', '.join(sweep.stored)}"
    yield "prompts", ", ".join(sweep.prompts) or "none captured"
    if sweep.perplexity is not None:
        yield "perplexity", f"{sweep.perplexity:.4f}"


def _massive(sweep: Sweep) -> Iterator[str]:
    criterion = sweep.criterion
    table = massive_channels(sweep.massive, int(sweep.attributes["hidden_size"]))
    events = sweep.massive.sizes["event"]
    left_out = int(sweep.events_left_out.sum())
    yield (
        f"{'massive':<11}{events:,} events in {table.sizes['channel']} channels"
        f" (> {number_label(criterion.magnitude)} and ≥ {number_label(criterion.ratio)} × median;"
        f" {left_out:,} more not listed in the file)"
    )
    if not events:
        return
    yield f"\n{'channel':>8}{'layers':>10}{'events':>12}{'position 0':>12}{'largest':>12}"
    for index in range(min(table.sizes["channel"], CHANNELS_LISTED)):
        row = table.isel(channel=index)
        layers = f"{int(row['first_layer'])}–{int(row['last_layer'])}"
        share = int(row["events_at_position_0"]) / int(row["events"])
        largest = number_label(float(row["max_magnitude"]))
        yield (
            f"{int(row['channel']):>8}{layers:>10}{int(row['events']):>12,}"
            f"{share:>12.1%}{largest:>12}"
        )
    hidden = table.sizes["channel"] - CHANNELS_LISTED
    if hidden > 0:
        yield f"{'…':>8}  {hidden} more channels"
