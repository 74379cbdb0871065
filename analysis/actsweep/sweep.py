"""Sweep files, opened lazily and checked first.

In: the path of a finished sweep file. Out: a `Sweep`, whose groups are xarray datasets that read
what is indexed and no more. Refuses, with a ValueError that names the file and what was found, a
file that is not HDF5, not of this schema or version, not complete, or without what every file has.
"""

from __future__ import annotations

import functools
import json
import os
import re
import resource
import tomllib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from .findings import Criterion
from .moments import IMAGE_CLASSES, TOKEN_CLASSES
from .store import stored_activations, stored_sites
from .vocabulary import Vocabulary, token_text

SCHEMA = "actsweep"
SCHEMA_VERSION = 1
SITES = (
    "residual", "attention_input", "q_latent", "kv_latent", "query", "key", "value", "attention_heads",
    "attention_output", "state_output", "mlp_input", "gate", "up", "mlp_hidden", "mlp_output", "final_norm",
)  # fmt: skip
SITES_KEY = "[statistics] sites"
# The job key that brings each group of a file.
KEYS = {
    **{site: f'{SITES_KEY} = ["{site}"]' for site in SITES},
    "massive": f'{SITES_KEY} = ["residual"]',
    "massive_corpus": f'{SITES_KEY} = ["residual"]',
    "super_weights": f'{SITES_KEY} = ["mlp_hidden", "mlp_output"]',
    "loss": "[statistics] loss = true",
    "attention": '[statistics] attention = ["position:0", …]',
    "attention_received": "[statistics] attention_received = true",
    "scores": "[statistics] score_extrema = true",
    "value_update": "[statistics] value_updates = true",
    "qk": "[statistics] query_key = true",
    "geometry": "[statistics] geometry = true",
    "lifecycle": "[statistics] lifecycle = true",
    "experts": "[statistics] experts = true",
    "requests": "a corpus of data/prepare_choices.py and [statistics] loss = true",
    "classification": '[statistics] classifier = "checkpoint", and images with labels',
    "variants": "[[intervention]] with a variant",
    "interventions": "[[intervention]]",
    "store": '[store] sites = ["residual", …]',
    "capture": '[capture] prompts = ["NAME"]',
}
# What every finished file says of itself.
ATTRIBUTES = (
    "created", "software_version", "git_commit", "job", "model_family", "model_name",
    "model_fingerprint", "corpus_fingerprint", "num_layers", "hidden_size", "dtype",
    "residual_dtype", "model_group_size",
)  # fmt: skip
GROUPS = ("tokens", "sequences", "vocabulary")


class Sweep:
    """One sweep file. Use `actsweep.open`; close it, or use it in a `with` statement."""

    def __init__(self, path: Path, tree: xr.DataTree, attributes: dict[str, Any]) -> None:
        self.path = path
        self.tree = tree
        self.attributes = attributes

    def __enter__(self) -> Sweep:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        groups = " ".join(self.tree.children)
        return f"<actsweep.Sweep {self.path} of {self.attributes.get('model_name')}: {groups}>"

    def close(self) -> None:
        """Closes the file; what was read stays."""
        self.tree.close()

    @property
    def residual(self) -> xr.Dataset:
        """Statistics of the residual stream."""
        return self.site("residual")

    def site(self, name: str) -> xr.Dataset:
        """Statistics of one site, with the `magnitude_bin` coordinate."""
        return self._group(name).to_dataset()

    @property
    def sites(self) -> list[str]:
        """The sites that were measured, in the order of the forward pass."""
        return [name for name in SITES if name in self.tree.children]

    def has(self, path: str) -> bool:
        """Whether the file holds a group, or a dataset of one: "attention", "loss/token_nll"."""
        group, _, dataset = path.partition("/")
        node = self.tree.children.get(group)
        return node is not None and (not dataset or dataset in node.variables)

    def group(self, name: str) -> xr.Dataset:
        """Any group: "attention", "value_update", "qk", "experts", "variants", …"""
        return self._group(name).to_dataset()

    @property
    def tokens(self) -> xr.Dataset:
        """Columns along `token`: id, position, sequence, document, class."""
        return self._group("tokens").to_dataset(inherit=False)

    @property
    def sequences(self) -> xr.Dataset:
        """Columns along `sequence`."""
        return self._group("sequences").to_dataset(inherit=False)

    @property
    def massive(self) -> xr.Dataset:
        """One row per massive activation, along `event`; `text` is the decoded token."""
        group = self._group("massive").to_dataset(inherit=False)
        # Beside the axis of events_left_out, xarray takes the column `layer` for a coordinate.
        table = group.drop_vars("events_left_out").reset_coords()
        return table.assign(text=token_text(self.vocabulary, table["token_id"]))

    @property
    def events_left_out(self) -> xr.DataArray:
        """[layer]: massive activations that the job's `max_events` left out of the table."""
        values = self._group("massive")["events_left_out"].variable
        return xr.DataArray(values, name="events_left_out")

    @property
    def perplexity(self) -> float | None:
        """Over all tokens with a target; None where the job did not ask for the loss."""
        loss = self.tree["loss"].to_dataset() if "loss" in self.tree.children else {}
        # A job that keeps no rows per token has it beside the sum.
        for name in ("token_nll", "nll_sum"):
            if name in loss and "perplexity" in loss[name].attrs:
                return float(_python_value(loss[name].attrs["perplexity"]))
        return None

    @property
    def prompts(self) -> list[str]:
        """The names of the captured prompts."""
        return sorted(self.tree["capture"].children) if "capture" in self.tree.children else []

    def capture(self, prompt: str) -> xr.Dataset:
        """`id` [token] and `residual` [layer, token, channel] of one captured prompt."""
        if prompt not in self.prompts:
            names = ", ".join(self.prompts) or "none"
            raise ValueError(f"{self.path}: no captured prompt '{prompt}'; captured: {names}")
        return self.tree["capture"].children[prompt].to_dataset(inherit=False)

    def captured(self, site: str) -> list[str]:
        """The captured prompts of which the file holds the activations at a site."""
        return [prompt for prompt in self.prompts if site in self.capture(prompt)]

    @property
    def stored(self) -> list[str]:
        """The sites whose activations of the corpus' tokens are stored, as `sites`."""
        found = stored_sites(self.stored_group()) if self.has("store") else []
        return [name for name in SITES if name in found]

    def store(self, site: str) -> xr.DataArray:
        """Stored activations [row, stored_layer, channel] float32, read when they are indexed.

        Coordinates: `token` [row], the number of each row's token; `stored_layer`, the layers.
        """
        return stored_activations(self.stored_group(), site, self.path)

    def stored_group(self) -> xr.Dataset:
        """The group `/store` as it lies in the file: of bfloat16 the bits."""
        return self._group("store").to_dataset(inherit=False)

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        """The bytes of each token id, read once."""
        group = self._group("vocabulary")
        return Vocabulary(group["bytes"].values, group["offset"].values)

    def decode(self, ids: ArrayLike) -> str:
        """The text of a run of token ids [n]; bytes that are no UTF-8 as ⟨0xNN⟩."""
        return self.vocabulary.decode(ids)

    def decode_each(self, ids: ArrayLike) -> np.ndarray:
        """The text of each token id by itself, in the shape of `ids`."""
        return self.vocabulary.decode_each(ids)

    @functools.cached_property
    def job(self) -> dict[str, Any]:
        """The job that made the file, from its root attribute."""
        try:
            return tomllib.loads(self.attributes["job"])
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{self.path}: root attribute job is not TOML: {error}") from error

    @property
    def is_text(self) -> bool:
        """Whether the tokens are those of text, not of images."""
        return self.attributes.get("corpus_kind", "text") == "text"

    @property
    def starts_with_bos(self) -> bool:
        """Whether a BOS stands at position 0 of each window."""
        return self.job.get("corpus", {}).get("bos") == "each_window"

    def class_names(self, classes: ArrayLike) -> list[str]:
        """The names of token classes [n]."""
        names = TOKEN_CLASSES if self.is_text else IMAGE_CLASSES
        return [names[one] for one in np.asarray(classes, dtype=np.int64)]

    def names(self, attribute: str) -> list[str]:
        """The names along an axis, from a JSON list at the root: "key_sets", "variants"."""
        return list(json.loads(self.attributes.get(attribute, "[]")))

    @property
    def criterion(self) -> Criterion:
        """The criterion for massive activations that the job used."""
        statistics = self.job["statistics"]
        return Criterion(
            magnitude=float(statistics["criterion_magnitude"]),
            ratio=float(statistics["criterion_ratio"]),
        )

    def _group(self, name: str) -> xr.DataTree:
        if name not in self.tree.children:
            found = ", ".join(self.tree.children)
            key = f"; the job key {KEYS[name]} brings it" if name in KEYS else ""
            raise ValueError(f"{self.path}: no group '/{name}'{key}; found: {found}")
        return self.tree.children[name]


def open_sweep(path: str | os.PathLike[str]) -> Sweep:
    """Opens a finished sweep file without reading its datasets."""
    path = Path(path)
    attributes = _read_attributes(path)
    _check_attributes(path, attributes)
    _check_linked_files(path, attributes)
    # Without a cache, a layer that was read is not kept: files may be larger than memory.
    tree = xr.open_datatree(path, engine="h5netcdf", cache=False, decode_cf=False)
    return Sweep(path, tree, attributes)


def _read_attributes(path: Path) -> dict[str, Any]:
    """The root attributes as Python values."""
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise ValueError(f"{path}: expected a sweep file, found {found}")
    try:
        with h5py.File(path, "r") as file:
            missing = [name for name in GROUPS if name not in file]
            attributes = {name: _python_value(value) for name, value in file.attrs.items()}
    except OSError as error:
        raise ValueError(f"{path}: expected an HDF5 file, found {_fault(path, error)}") from error
    if attributes.get("complete") == 1 and missing:
        raise ValueError(f"{path}: expected a group '/{missing[0]}', found none")
    return attributes


def _check_linked_files(path: Path, attributes: dict[str, Any]) -> None:
    """Where a file with rows is missing, HDF5 would read fill values without a word."""
    files = json.loads(attributes.get("linked_files", "{}"))
    for name, size in files.items():
        file = path.resolve().parent / name
        found = f"{file.stat().st_size} bytes" if file.is_file() else "no such file"
        if found != f"{size} bytes":
            raise ValueError(
                f"{path}: its rows lie in other files; {file}: expected {size} bytes, found {found}"
            )
    _open_so_many(len(files))


def _open_so_many(files: int) -> None:
    """HDF5 keeps all files open from which it reads."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files + 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def _fault(path: Path, error: OSError) -> str:
    """Why HDF5 could not open a file, in plain words."""
    if cut := re.search(r"truncated file: eof = (\d+),.* stored_eof = (\d+)", str(error)):
        return f"the first {int(cut[1]):,} bytes of one of {int(cut[2]):,}: it is truncated"
    if error.errno:
        return f"a file that cannot be opened: {os.strerror(error.errno)}"
    if not path.stat().st_size:
        return "an empty file"
    if "signature not found" in str(error):
        return "another kind of file"
    return f"one that HDF5 cannot open: {error}"


def _python_value(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(())[()]
    if isinstance(value, bytes):
        return value.decode("utf-8")
    return value.item() if isinstance(value, np.generic) else value


def _check_attributes(path: Path, attributes: dict[str, Any]) -> None:
    expected = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, "complete": 1}
    for name, value in expected.items():
        found = attributes.get(name)
        if found != value:
            what = "no such attribute" if found is None else repr(found)
            hint = "; the sweep has not finished" if name == "complete" else ""
            raise ValueError(
                f"{path}: expected root attribute {name} = {value!r}, found {what}{hint}"
            )
    for name in ATTRIBUTES:
        if name not in attributes:
            raise ValueError(f"{path}: expected root attribute {name}, found no such attribute")
