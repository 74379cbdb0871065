"""Memory and rate of data/prepare_corpus.py by the format of the corpus.

Writes the same generated documents in each format. Memory is the largest sum of private memory of the program's
processes over a whole corpus, of which it takes a sample (all is read). Rate is that of a smaller corpus behind its
first megabytes, in which the program and its workers start, over the rate of the tokenizers package alone on the
same texts with as many threads, in the same round. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from pyarrow import ipc
from tokenizers import Tokenizer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support.private_memory import peak_of  # noqa: E402

DATA = Path(__file__).resolve().parents[2] / "data"
FORMATS = ("JSON lines, zstd", "Parquet", "Arrow stream")
WORDS = " ".join(topics.values()).split(" ")
SCHEMA = pa.schema([("text", pa.string())])
TEXTS_AT_ONCE = 1000
START_MB = 8  # by which every worker has begun


def batches(bytes_wanted: int) -> Iterator[list[str]]:
    """Documents of about 3 KB, in batches."""
    chosen = random.Random(1)
    written = 0
    while written < bytes_wanted:
        texts = [" ".join(chosen.choices(WORDS, k=500)) for _ in range(TEXTS_AT_ONCE)]
        written += sum(len(text.encode()) for text in texts)
        yield texts


def write(name: str, path: Path, bytes_wanted: int) -> None:
    if name == "JSON lines, zstd":
        with zstandard.open(path, "wt", encoding="utf-8") as file:
            for texts in batches(bytes_wanted):
                file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    elif name == "Parquet":
        with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
            rows: list[str] = []
            for texts in batches(bytes_wanted):
                rows += texts
                if len(rows) >= 50_000:  # a row group of 150 MB
                    writer.write_table(pa.table({"text": rows}, SCHEMA))
                    rows = []
            writer.write_table(pa.table({"text": rows}, SCHEMA))
    else:
        with ipc.new_stream(path, SCHEMA) as writer:
            for texts in batches(bytes_wanted):
                writer.write_batch(pa.record_batch({"text": texts}, SCHEMA))


def prepared(options: argparse.Namespace, *arguments: object) -> tuple[int, float]:
    """The peak of private memory, and seconds."""
    command = [sys.executable, DATA / "prepare_corpus.py", "--tokenizer", options.tokenizer]
    begin = time.monotonic()
    peak = peak_of([*command, "--jobs", options.jobs, *arguments])
    return peak, time.monotonic() - begin


def tokenizer_alone_s(options: argparse.Namespace) -> float:
    """For what stands behind the start."""
    tokenizer = Tokenizer.from_file(str(options.tokenizer / "tokenizer.json"))
    spent, done = 0.0, 0
    for texts in batches(options.rate_mb << 20):
        begin = time.monotonic()
        tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        spent += (time.monotonic() - begin) * (done >= START_MB << 20)
        done += sum(len(text.encode()) for text in texts)
    return spent


def ratio(options: argparse.Namespace, path: Path, first: Path, output: Path) -> float:
    """Of rates behind the start."""
    _, start_s = prepared(options, "--output", output, first)
    _, whole_s = prepared(options, "--output", output, path)
    return tokenizer_alone_s(options) / (whole_s - start_s)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--memory-mb", type=int, default=1500)
    parser.add_argument("--rate-mb", type=int, default=60)
    parser.add_argument("--sample", type=float, default=0.02)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    return parser.parse_args()


def main() -> None:
    options = arguments()
    os.environ["RAYON_NUM_THREADS"] = str(options.jobs)
    print("| format | memory of the corpus | private memory | rate over the tokenizer's alone |\n|---|---|---|---|")
    for name in FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            large, small, first = (Path(folder) / part for part in ("large", "small", "first"))
            for path, size in ((large, options.memory_mb), (small, options.rate_mb), (first, START_MB)):
                write(name, path, size << 20)
            output = Path(folder) / "out.h5"
            peak, _ = prepared(options, "--output", output, "--sample", options.sample, large)
            ratios = [ratio(options, small, first, output) for _ in range(options.rounds)]
            stored = large.stat().st_size
        print(
            f"| {name} | {stored / 1e9:.2f} GB | {peak / (1 << 20):,.0f} MiB |"
            f" {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
