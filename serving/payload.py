"""Payload: where the tensors of a V2 request stand in its body, as JSON or in binary after it."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from serving.binary import HEADER_NAME, read_block
from serving.envelope import InputTensor
from serving.refusal import RequestError, show
from serving.tensors import ColumnReader


class BodyReader:
    """Reads the tensors of one body, from the JSON itself or from the bytes after it, in their order."""

    __slots__ = ("_body", "_json_length", "_start")

    def __init__(self, body: bytes, json_length: int | None) -> None:
        self._body = body
        self._json_length = json_length
        self._start = len(body) if json_length is None else json_length

    def read(self, tensor: InputTensor, reader: ColumnReader, rows: int) -> NDArray[Any]:
        """Return the array (rows, *column.shape) of one input."""
        size = _find_size(tensor)
        if size is None:
            return reader.read(bytes(tensor.data), rows)
        if self._json_length is None:
            raise RequestError(
                f"input {tensor.name!r} has a binary_data_size, but the request has no header {HEADER_NAME}: "
                "expected it to say where the JSON ends"
            )
        start, self._start = self._start, self._start + size
        return read_block(reader, self._body, start, size, rows)

    def finish(self) -> None:
        """Refuse what no input has claimed."""
        if self._start != len(self._body):
            raise RequestError(
                f"the body has {len(self._body) - self._start} bytes after its last tensor: expected each to have its "
                "binary_data_size, and nothing else after the JSON"
            )


def _find_size(tensor: InputTensor) -> int | None:
    """The bytes of a tensor in binary, or None where its data are JSON; exactly one of the two."""
    has_data = bool(memoryview(tensor.data))
    size = (tensor.parameters or {}).get("binary_data_size")
    if has_data and size is None:
        return None
    if has_data:
        raise RequestError(f"input {tensor.name!r} has data and a binary_data_size: expected one of them")
    if size is None:
        raise RequestError(f"input {tensor.name!r} has no data: expected data in JSON or a binary_data_size")
    if type(size) is not int or size < 0:
        raise RequestError(f"input {tensor.name!r} has binary_data_size {show(size)}: expected a number of bytes")
    return size
