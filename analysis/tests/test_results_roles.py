"""Sums by role, against plain numpy on the states of the sample."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sample_sweep import Sample, write_sweep

import actsweep
from actsweep.report import roles as section
from actsweep.report.content import Model
from actsweep.results import roles


@pytest.fixture(scope="module")
def chats(sample: Sample) -> Sample:
    """Nobody speaks as the system; position 0 is the template's."""
    spoken = np.random.default_rng(3).integers(1, 5, sample.ids.shape).astype(np.uint8)
    spoken[spoken == 1], spoken[:, 0] = 0, 0
    return Sample(**{**vars(sample), "roles": spoken})


@pytest.fixture(scope="module")
def sweep(chats: Sample, tmp_path_factory: pytest.TempPathFactory) -> Iterator[actsweep.Sweep]:
    with actsweep.open(write_sweep(tmp_path_factory.mktemp("chats") / "chats.h5", chats)) as opened:
        yield opened


def values_of(chats: Sample, row: pd.Series) -> np.ndarray:
    """The states [tokens, C] of a row's layer, role and place."""
    spoken, is_first = chats.roles, chats.classes == 0
    place = ~is_first if row["tokens"] == roles.REST else is_first
    chosen = place & (spoken == actsweep.ROLES.index(row["role"]))
    return chats.residual[row["layer"]][chosen].astype(np.float64)


def test_sizes_are_root_mean_squares_of_each_role(sweep: actsweep.Sweep, chats: Sample) -> None:
    table = roles.sizes(sweep)
    assert set(table["role"]) == {"template", "user", "assistant", "tool"}
    assert set(table["tokens"]) == {"position 0", roles.REST}
    for _, row in table.iterrows():
        values = values_of(chats, row)
        assert row["count"] == len(values)
        np.testing.assert_allclose(row["RMS"], np.sqrt((values**2).mean()), rtol=1e-12)
    tokens = table[table["layer"] == 0]["count"].sum()
    assert tokens == chats.ids.size


def test_constancy_is_over_all_tokens_of_a_role(sweep: actsweep.Sweep, chats: Sample) -> None:
    table = roles.constancy(sweep)
    assert set(zip(table["layer"], table["channel"], strict=True)) == {(2, 17), (3, 17), (3, 4)}
    for _, row in table.iterrows():
        values = values_of(chats, row)[:, row["channel"]]
        assert row["count"] == len(values)
        np.testing.assert_allclose(row["mean"], values.mean(), atol=1e-10)
        np.testing.assert_allclose(row["std"], values.std(), atol=1e-6)


def test_role_moments_equal_numpy(sweep: actsweep.Sweep, chats: Sample) -> None:
    mean, std = actsweep.role_mean(sweep.residual), actsweep.role_std(sweep.residual)
    assert mean.dims == std.dims == ("layer", "role", "class", "channel")
    for role, name in enumerate(actsweep.ROLES):
        chosen = (chats.roles == role) & (chats.classes == 3)
        found = {"role": name, "class": "other"}
        if not chosen.any():
            assert np.isnan(mean.sel(found)).all()
            continue
        values = chats.residual[:, chosen].astype(np.float64)  # [layer, token, channel]
        np.testing.assert_allclose(mean.sel(found), values.mean(axis=1), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(std.sel(found), values.std(axis=1), rtol=1e-6, atol=1e-9)


def test_the_report_has_roles_or_names_the_key(
    sweep: actsweep.Sweep, sweep_path: Path
) -> None:
    (picture, sizes, values) = section.roles([Model("chats", sweep)]).parts
    assert (picture.frame["tokens"] == roles.REST).all() and len(sizes.frame) > len(picture.frame)
    assert len(values.frame) > 0
    with actsweep.open(sweep_path) as texts:
        of_texts = section.roles([Model("texts", texts)])
    assert not of_texts.parts and 'classes = "role"' in of_texts.absent[0].key
