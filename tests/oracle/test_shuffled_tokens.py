"""The action `shuffle` against transformers with hooks: a token has the activations that stand at its place
in another sequence of the micro-batch, at the residual stream and at every site inside a layer.

Sequences differ in length, and the micro-batches in number and by m. The donors' activations are those
of transformers' own unchanged passes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from support.bounds import assert_losses_round_as_transformers
from support.changed_sites import change_block, changed
from support.interventions import RESIDUAL, Labels, Table, donor_of
from support.site_cases import Made, as_variants, make_one
from support.slow_cases import slow_unless
from support.sweeps import read_datasets
from support.transformers_oracle import Oracle, join, losses_of

NAME = "llama-5over1-tied"
RANKS = (1, 2, 3, 4)
Rows = dict[tuple[str, int], np.ndarray]  # by site and layer, [T, channels]


def tables_of(made: Made) -> dict[str, Table]:
    """Some tokens at every site, each at a layer of its own."""
    base = {"action": "shuffle", "tokens": "all"}
    tables: dict[str, Table] = {
        "residual": base | {"layer": 1, "channels": [0, 7, 79], "seed": 3},
        "residual-position": base | {"layer": 0, "channels": "all", "tokens": "position:16"},
    }
    for number, place in enumerate(made.places):
        layer = place.layers[number % len(place.layers)]
        chosen = {"channels": [1, place.width // 2]}
        if place.heads:
            chosen = {"heads": [place.heads - 1], "of_heads": place.heads}
        tables[place.site] = base | {"site": place.site, "layer": layer, "seed": number} | chosen
    return tables


class Shuffles:
    """The sweeps, and transformers' unchanged passes."""

    def __init__(self, made: Made) -> None:
        self.made, self.tables = made, tables_of(made)

    def sweep(self, m: int) -> tuple[dict[str, np.ndarray], int, int]:
        """The datasets of all tables as variants; windows of a micro-batch and of a segment."""
        tables = as_variants({name: [table] for name, table in self.tables.items()})
        output = self.made.run(m, "shuffled", tables, parallel={"microbatch_tokens": 240})
        with h5py.File(output) as file:
            identity = json.loads(file.attrs["identity"])
        names = ("corpus.windows_per_microbatch", "corpus.windows_per_segment")
        return read_datasets(output), *(identity[name] for name in names)

    @cached_property
    def unchanged(self) -> list[list[Rows]]:
        """[precision][window]."""
        return [[rows_of(o, w.ids) for w in self.made.windows] for o in self.made.both.of_both]

    def labels(self, window: int, batch: Sequence[int], rows: Sequence[Rows], seed: int) -> Labels:
        """With the donors among the windows of its micro-batch."""
        lengths = [len(self.made.windows[i].ids) for i in batch]
        of_window = self.made.windows[window]
        places = [
            donor_of(seed, batch[0], window - batch[0], lengths, position)
            for position in range(len(of_window.ids))
        ]
        donors = {
            key: np.array(
                [
                    np.full_like(values[0], np.nan) if place is None else rows[batch[place]][key][position]
                    for position, place in enumerate(places)
                ]
            )
            for key, values in rows[window].items()
        }
        return Labels(of_window.classes, window, donors)


def rows_of(oracle: Oracle, ids: np.ndarray) -> Rows:
    """Every site of every layer of an unchanged pass."""
    found: Rows = {}
    handles = []
    for number, block in enumerate(oracle.blocks):

        def look(site: str, rows: torch.Tensor, layer: int = number + 1) -> torch.Tensor:
            found[site, layer] = rows.detach().clone().numpy()
            return rows

        handles += change_block(block, look)
    stream = oracle.residual(ids)
    for handle in handles:
        handle.remove()
    return found | {(RESIDUAL, layer): rows for layer, rows in enumerate(stream)}


def batches(windows: int, of_batch: int, of_segment: int) -> Iterator[list[int]]:
    for segment in range(0, windows, of_segment):
        end = min(segment + of_segment, windows)
        for first in range(segment, end, of_batch):
            yield list(range(first, min(first + of_batch, end)))


@pytest.fixture(scope="module")
def shuffles(tmp_path_factory: pytest.TempPathFactory) -> Shuffles:
    return Shuffles(make_one(NAME, tmp_path_factory.mktemp("shuffles")))


@pytest.mark.parametrize("m", [slow_unless(m in (1, 3), m) for m in RANKS])
def test_variants_lose_what_transformers_loses_with_others_activations(m: int, shuffles: Shuffles) -> None:
    made = shuffles.made
    found, of_batch, of_segment = shuffles.sweep(m)
    all_batches = list(batches(len(made.windows), of_batch, of_segment))
    assert max(map(len, all_batches)) > 2
    original = found["loss/token_nll"]
    for number, (name, table) in enumerate(shuffles.tables.items()):
        losses, donated = [], 0
        for batch in all_batches:
            for window in batch:
                likelihoods = []
                ids = made.windows[window].ids
                for oracle, rows in zip(made.both.of_both, shuffles.unchanged, strict=True):
                    labels = shuffles.labels(window, batch, rows, table.get("seed", 0))
                    with changed(oracle.blocks, [table], labels, {}):
                        likelihoods.append(oracle.log_likelihoods(ids))
                donated += donated_tokens(table, labels)
                losses.append(losses_of(ids, *likelihoods))
        print(name, end=": ")
        assert_losses_round_as_transformers(found["variants/token_nll"][number], join(losses))
        assert found["variants/matched_tokens"][number] == donated > 0
        assert not np.array_equal(found["variants/token_nll"][number], original, equal_nan=True)


def donated_tokens(table: Mapping[str, Any], labels: Labels) -> int:
    has_donor = np.isfinite(labels.donors[table.get("site", RESIDUAL), table["layer"]]).all(axis=1)
    if table["tokens"] == "all":
        return int(has_donor.sum())
    position = int(table["tokens"].split(":")[1])
    return int(position < len(has_donor) and has_donor[position])


def test_a_prompt_has_no_other_sequence_and_stays_as_it_is(shuffles: Shuffles) -> None:
    tables = {"shuffled-alone": [shuffles.tables["residual"]], "plain": []}
    shuffled, plain = (
        read_datasets(shuffles.made.run(2, name, of_name, parallel={"microbatch_tokens": 240}))
        for name, of_name in tables.items()
    )
    for name, values in plain.items():
        if name.startswith("capture/"):
            assert values.tobytes() == shuffled[name].tobytes(), name
    assert not np.array_equal(shuffled["loss/token_nll"], plain["loss/token_nll"], equal_nan=True)
