"""Which linear layers read which site, by their names in Hugging Face's models.

In: a sweep file, which says so in its attribute `linear_layers`. Out: for each block the modules and the
site that is their input, and those of routed experts, each of which reads the tokens that chose it. The
names of other programs follow from these.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .sweep import Sweep

INPUT_SITES = ("attention_input", "attention_heads", "mlp_input", "mlp_hidden")
EXPERT_PARTS = ("input", "hidden")  # of the gate and up projections, and of the down projection
ATTRIBUTE = "linear_layers"


@dataclass(frozen=True)
class Inputs:
    """The modules of one block that read one site at `layer`, numbered from 1."""

    layer: int
    site: str
    modules: tuple[str, ...]
    tokens: int  # finite ones; without any there are no values
    factor: float = 1.0  # they read the site's rows times this


@dataclass(frozen=True)
class ExpertInputs:
    """The modules of one block's routed experts that read `part`: "input" or "hidden"."""

    layer: int
    part: str
    modules: tuple[str, ...]  # "{}" stands for the expert; a name without it is one tensor of them all
    tokens: np.ndarray  # [E] int64, those that chose each expert


@dataclass(frozen=True)
class LinearLayers:
    """Of one model, as its file lists them: what each `reads`, its `module`, its `layers` from 0."""

    rows: list[dict[str, Any]]

    def reading(self, site: str, layer: int) -> tuple[str, ...]:
        """Modules of a block, numbered from 1."""
        return tuple(module for modules in self.by_factor(site, layer).values() for module in modules)

    def by_factor(self, site: str, layer: int) -> dict[float, tuple[str, ...]]:
        """Modules of a block, by what the model multiplies the rows of the site before they read them."""
        found: dict[float, tuple[str, ...]] = {}
        for row in self.rows:
            if row["reads"] == site and layer - 1 in row.get("layers", [layer - 1]):
                module = row["module"].replace("{}", str(number_of(row, layer))).replace("{e}", "{}")
                factor = float(row.get("factor", 1.0))
                found[factor] = (*found.get(factor, ()), module)
        return found

    def are_reading(self, site: str) -> bool:
        """In any block."""
        return any(row["reads"] == site for row in self.rows)


def number_of(row: dict[str, Any], layer: int) -> int:
    """In names of modules, where blocks that no text passes stand between: not from 1."""
    return int(row["numbers"][layer - 1]) if "numbers" in row else layer - 1


def linear_layers(sweep: Sweep) -> LinearLayers:
    """Refuses a file that does not list them."""
    if ATTRIBUTE not in sweep.attributes:
        raise ValueError(
            f"{sweep.path}: expected the attribute '{ATTRIBUTE}', which names the model's linear layers,"
            " found none: the file was written before it was there; sweep again"
        )
    return LinearLayers(json.loads(str(sweep.attributes[ATTRIBUTE])))


def missing_inputs(sweep: Sweep) -> list[str]:
    """What an export of all linear layers needs, and the file lacks, by the names in the job."""
    layers = linear_layers(sweep)
    missing = [site for site in INPUT_SITES if layers.are_reading(site) and not sweep.has(site)]
    if layers.are_reading("expert_input") and not sweep.has("experts/input_sum_square"):
        missing.append("expert_inputs")
    return missing


def linear_inputs(sweep: Sweep) -> Iterator[Inputs]:
    """All blocks and their sites that the file holds, in the order of the model; those too at which
    no token was finite. Refuses a file without any."""
    layers = linear_layers(sweep)
    held = [site for site in INPUT_SITES if sweep.has(site)]
    if not held and not sweep.has("experts/input_sum_square"):
        sites = ", ".join(f'"{site}"' for site in INPUT_SITES)
        raise ValueError(
            f"{sweep.path}: expected inputs of linear layers, found none of the sites {sites};"
            " ask for them with the job key [statistics] sites"
        )
    counts = {site: sweep.site(site)["count"].values for site in held}
    left_out = {site: sweep.site(site)["nonfinite_tokens"].values for site in held}
    for layer in range(1, int(sweep.attributes["num_layers"]) + 1):
        for site in held:
            tokens = int(counts[site][layer])
            # A layer that lacks the site has neither kind of tokens.
            if tokens or left_out[site][layer]:
                for factor, modules in layers.by_factor(site, layer).items():
                    yield Inputs(layer, site, modules, tokens, factor)


def expert_inputs(sweep: Sweep) -> Iterator[ExpertInputs]:
    """All blocks of routed experts whose inputs the file holds, in the order of the model."""
    layers = linear_layers(sweep)
    if not sweep.has("experts/input_sum_square"):
        return
    counts = sweep.group("experts")["token_count"].values  # [layer, expert]
    for layer in range(1, len(counts)):
        for part in EXPERT_PARTS:
            modules = layers.reading(f"expert_{part}", layer)
            if modules and counts[layer].any():
                yield ExpertInputs(layer, part, modules, counts[layer])


def layers_without_experts(sweep: Sweep) -> list[int]:
    """Layers with routed experts, of which none had a finite token."""
    layers = linear_layers(sweep)
    if not sweep.has("experts"):
        return []
    tokens = sweep.group("experts")["token_count"].sum("expert").values
    return [
        layer
        for layer in range(1, len(tokens))
        if layers.reading("expert_input", layer) and not tokens[layer]
    ]
