"""Corpora of several GB are read within a few hundred MiB, whatever their format."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import small_tokenizers as small
import zstandard

from preparing import DATA, ENGLISH
from support.private_memory import peak_of

pytestmark = pytest.mark.slow

GIB = 1 << 30
CORPUS_BYTES = 3 * GIB
TEXTS = [ENGLISH[begin : begin + 3000] for begin in range(0, len(ENGLISH) - 3000, 3000)] * 40


def json_lines(path: Path) -> int:
    """Many zstd files, one behind the other; the number of documents."""
    lines = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS).encode()
    member = zstandard.compress(lines)
    times = -(-CORPUS_BYTES // len(lines))
    with path.open("wb") as file:
        for _ in range(times):
            file.write(member)
    return times * len(TEXTS)


def parquet(path: Path) -> int:
    table = pa.table({"text": TEXTS})
    times = -(-CORPUS_BYTES // sum(map(len, TEXTS)))
    with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for _ in range(times):
            writer.write_table(table)
    return times * len(TEXTS)


@pytest.mark.parametrize("write", [json_lines, parquet])
def test_3_gib_are_read_in_less_than_one(write: Callable[[Path], int], tmp_path: Path) -> None:
    model = small.save(small.byte_level(), tmp_path / "model")
    documents = write(tmp_path / "corpus")
    output = tmp_path / "out.h5"
    options = ["--tokenizer", model, "--jobs", 2, "--sample", 0.01, "--output", output]
    peak = peak_of([sys.executable, DATA / "prepare_corpus.py", *options, tmp_path / "corpus"])
    assert peak < GIB // 2  # of all processes together
    with h5py.File(output) as file:
        (source,) = json.loads(file.attrs["sources"])
        assert source["bytes"] == (tmp_path / "corpus").stat().st_size  # all of it was read
        assert 0.005 * documents < file.attrs["num_documents"] < 0.02 * documents
