"""Stored activations: read lazily as float32, and exported in shards that safetensors reads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from sample_sweep import Sample, add_dataset, add_scale, write_sweep

import actsweep
from actsweep.cli import main
from actsweep.export_store import INDEX, export_activations
from actsweep.results.stored_rows import stored_rows

LAYERS, SEQUENCES, LENGTH, CHANNELS = 4, 3, 10, 16
STORED_LAYERS = [3, 0]
TOKENS = np.array([1, 2, 5, 11, 12, 19, 23, 28, 29])
NEURONS = 24


@pytest.fixture(scope="module")
def sample() -> Sample:
    random = np.random.default_rng(3)
    shape = (SEQUENCES, LENGTH)
    return Sample(
        random.standard_normal((LAYERS, *shape, CHANNELS)).astype(np.float32),
        random.integers(0, 7, shape).astype(np.uint32),
        random.integers(1, 4, shape).astype(np.uint8),
        [f" w{i}".encode() for i in range(7)],
    )


@pytest.fixture(scope="module")
def rows(sample: Sample) -> np.ndarray:
    """[row, stored_layer, channel] float32: what is stored of the residual stream."""
    flat = sample.residual.reshape(LAYERS, -1, CHANNELS)
    return np.ascontiguousarray(flat[STORED_LAYERS][:, TOKENS].swapaxes(0, 1))


@pytest.fixture(scope="module")
def hidden() -> np.ndarray:
    """The same of a site that layer 0 lacks."""
    values = np.random.default_rng(4).standard_normal((len(TOKENS), 2, NEURONS)).astype(np.float32)
    values[:, 1] = np.nan
    return values


def write_store(
    path: Path, sample: Sample, sites: dict[str, np.ndarray], tokens: np.ndarray = TOKENS
) -> Path:
    """Adds `/store` to a sample's file, as docs/output-format.md says."""
    write_sweep(path, sample)
    with h5py.File(path, "a") as file:
        group = file.create_group("store")
        row = add_scale(group, "row", len(tokens))
        layer = group.create_dataset("stored_layer", data=np.array(STORED_LAYERS, np.int64))
        layer.make_scale("stored_layer")
        add_dataset(group, "token", tokens, {"row": row})
        for name, values in sites.items():
            width = values.shape[2]
            channel = file["channel"] if width == CHANNELS else add_scale(file, "neuron", width)
            axes = {"row": row, "stored_layer": layer, channel.name: channel}
            if values.dtype == ml_dtypes.bfloat16:
                add_dataset(group, name, values.view(np.uint16), axes)
                group[name].attrs["bits_of"] = "bfloat16"
            else:
                add_dataset(group, name, values, axes)
    return path


@pytest.fixture(scope="module", params=[np.float32, ml_dtypes.bfloat16], ids=["float32", "bfloat16"])
def stored(
    request: pytest.FixtureRequest, sample: Sample, rows: np.ndarray, hidden: np.ndarray,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[actsweep.Sweep]:  # fmt: skip
    path = tmp_path_factory.mktemp("store") / "sweep.h5"
    sites = {name: of.astype(request.param) for name, of in (("residual", rows), ("mlp_hidden", hidden))}
    with actsweep.open(write_store(path, sample, sites)) as sweep:
        yield sweep


def expected_of(sweep: actsweep.Sweep, values: np.ndarray) -> np.ndarray:
    """As they are stored, in float32."""
    dtype = sweep.stored_group()["residual"].dtype
    return values if dtype == np.float32 else values.astype(ml_dtypes.bfloat16).astype(np.float32)


def test_a_site_is_float32_by_token_and_layer(
    stored: actsweep.Sweep, rows: np.ndarray, hidden: np.ndarray
) -> None:
    assert stored.stored == ["residual", "mlp_hidden"]
    residual = stored.store("residual")
    assert residual.dims == ("row", "stored_layer", "channel") and residual.dtype == np.float32
    np.testing.assert_array_equal(residual["token"], TOKENS)
    np.testing.assert_array_equal(residual["stored_layer"], STORED_LAYERS)
    np.testing.assert_array_equal(residual.values, expected_of(stored, rows))
    np.testing.assert_array_equal(stored.store("mlp_hidden").values, expected_of(stored, hidden))


def test_any_part_is_read_alone(stored: actsweep.Sweep, rows: np.ndarray) -> None:
    residual, expected = stored.store("residual"), expected_of(stored, rows)
    np.testing.assert_array_equal(residual.sel(stored_layer=0).values, expected[:, 1])
    np.testing.assert_array_equal(residual.isel(row=slice(2, 8, 3)).values, expected[2:8:3])
    chosen = residual.isel(row=[7, 1], channel=[0, 3, 5]).values
    np.testing.assert_array_equal(chosen, expected[[7, 1]][:, :, [0, 3, 5]])
    assert residual[4, 1, 2].values == expected[4, 1, 2]
    assert not residual.variable._in_memory


def test_a_site_that_is_not_stored_is_refused(stored: actsweep.Sweep) -> None:
    with pytest.raises(ValueError, match="no activations of 'key' in /store; stored: .*residual"):
        stored.store("key")


def test_without_a_store_the_job_key_is_named(sample: Sample, tmp_path: Path) -> None:
    with actsweep.open(write_sweep(tmp_path / "sweep.h5", sample)) as sweep:
        assert sweep.stored == []
        with pytest.raises(ValueError, match=r"\[store\] sites = "):
            sweep.store("residual")


def test_shards_hold_the_rows_with_their_labels(
    stored: actsweep.Sweep, sample: Sample, rows: np.ndarray, hidden: np.ndarray, tmp_path: Path
) -> None:
    """Together the shards are the store; safetensors reads each, and torch has the stored type."""
    is_half = stored.stored_group()["residual"].dtype == np.uint16
    of_row = (2 * CHANNELS + NEURONS) * (2 if is_half else 4)
    written = export_activations(stored, tmp_path / "out", shard_bytes=4 * of_row)
    index = json.loads((tmp_path / "out" / INDEX).read_text())
    assert [shard["rows"] for shard in index["shards"]] == [4, 4, 1]
    assert [shard["first_row"] for shard in index["shards"]] == [0, 4, 8]
    files = sorted(path.name for path in (tmp_path / "out").glob("*.safetensors"))
    assert files == written.files == [shard["file"] for shard in index["shards"]]
    shards = [load_file(tmp_path / "out" / name) for name in files]
    together = {name: torch.cat([shard[name] for shard in shards]) for name in shards[0]}
    labels = {"token": TOKENS, "token_id": sample.ids.reshape(-1)[TOKENS], "position": TOKENS % LENGTH,
              "sequence": TOKENS // LENGTH}  # fmt: skip
    for name, expected in labels.items():
        np.testing.assert_array_equal(together[name], expected, err_msg=name)
    expected = {"residual.3": rows[:, 0], "residual.0": rows[:, 1], "mlp_hidden.3": hidden[:, 0]}
    assert together.keys() == labels.keys() | expected.keys() | {"document"}
    assert index["tensors"].keys() == expected.keys()
    for name, values in expected.items():
        tensor = together[name]
        assert tensor.dtype == (torch.bfloat16 if is_half else torch.float32)
        np.testing.assert_array_equal(tensor.float(), expected_of(stored, values), err_msg=name)
    sizes = sum(of.numel() * of.element_size() for of in together.values())
    assert index["metadata"]["total_size"] == sizes and index["metadata"]["rows"] == len(TOKENS)
    assert written.notes == ["layer 0: without mlp_hidden: no tensor mlp_hidden.0"]
    with safe_open(tmp_path / "out" / files[0], "np") as file:
        assert file.metadata()["model_name"] == "sample_model"


def test_the_command_takes_sites_and_layers(
    stored: actsweep.Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["export", "safetensors", str(stored.path), str(out)]
    assert main([*arguments, "--sites", "residual", "--layers", "3", "--shard-bytes", "1"]) == 0
    assert capsys.readouterr().out == f"{out}: 1 tensors of 9 rows in 9 shards\n"
    assert main(arguments) == 6
    assert "expected an empty folder for the shards, found" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["safetensors", "--layers", "1"], "no activations of layer 1 in /store; stored: 3, 0"),
        (["safetensors", "--sites", "key"], "no activations of 'key' in /store"),
        (["safetensors", "--sites", "mlp_hidden", "--layers", "0"], "layer 0: without mlp_hidden"),
        (["imatrix", "--layers", "1"], "--layers: is of export safetensors, found export imatrix"),
    ],
)
def test_what_is_not_there_is_refused(
    options: list[str], words: str, stored: actsweep.Sweep, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = tmp_path / "out"
    assert main(["export", options[0], str(stored.path), str(out), *options[1:]]) == 2
    assert words in capsys.readouterr().err
    assert not out.exists()


def test_two_files_differ_by_layer(
    stored: actsweep.Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also of bfloat16: by numbers, not by their bits; a layer without the site equals itself."""
    other = tmp_path / "other.h5"
    shutil.copy(stored.path, other)
    with h5py.File(other, "a") as file:
        dataset = file["store/residual"]
        is_half = "bits_of" in dataset.attrs
        values = stored.store("residual").values
        step = 2.0**-7 if is_half else 2.0**-23
        place = (4, 1, 3)
        changed = np.float32(values[place] * (1 + step))
        dataset[place] = changed.astype(ml_dtypes.bfloat16).view(np.uint16) if is_half else changed
        gap = abs(float(stored_as(changed, is_half)) - float(values[place]))
    assert main(["compare", str(stored.path), str(other)]) == 1
    assert f"store/residual: {gap:.3g}, EXCEEDS" in capsys.readouterr().out
    relative = gap / np.abs(values[:, 1]).max()
    assert main(["compare", str(stored.path), str(other), "--tolerance", str(relative * 1.01)]) == 0
    assert main(["compare", str(stored.path), str(other), "--tolerance", str(relative * 0.99)]) == 1


def stored_as(value: np.ndarray, is_half: bool) -> np.ndarray:
    return value.astype(ml_dtypes.bfloat16) if is_half else value


def test_the_summary_names_the_store(
    stored: actsweep.Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", str(stored.path)]) == 0
    assert "store      9 tokens at residual, mlp_hidden\n" in capsys.readouterr().out


def test_a_store_without_rows_has_nothing_to_export(sample: Sample, tmp_path: Path) -> None:
    nothing = {"residual": np.zeros((0, 2, CHANNELS), np.float32)}
    path = write_store(tmp_path / "sweep.h5", sample, nothing, TOKENS[:0])
    with actsweep.open(path) as sweep:
        assert sweep.store("residual").shape == (0, 2, CHANNELS)
        with pytest.raises(ValueError, match="nothing to export: no row is stored"):
            export_activations(sweep, tmp_path / "out")


def test_a_table_says_what_lies_in_the_store(
    stored: actsweep.Sweep, rows: np.ndarray, hidden: np.ndarray
) -> None:
    """A layer of which nothing is stored has no row."""
    frame = stored_rows(stored).set_index(["site", "layer"])
    assert list(frame.index) == [("residual", 3), ("residual", 0), ("mlp_hidden", 3)]
    assert (frame["rows"] == len(TOKENS)).all()
    dtype = stored.stored_group()["residual"].dtype
    assert set(frame["type"]) == {"float32" if dtype == np.float32 else "bfloat16"}
    for (site, layer), found in frame.iterrows():
        place = STORED_LAYERS.index(layer)
        values = expected_of(stored, {"residual": rows, "mlp_hidden": hidden}[site])[:, place]
        values = values.astype(np.float64)
        norms = np.linalg.norm(values, axis=1)
        assert found["channels"] == values.shape[1]
        np.testing.assert_allclose(found["median norm"], np.median(norms))
        np.testing.assert_allclose(found["largest magnitude"], np.abs(values).max())
        share = np.median(np.abs(values).max(axis=1) ** 2 / norms**2)
        np.testing.assert_allclose(found["share of the largest channel"], share)


def test_of_many_rows_a_part_is_read(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actsweep.results.stored_rows.ROWS_READ", 3)
    values = np.zeros((len(TOKENS), 2, CHANNELS), np.float32)
    values[[0, 4, 8], :, 1] = 2  # those that are read
    values[[1, 7], :, 2] = 9
    with actsweep.open(write_store(tmp_path / "sweep.h5", sample, {"residual": values})) as sweep:
        frame = stored_rows(sweep)
    assert list(frame["largest magnitude"]) == [2, 2] and list(frame["rows"]) == [9, 9]
    assert list(frame["share of the largest channel"]) == [1, 1]
