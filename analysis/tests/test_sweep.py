"""Opening, reading, decoding and refusing sweep files."""

from __future__ import annotations

import shutil
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
from sample_sweep import Sample, add_dataset, add_scale, attach, bin_edges, events_of, write_sweep

import actsweep
from actsweep.results import location
from actsweep.vocabulary import escape_invalid_utf8


def test_every_column_equals_what_h5py_reads(sweep: actsweep.Sweep, sweep_path: Path) -> None:
    read = {
        "residual": sweep.residual,
        "tokens": sweep.tokens,
        "sequences": sweep.sequences,
        "massive": sweep.massive,
        "capture/summer": sweep.capture("summer"),
    }
    with h5py.File(sweep_path) as file:
        for group, dataset in read.items():
            columns = [name for name in file[group] if not file[group][name].is_scale]
            assert columns
            for name in columns:
                if name != "events_left_out":
                    np.testing.assert_array_equal(dataset[name].values, file[group][name][()])


def test_axes_have_their_names(sweep: actsweep.Sweep) -> None:
    assert sweep.residual["token_top_value"].dims == ("layer", "token", "order")
    assert sweep.residual["class_sum"].dims == ("layer", "class", "channel")
    assert sweep.residual["magnitude_histogram"].dims == ("layer", "magnitude_bin")
    np.testing.assert_array_equal(sweep.residual["magnitude_bin"], bin_edges())
    capture = sweep.capture("summer")
    assert capture["residual"].dims == ("layer", "token", "channel")
    assert capture.sizes["token"] == 8 != sweep.tokens.sizes["token"]
    assert {array.dims for array in sweep.massive.data_vars.values()} == {("event",)}


def test_massive_carries_events_with_their_text(sweep: actsweep.Sweep, sample: Sample) -> None:
    events, _ = events_of(sample)
    massive = sweep.massive
    assert massive.sizes["event"] == len(events) == 7
    np.testing.assert_array_equal(massive["layer"], [event["layer"] for event in events])
    raw = [sample.vocabulary[event["token_id"]] for event in events]
    shown = [escape_invalid_utf8(token) for token in raw]
    assert massive["text"].values.tolist() == shown
    assert massive["text"].isel(event=slice(2, 5)).values.tolist() == shown[2:5]
    assert massive["text"].isel(event=[6, 0]).values.tolist() == [shown[6], shown[0]]
    assert massive["text"][1].item() == shown[1]


def test_events_left_out_are_counted(sample: Sample, tmp_path: Path) -> None:
    strict = Sample(**{**vars(sample), "max_events": 1})
    with actsweep.open(write_sweep(tmp_path / "strict.h5", strict)) as sweep:
        assert sweep.massive.sizes["event"] == 6
        assert sweep.events_left_out.dims == ("layer",)
        assert sweep.events_left_out.values.tolist() == [0, 0, 0, 1, 0]


def test_a_file_without_events_opens(sample: Sample, tmp_path: Path) -> None:
    calm = Sample(**{**vars(sample), "criterion": (1e6, 1000.0)})
    with actsweep.open(write_sweep(tmp_path / "calm.h5", calm)) as sweep:
        assert sweep.massive.sizes["event"] == 0
        assert sweep.massive["text"].values.tolist() == []
        assert sweep.massive["layer"].dtype == np.int64


def test_decode_joins_split_characters(sweep: actsweep.Sweep) -> None:
    assert sweep.decode([0, 1, 2, 3]) == "Summer is warm."
    assert sweep.decode([7, 8]) == "é"
    assert sweep.decode([0, 8, 6]) == "Summer⟨0xA9⟩中"
    assert sweep.decode([]) == ""


def test_decode_each_escapes_halves(sweep: actsweep.Sweep) -> None:
    texts = sweep.decode_each(np.array([[7, 8], [6, 7]]))
    assert texts.tolist() == [["⟨0xC3⟩", "⟨0xA9⟩"], ["中", "⟨0xC3⟩"]]
    assert sweep.decode_each(0).item() == "Summer"


@pytest.mark.parametrize("token", [10, -1])
def test_decode_refuses_ids_beyond_the_vocabulary(sweep: actsweep.Sweep, token: int) -> None:
    with pytest.raises(ValueError, match=f"id {token} is outside the vocabulary of 10"):
        sweep.decode([0, token])


def test_job_and_criterion_come_from_the_file(sweep: actsweep.Sweep) -> None:
    assert sweep.job["model"]["path"] == "models/sample"
    assert sweep.criterion == actsweep.Criterion(magnitude=100.0, ratio=1000.0)
    assert sweep.attributes["num_layers"] == 4


@pytest.mark.parametrize("name", ["token_nll", "nll_sum"])
def test_perplexity_is_read_where_the_loss_is(
    sweep: actsweep.Sweep, sweep_path: Path, tmp_path: Path, name: str
) -> None:
    assert sweep.perplexity is None
    path = Path(shutil.copy(sweep_path, tmp_path / "loss.h5"))
    with h5py.File(path, "r+") as file:
        group = file.create_group("loss")
        group["nll_sum"] = 3.5
        if name == "token_nll":
            add_dataset(group, name, np.zeros(36, "<f4"), {"token": file["token"]})
        group[name].attrs["perplexity"] = 12.25
    with actsweep.open(path) as opened:
        assert opened.perplexity == 12.25


def test_unknown_names_are_refused_with_those_found(sweep: actsweep.Sweep) -> None:
    assert sweep.prompts == ["quiet", "summer"]
    with pytest.raises(ValueError, match="sample.h5: no captured prompt 'fall'; captured: quiet"):
        sweep.capture("fall")
    key = r"the job key \[statistics\] sites = \[\"mlp_hidden\"\] brings it"
    with pytest.raises(
        ValueError, match=f"sample.h5: no group '/mlp_hidden'; {key}; found: .*residual"
    ):
        sweep.site("mlp_hidden")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("schema", "something", "schema = 'actsweep', found 'something'"),
        ("schema", None, "schema = 'actsweep', found no such attribute"),
        ("schema_version", 2, "schema_version = 1, found 2"),
        ("complete", None, "complete = 1, found no such attribute; the sweep has not finished"),
        ("complete", 0, "complete = 1, found 0; the sweep has not finished"),
    ],
)
def test_other_files_are_refused(
    sweep_path: Path, tmp_path: Path, name: str, value: object, message: str
) -> None:
    path = Path(shutil.copy(sweep_path, tmp_path / "other.h5"))
    with h5py.File(path, "r+") as file:
        del file.attrs[name]
        if value is not None:
            file.attrs[name] = value
    with pytest.raises(ValueError, match="other.h5: expected root attribute " + message):
        actsweep.open(path)


def test_attributes_of_other_writers_are_read(sweep_path: Path, tmp_path: Path) -> None:
    """Fixed-length strings and arrays of one element, as C programs write them."""
    path = Path(shutil.copy(sweep_path, tmp_path / "fixed.h5"))
    with h5py.File(path, "r+") as file:
        file.attrs["schema"] = np.bytes_("actsweep")
        file.attrs["complete"] = np.array([1], np.int64)
    with actsweep.open(path) as sweep:
        assert sweep.attributes["schema"] == "actsweep"


def test_what_is_no_hdf5_file_is_refused(sweep_path: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="absent.h5: expected a sweep file, found no such file"):
        actsweep.open(tmp_path / "absent.h5")
    text = tmp_path / "text.h5"
    text.write_text("no HDF5")
    with pytest.raises(ValueError, match="text.h5: expected an HDF5 file"):
        actsweep.open(text)
    cut = tmp_path / "cut.h5"
    cut.write_bytes(sweep_path.read_bytes()[:20_000])
    with pytest.raises(ValueError, match="cut.h5: expected an HDF5 file"):
        actsweep.open(cut)


def test_large_files_are_read_layer_by_layer(tmp_path: Path) -> None:
    """A capture of 168 MiB, never written (zeros): at most a few layers of it are held."""
    layers, tokens, channels = 21, 128, 16384
    small = np.ones((layers, 1, 2, channels), np.float32)
    labels = np.zeros((1, 2))
    sample = Sample(small, labels.astype(np.uint32), labels.astype(np.uint8), [b"a"])
    path = write_sweep(tmp_path / "large.h5", sample)
    with h5py.File(path, "r+") as file:
        group = file.create_group("capture/large")
        token = add_scale(group, "token", tokens)
        add_dataset(group, "id", np.zeros(tokens, "<u4"), {"token": token})
        shape, chunks = (layers, tokens, channels), (1, tokens, channels)
        states = group.create_dataset("residual", shape=shape, dtype="<f4", chunks=chunks)
        attach(states, {"layer": file["layer"], "prompt": token, "channel": file["channel"]})
    layer_bytes = tokens * channels * 4
    with actsweep.open(path) as sweep:
        assert sweep.capture("large")["residual"].nbytes == layers * layer_bytes
        tracemalloc.start()
        actsweep.magnitude_3d(sweep, "large")
        assert layer_bytes < tracemalloc.get_traced_memory()[1] < 7 * layer_bytes
        tracemalloc.reset_peak()
        start = tracemalloc.get_traced_memory()[0]
        mean = actsweep.class_mean(sweep.residual.isel(layer=3))
        assert tracemalloc.get_traced_memory()[1] - start < sweep.residual["class_sum"].nbytes / 2
        tracemalloc.stop()
        np.testing.assert_array_equal(mean.sel({"class": "position 0"}), np.ones(channels))


def test_existence_reads_the_rows_of_one_layer(sample: Sample, tmp_path: Path) -> None:
    """Rows of 4 Mi tokens, never written (zeros): those of one layer are held, and not of more."""
    path = write_sweep(tmp_path / "long.h5", sample)
    tokens = 1 << 22
    with h5py.File(path, "r+") as file:
        long = {"layer": file["layer"], "long": add_scale(file, "long", tokens)}
        for name in ("token_median_magnitude", "token_norm"):
            del file["residual"][name]
            rows = file["residual"].create_dataset(
                name, shape=(5, tokens), dtype="<f4", chunks=(1, 1 << 16)
            )
            attach(rows, long)
    with actsweep.open(path) as sweep:
        tracemalloc.start()
        location.existence(sweep, location.layer_curves(sweep))
        assert 4 * tokens < tracemalloc.get_traced_memory()[1] < 2 * 4 * tokens
        tracemalloc.stop()
