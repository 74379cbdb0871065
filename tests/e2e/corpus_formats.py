"""The same documents in files of every format, each written by a library that is not ours."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import datasets
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import ipc

from corpus_files import zstd, zstd_stream

datasets.disable_progress_bars()
Texts = Sequence[str]


def rows(texts: Texts) -> list[dict[str, object]]:
    """Records with more than the text."""
    return [{"id": i, "text": text, "meta": {"language": "en"}} for i, text in enumerate(texts)]


def table(texts: Texts) -> pa.Table:
    return pa.Table.from_pylist(rows(texts))


def lines(texts: Texts) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows(texts)).encode()


def members(compress: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Of three members, whose borders are inside records."""
    return lambda content: b"".join(
        compress(part) for part in (content[:70], content[70:75], content[75:])
    )


def json_lines(suffix: str, compress: Callable[[bytes], bytes]) -> Callable[[Path, Texts], Path]:
    def written(folder: Path, texts: Texts) -> Path:
        path = folder / f"a.jsonl{suffix}"
        path.write_bytes(compress(lines(texts)))
        return path

    return written


def json_array(folder: Path, texts: Texts) -> Path:
    (folder / "a.json").write_text(json.dumps(rows(texts), indent=2))
    return folder / "a.json"


def parquet(folder: Path, texts: Texts) -> Path:
    pq.write_table(table(texts), folder / "a.parquet", row_group_size=2, compression="zstd")
    return folder / "a.parquet"


def parquet_of_pandas(folder: Path, texts: Texts) -> Path:
    pandas.DataFrame(rows(texts)).to_parquet(folder / "b.parquet")
    return folder / "b.parquet"


def feather(folder: Path, texts: Texts) -> Path:
    pandas.DataFrame(rows(texts)).to_feather(folder / "a.feather")
    return folder / "a.feather"


def arrow_file(folder: Path, texts: Texts) -> Path:
    content = table(texts)
    with ipc.new_file(folder / "a.arrow", content.schema) as writer:
        writer.write_table(content, max_chunksize=2)
    return folder / "a.arrow"


def arrow_of_dictionaries(folder: Path, texts: Texts) -> Path:
    content = table(texts)
    column = content.column("text").combine_chunks().dictionary_encode()
    content = content.set_column(1, "text", column)
    with ipc.new_stream(folder / "b.arrow", content.schema) as writer:
        writer.write_table(content)
    return folder / "b.arrow"


def saved_dataset(folder: Path, texts: Texts) -> Path:
    datasets.Dataset.from_list(rows(texts)).save_to_disk(folder / "saved", num_shards=2)
    return folder / "saved"


def cached_dataset(folder: Path, texts: Texts) -> Path:
    """The folder of its cache in which `datasets` keeps what it has read."""
    source = folder / "source.jsonl"
    source.write_bytes(lines(texts))
    loaded = datasets.load_dataset("json", data_files=str(source), cache_dir=folder / "cache", split="train")
    return Path(loaded.cache_files[0]["filename"]).parent


def tar_of_records(folder: Path, texts: Texts) -> Path:
    with tarfile.open(folder / "a.tar.gz", "w:gz") as archive:
        add_member(archive, "shard/a.jsonl", lines(texts[:3]))
        add_member(archive, "shard/b.jsonl.zst", zstd(lines(texts[3:])))
    return folder / "a.tar.gz"


def web_dataset(folder: Path, texts: Texts) -> Path:
    """Samples of several members, of which one is the text."""
    with tarfile.open(folder / "web.tar", "w") as archive:
        for i, text in enumerate(texts):
            add_member(archive, f"{i:06d}.json", json.dumps({"url": "x"}).encode())
            add_member(archive, f"{i:06d}.txt", text.encode())
            add_member(archive, f"{i:06d}.jpg", b"\xff\xd8\xff")
    return folder / "web.tar"


def add_member(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def folder_of_texts(folder: Path, texts: Texts) -> Path:
    for i, text in enumerate(texts):
        inner = folder / "texts" / f"{i // 100:03d}"
        inner.mkdir(parents=True, exist_ok=True)
        (inner / f"{i:06d}.txt").write_bytes(text.encode())
    (folder / "texts/.hidden.txt").write_text("not read")
    return folder / "texts"


def folder_of_records(folder: Path, texts: Texts) -> Path:
    """With a page beside them that is no document."""
    (folder / "mixed").mkdir()
    pq.write_table(table(texts[:7]), folder / "mixed/a.parquet")
    (folder / "mixed/b.jsonl.bz2").write_bytes(bz2.compress(lines(texts[7:])))
    (folder / "mixed/README.md").write_text("about these files")
    return folder / "mixed"


def pattern(folder: Path, texts: Texts) -> Path:
    for name, part in (("y.parquet", texts[90:]), ("x.parquet", texts[:90])):
        pq.write_table(table(part), folder / name)
    return folder / "[xy].parquet"


RECORDS: dict[str, Callable[[Path, Texts], Path]] = {
    "JSON lines": json_lines("", bytes),
    "JSON lines, gzip": json_lines(".gz", gzip.compress),
    "JSON lines, gzip of many members": json_lines(".gz", members(gzip.compress)),
    "JSON lines, zstd of many frames": json_lines(".zst", members(zstd)),
    "JSON lines, zstd of a pipe": json_lines(".zst", zstd_stream),
    "JSON lines, xz of many streams": json_lines(".xz", members(lzma.compress)),
    "JSON lines, bzip2 of many streams": json_lines(".bz2", members(bz2.compress)),
    "a JSON array": json_array,
    "Parquet of many row groups": parquet,
    "Parquet of pandas": parquet_of_pandas,
    "Feather of pandas": feather,
    "an Arrow file": arrow_file,
    "an Arrow stream with a dictionary": arrow_of_dictionaries,
    "a folder of datasets.save_to_disk": saved_dataset,
    "a folder of the cache of datasets": cached_dataset,
    "a compressed tar archive of JSON lines": tar_of_records,
    "a WebDataset tar archive": web_dataset,
    "a folder of texts": folder_of_texts,
    "a folder of records of several kinds": folder_of_records,
    "a pattern that files fit": pattern,
}
