"""Tables of records: Parquet, Arrow files (Feather of version 2) and Arrow streams, as pyarrow reads them.

In: a file, and the columns that are wanted of it. Out: its rows as records, with bounded memory: of a
Parquet file pages, of an Arrow file its mapped batches. Refuses a file without a wanted column, a text
column that holds no text, and what pyarrow cannot read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import ipc

from preparation.corpus_kinds import TableKind
from preparation.errors import CORPUS, PreparationError
from preparation.reading import Record
from preparation.record_fields import CHAT_CURE, OTHER_FIELD_CURE, TextFields

ROWS_AT_ONCE = 64  # as Python's objects
PAGE_BUFFER_BYTES = 1 << 20
MOST_COLUMNS_NAMED = 8


class Table:
    """One file of rows."""

    def __init__(self, path: Path, kind: TableKind, fields: TextFields) -> None:
        self._path = path
        self._kind = kind
        self._fields = fields
        self.part_read = 0.0  # of the file, 0 to 1

    def records(self) -> Iterator[Record]:
        row = 0
        with self._refusing_damage():
            read = self._parquet if self._kind is TableKind.PARQUET else self._arrow
            for batch in read():
                for begin in range(0, batch.num_rows, ROWS_AT_ONCE):
                    for load in loaders(batch.slice(begin, ROWS_AT_ONCE), f"{self._path}, row", row + 1):
                        row += 1
                        yield f"{self._path}, row {row}", load

    def _parquet(self) -> Iterator[pa.RecordBatch]:
        file = pq.ParquetFile(self._path, buffer_size=PAGE_BUFFER_BYTES, pre_buffer=False)
        with file:
            columns = self._columns(file.schema_arrow)
            rows = max(1, file.metadata.num_rows)
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=columns, use_threads=False):
                self.part_read += batch.num_rows / rows
                yield batch

    def _arrow(self) -> Iterator[pa.RecordBatch]:
        is_file = self._kind is TableKind.ARROW_FILE
        opened = ipc.open_file if is_file else ipc.open_stream
        with pa.memory_map(str(self._path)) as mapped:
            schema = opened(mapped).schema
            tops = {name.partition(".")[0] for name in self._columns(schema)}
            wanted = [schema.get_field_index(name) for name in schema.names if name in tops]
            options = ipc.IpcReadOptions(included_fields=wanted, use_threads=False)
            mapped.seek(0)
            reader = opened(mapped, options=options)
            if is_file:
                for number in range(reader.num_record_batches):
                    yield reader.get_batch(number)
                    self.part_read = (number + 1) / reader.num_record_batches
            else:
                for batch in reader:
                    yield batch
                    self.part_read = mapped.tell() / mapped.size()

    def _columns(self, schema: pa.Schema) -> list[str]:
        """Those to read; the text columns must be there and hold text."""
        for name in self._fields.names:
            check_text_column(self._path, schema, name)
        return [name for name in self._fields.read() if type_at(schema, name) is not None]

    @contextlib.contextmanager
    def _refusing_damage(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, EOFError) as error:
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise PreparationError(
                CORPUS, f"{self._path} is not a whole {self._kind.value}: {reason[0]}"
            ) from None


def loaders(batch: pa.RecordBatch, place: str, first: int) -> list[Callable[[], object]]:
    """What gives each row as a record; a row that holds no UTF-8 refuses itself."""
    try:
        return [(lambda record=record: record) for record in batch.to_pylist()]
    except UnicodeDecodeError:
        return [
            (lambda i=i: row_of(batch.slice(i, 1), f"{place} {first + i}"))
            for i in range(batch.num_rows)
        ]


def row_of(batch: pa.RecordBatch, place: str) -> object:
    try:
        return batch.to_pylist()[0]
    except UnicodeDecodeError as error:
        raise PreparationError(
            CORPUS, f"{place}: invalid UTF-8 at byte {error.start} of the text: {error.reason}"
        ) from None


def type_at(schema: pa.Schema | pa.StructType, name: str) -> pa.DataType | None:
    """Of a column, or of a field inside one; None where there is none."""
    outer, dot, inner = name.partition(".")
    for found, rest in ((name, ""), (outer, inner if dot else "")):
        index = schema.get_field_index(found)
        if index >= 0:
            kind = schema.field(index).type
            if not rest:
                return kind
            return type_at(kind, rest) if pa.types.is_struct(kind) else None
    return None


def is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_null(kind)  # its rows are refused one by one
    )


def is_chat(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return is_list and pa.types.is_struct(kind.value_type)


def check_text_column(path: Path, schema: pa.Schema, name: str) -> None:
    kind = type_at(schema, name)
    if kind is None:
        columns = [f'"{field.name}" ({field.type})' for field in schema]
        if len(columns) > MOST_COLUMNS_NAMED:
            columns[MOST_COLUMNS_NAMED:] = [f"{len(columns) - MOST_COLUMNS_NAMED} more"]
        cure = f": {OTHER_FIELD_CURE}" if any(is_text(field.type) for field in schema) else ""
        raise PreparationError(
            CORPUS, f'{path}: no column "{name}"; it has {", ".join(columns) or "none"}{cure}'
        )
    if not is_text(kind):
        cure = f": {CHAT_CURE}" if is_chat(kind) else ""
        raise PreparationError(
            CORPUS, f'{path}: expected text in the column "{name}", found {kind}{cure}'
        )
