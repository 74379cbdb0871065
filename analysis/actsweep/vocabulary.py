"""Token ids to text, by the bytes that a sweep file carries.

In: `/vocabulary/bytes` and `/vocabulary/offset`. Out: text, with bytes that are no UTF-8 shown as
⟨0xNN⟩: a token may hold part of a character only. Refuses ids beyond the vocabulary.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from xarray.backends import BackendArray
from xarray.core import indexing


def escape_invalid_utf8(raw: bytes) -> str:
    """The text of `raw`, each byte that is no UTF-8 as ⟨0xNN⟩."""
    pieces: list[str] = []
    while raw:
        try:
            pieces.append(raw.decode("utf-8"))
            break
        except UnicodeDecodeError as error:
            pieces.append(raw[: error.start].decode("utf-8"))
            pieces.extend(f"⟨0x{byte:02X}⟩" for byte in raw[error.start : error.end])
            raw = raw[error.end :]
    return "".join(pieces)


class Vocabulary:
    """The bytes of each token id: id i holds bytes [offset[i], offset[i + 1])."""

    def __init__(self, raw: np.ndarray, offset: np.ndarray) -> None:
        """`raw`: [bytes] uint8, `offset`: [V + 1] uint64."""
        self._raw = raw.tobytes()
        self._offset = offset.astype(np.int64)

    def __len__(self) -> int:
        return len(self._offset) - 1

    def decode(self, ids: ArrayLike) -> str:
        """The text of a run of ids [n]: their bytes are joined, so split characters are whole."""
        return escape_invalid_utf8(b"".join(self._bytes_of(token) for token in self._checked(ids)))

    def decode_each(self, ids: ArrayLike) -> np.ndarray:
        """The text of each id by itself: an array of str (dtype object) in the shape of `ids`."""
        ids = self._checked(ids)
        distinct, place = np.unique(ids, return_inverse=True)
        texts = np.empty(len(distinct), dtype=object)
        for index, token in enumerate(distinct):
            texts[index] = escape_invalid_utf8(self._bytes_of(token))
        return np.take(texts, place.reshape(-1)).reshape(ids.shape)

    def _bytes_of(self, token: int) -> bytes:
        return self._raw[self._offset[token] : self._offset[token + 1]]

    def _checked(self, ids: ArrayLike) -> np.ndarray:
        ids = np.asarray(ids, dtype=np.int64)
        beyond = ids[(ids < 0) | (ids >= len(self))]
        if beyond.size:
            raise ValueError(f"token id {beyond.flat[0]} is outside the vocabulary of {len(self)}")
        return ids


class TokenText(BackendArray):
    """The text of a lazy column of token ids: decodes what is indexed, when it is read."""

    def __init__(self, vocabulary: Vocabulary, token_id: xr.Variable) -> None:
        self._vocabulary = vocabulary
        self._token_id = token_id
        self.shape = token_id.shape
        self.dtype = np.dtype(object)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._decode
        )

    def _decode(self, key: tuple) -> np.ndarray:
        return self._vocabulary.decode_each(self._token_id[key].values)


def token_text(vocabulary: Vocabulary, token_id: xr.DataArray) -> xr.Variable:
    """A lazy column of decoded text beside a lazy column of token ids."""
    texts = indexing.LazilyIndexedArray(TokenText(vocabulary, token_id.variable))
    return xr.Variable(token_id.dims, texts, {"long_name": "decoded token"})
