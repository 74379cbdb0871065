"""Stored activations of a sweep file: read as float32 when they are indexed, and no sooner.

In: the group `/store`. Out: lazy arrays [row, stored_layer, channel], with the token of each row.
Refuses (ValueError) a site that is not stored.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

# Beside the sites.
COLUMNS = ("token", "stored_layer")
BITS_OF = "bits_of"  # the attribute of numbers whose bits are stored


def widened(bits: np.ndarray) -> np.ndarray:
    """float32 of the uint16 bits of bfloat16, in their shape."""
    return (np.asarray(bits, dtype=np.uint32) << 16).view(np.float32)


class WidenedBits(BackendArray):
    """The bits of bfloat16 numbers, a lazy uint16 array, as float32: exactly the same numbers."""

    def __init__(self, bits: xr.Variable) -> None:
        self._bits = bits
        self.shape = bits.shape
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._widen
        )

    def _widen(self, key: tuple) -> np.ndarray:
        return widened(self._bits[key].values)


def stored_sites(group: xr.Dataset) -> list[str]:
    """The sites of `/store`."""
    return [str(name) for name in group.variables if name not in COLUMNS]


def stored_bits(group: xr.Dataset, site: str, path: Path) -> xr.Variable:
    """The site's dataset as it is stored: float32, or uint16 of bfloat16's bits."""
    if site not in stored_sites(group):
        found = ", ".join(stored_sites(group))
        raise ValueError(f"{path}: no activations of '{site}' in /store; stored: {found}")
    return group[site].variable


def stored_activations(group: xr.Dataset, site: str, path: Path) -> xr.DataArray:
    """[row, stored_layer, channel] float32; coordinates: the rows' tokens, the layers."""
    values = stored_bits(group, site, path)
    if BITS_OF in values.attrs:
        attributes = {name: value for name, value in values.attrs.items() if name != BITS_OF}
        widened = indexing.LazilyIndexedArray(WidenedBits(values))
        values = xr.Variable(values.dims, widened, attributes)
    coordinates = {
        name: group[name].variable for name in COLUMNS if group[name].dims[0] in values.dims
    }
    return xr.DataArray(values, coordinates, name=site)
