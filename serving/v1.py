"""V1: the instances of KServe's older protocol into one array a column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from numpy.typing import NDArray

from serving.jsontext import count_texts, decode, shorten
from serving.refusal import RequestError
from serving.tensors import ColumnReader


class InstanceReader:
    """Reads instances: an object by column name for each row, or, for a model of one feature, its bare value."""

    def __init__(self, readers: Sequence[ColumnReader], max_rows: int) -> None:
        self._readers = tuple(readers)
        self._max_rows = max_rows
        self._objects = msgspec.json.Decoder(_objects_type(readers))
        self._values = sum(reader.size for reader in readers)  # of one row
        self._texts = sum(1 + reader.texts for reader in readers)  # keys and texts of one row

    def read(self, data: bytes) -> tuple[dict[str, NDArray[Any]], int]:
        """Return the arrays (rows, *shape) by column name, and the number of rows."""
        if data[:1] != b"[":
            raise RequestError(f"instances are {shorten(data)}: expected a list of at most {self._max_rows}")
        if data[1:65].lstrip()[:1] == b"{" or len(self._readers) > 1:
            return self._read_objects(data)
        reader = self._readers[0]
        rows = self._count_bare(reader, data)
        return {reader.column.name: reader.read(data, rows, nested=True)}, rows

    def check_rows(self, rows: int) -> int:
        """Refuse no rows, and more than a request may have."""
        if rows < 1:
            raise RequestError(f"found {rows} rows: expected 1 to {self._max_rows}")
        if rows > self._max_rows:
            raise RequestError(f"found {rows} rows: expected at most {self._max_rows}, so send them in parts", 413)
        return rows

    def _count_bare(self, reader: ColumnReader, data: bytes) -> int:
        """Tell the rows by the commas between values, before any value is made."""
        values = reader.count_values(data, self._max_rows)
        rows, left = divmod(values, reader.size)
        if values == 0 or rows > self._max_rows:
            return self.check_rows(rows)
        if left:
            raise RequestError(
                f"instances have {values} values: expected {reader.size} in each, of shape {list(reader.column.shape)}"
            )
        return rows

    def _read_objects(self, data: bytes) -> tuple[dict[str, NDArray[Any]], int]:
        # Only texts can hold commas that part no values; they are counted when they are texts already.
        if not any(reader.texts for reader in self._readers) and data.count(b",") >= self._max_rows * self._values:
            most = self._max_rows * self._values
            raise RequestError(f"found more than {most} values: expected at most {self._max_rows} instances", 413)
        instances = decode(self._objects.decode, data, "instances")
        rows = self.check_rows(len(instances))
        columns = [[getattr(one, f"f{place}") for one in instances] for place in range(len(self._readers))]
        gaps = sum(reader.count_gaps(values) for reader, values in zip(self._readers, columns, strict=True))
        features = {
            reader.column.name: reader.gather(values, rows)
            for reader, values in zip(self._readers, columns, strict=True)
        }
        if count_texts(data) != rows * self._texts - gaps:
            raise RequestError("instances have a key twice in one object: expected each key once")
        return features, rows


def _objects_type(readers: Sequence[ColumnReader]) -> Any:
    # A column's name need not be a Python name, so the fields are numbered and renamed.
    fields = [(f"f{place}", reader.row_type) for place, reader in enumerate(readers)]
    names = {f"f{place}": reader.column.name for place, reader in enumerate(readers)}
    return list[msgspec.defstruct("Instance", fields, rename=names, forbid_unknown_fields=True)]  # type: ignore[misc]
