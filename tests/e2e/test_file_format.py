"""A sweep file is what docs/output-format.md promises, seen by other people's readers.

`make_sample_sweep` (tests/unit/output) writes a finished file of known values; h5py, xarray with
h5netcdf, ncdump and h5diff read it. ACTSWEEP_BUILD names the build folder (default: build).
"""

import os
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from support.watching import run

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("ACTSWEEP_BUILD", ROOT / "build"))
PROGRAM = BUILD / "tests" / "unit" / "output" / "make_sample_sweep"
SCALE_WITHOUT_VALUES = b"This is a netCDF dimension but not a netCDF variable."
WINDOW = 16


def make_sweep(folder: Path, ranks: int, *arguments: str) -> Path:
    """Runs make_sample_sweep on some ranks; gives the path of its file."""
    environment = dict(
        os.environ,
        OMPI_ALLOW_RUN_AS_ROOT="1",
        OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
        OMP_NUM_THREADS="1",
    )
    command = ["mpirun", "--oversubscribe", "-n", str(ranks), str(PROGRAM), str(folder)]
    result = run([*command, *arguments], [folder], env=environment)
    assert result.returncode == 0, result.stderr
    return folder / "sample.h5"


# Arguments of make_sample_sweep: rows for all tokens, for those with events, for none; fewer tokens
# than a chunk; no event at all; rows that lie in the segments.
SWEEPS = {
    "all": ("all",),
    "massive": ("massive",),
    "none": ("none",),
    "one-window": ("all", str(WINDOW)),
    "no-events": ("massive", "160", "quiet"),
    "linked": ("all", "1600", "linked"),
}


@pytest.fixture(scope="module", params=SWEEPS, ids=str)
def sweep(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of one sample sweep, written by two ranks."""
    return make_sweep(tmp_path_factory.mktemp(request.param), 2, *SWEEPS[request.param])


def datasets_of(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Path -> dataset, without the scales that have no values."""
    found: dict[str, h5py.Dataset] = {}

    def visit(path: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset):
            if not item.attrs.get("NAME", b"").startswith(SCALE_WITHOUT_VALUES):
                found[path] = item

    file.visititems(visit)
    return found


def test_every_dataset_describes_itself(sweep: Path) -> None:
    with h5py.File(sweep) as file:
        datasets = datasets_of(file)
        assert len(datasets) > 40
        for path, dataset in datasets.items():
            for attribute in ("units", "long_name", "merge"):
                assert isinstance(dataset.attrs[attribute], str) and dataset.attrs[attribute], path
            assert dataset.attrs["merge"] in (
                "rows", "gather", "sum", "max", "min", "of_max", "constant", "derived",
            ), path
            assert dataset.dtype.byteorder in "<=|" and dataset.dtype.kind in "fiu", path


def test_every_axis_has_a_scale_of_its_length(sweep: Path) -> None:
    with h5py.File(sweep) as file:
        for path, dataset in datasets_of(file).items():
            if dataset.is_scale:
                assert path in ("magnitude_bin", "store/stored_layer")
                continue
            for axis, length in enumerate(dataset.shape):
                (scale,) = dataset.dims[axis].values()
                assert scale.shape == (length,), path
                own = {"capture": ("token",), "store": ("row", "stored_layer")}.get(path.split("/")[0], ())
                in_own_group = scale.name.rpartition("/")[2] in own
                group = "/" + path.rpartition("/")[0] + "/" if in_own_group else "/"
                assert scale.name.startswith(group) and "/" not in scale.name[len(group):], path


def test_scales_without_values_take_no_space_and_say_so(sweep: Path) -> None:
    with h5py.File(sweep) as file:
        for name in ("layer", "token", "sequence", "channel", "order", "event", "class"):
            scale = file[name]
            assert scale.attrs["CLASS"] == b"DIMENSION_SCALE"
            assert scale.attrs["NAME"] == SCALE_WITHOUT_VALUES + b"%10d" % scale.shape[0]
            assert scale.id.get_storage_size() == 0
        edges = file["magnitude_bin"][()]
        bits = np.arange(32640, dtype=np.uint32) << 16
        np.testing.assert_array_equal(edges, bits.view(np.float32))


def test_root_attributes_are_those_of_a_finished_file(sweep: Path) -> None:
    with h5py.File(sweep) as file:
        assert file.attrs["schema"] == "actsweep"
        assert file.attrs["schema_version"] == 1
        assert file.attrs["complete"] == 1
        assert file.attrs["num_layers"] == 3
        assert "[statistics]" in file.attrs["job"]


def test_datatree_reads_every_column_as_h5py_does(sweep: Path) -> None:
    with h5py.File(sweep) as file, xr.open_datatree(sweep, engine="h5netcdf") as tree:
        for path, dataset in datasets_of(file).items():
            group, _, name = path.rpartition("/")
            column = tree["/" + group].to_dataset()[name]
            assert column.dtype == dataset.dtype, path
            np.testing.assert_array_equal(column.values, dataset[()], err_msg=path)
            if dataset.is_scale:
                continue
            scales = [next(iter(axis.values())).name.rpartition("/")[2] for axis in dataset.dims]
            assert list(column.dims) == scales, path


def test_groups_open_with_named_axes(sweep: Path) -> None:
    with xr.open_dataset(sweep, engine="h5netcdf", group="residual") as residual:
        assert residual["channel_sum"].dims == ("layer", "channel")
        assert residual["sequence_top_value"].dims == ("layer", "sequence", "order")
        assert residual["class_sum"].dims == ("layer", "class", "channel")
        assert residual["magnitude_histogram"].dims == ("layer", "magnitude_bin")
    with xr.open_dataset(sweep, engine="h5netcdf", group="massive") as massive:
        assert massive["layer"].dims == massive["value"].dims == ("event",)
    with xr.open_dataset(sweep, engine="h5netcdf", group="capture/summer") as capture:
        assert capture["residual"].dims == ("layer", "token", "channel")
        assert capture.sizes["token"] == 7


def test_ncdump_lists_every_dataset(sweep: Path) -> None:
    listing = subprocess.run(
        ["ncdump", "-h", str(sweep)], check=True, capture_output=True, text=True
    ).stdout
    with h5py.File(sweep) as file:
        for path, dataset in datasets_of(file).items():
            assert f" {path.rpartition('/')[2]}" in listing, path
        assert f"token = {file['token'].shape[0]} ;" in listing


def test_token_columns_have_their_values(sweep: Path) -> None:
    with h5py.File(sweep) as file:
        token = np.arange(file["token"].shape[0])
        np.testing.assert_array_equal(file["tokens/position"], token % WINDOW)
        np.testing.assert_array_equal(file["tokens/sequence"], token // WINDOW)
        np.testing.assert_array_equal(file["tokens/document"], token // 1000)
        np.testing.assert_array_equal(file["residual/count"], np.full(4, token.size))
        sequences = file["massive/sequence"][()]
        np.testing.assert_array_equal(sequences, np.arange(sequences.size) // 2)


def test_vocabulary_decodes_ids(sweep: Path) -> None:
    with h5py.File(sweep) as file:
        offset, data = file["vocabulary/offset"][()], file["vocabulary/bytes"][()].tobytes()
        words = [data[begin:end] for begin, end in zip(offset[:-1], offset[1:], strict=True)]
        assert words[7] == b"\n" and words[12] == b" w12"


def test_rows_are_chunked_by_layer_and_compressed(tmp_path: Path) -> None:
    with h5py.File(make_sweep(tmp_path, 1, "all")) as file:
        rows = file["residual/token_top_value"]
        assert rows.shape == (4, 40000, 3)
        assert rows.chunks == (1, 32768, 3)
        assert rows.compression == "gzip" and rows.compression_opts == 1 and rows.shuffle


def test_file_is_the_same_for_any_number_of_ranks(tmp_path: Path) -> None:
    files = [make_sweep(tmp_path / str(ranks), ranks, "all") for ranks in (1, 2, 3, 4)]
    for other in files[1:]:
        difference = subprocess.run(
            ["h5diff", "-v2", str(files[0]), str(other)], capture_output=True, text=True
        )
        assert difference.returncode == 0, difference.stdout
        with h5py.File(files[0]) as one, h5py.File(other) as two:
            assert dict(one.attrs) == dict(two.attrs)
