"""Binary: tensors as the bytes of the protocol's binary extension, little-endian and in C order, and back."""

from __future__ import annotations

import sys
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.refusal import RequestError, show
from serving.tensors import ColumnReader

LENGTH = Struct("<I")  # stands before each text
HEADER_NAME = "Inference-Header-Content-Length"

if sys.byteorder != "little":
    raise ImportError("serving.binary needs a little-endian processor: its arrays are the wire's bytes, unchanged")


def parse_json_length(header: bytes, body_length: int) -> int:
    """Read the header that says where the JSON ends and the binary tensors begin; RequestError unless it can be so."""
    if not header.isdigit() or len(header) > 19:
        raise RequestError(f"header {HEADER_NAME} is {show(header.decode('latin-1'))}: expected a number of bytes")
    length = int(header)
    if not 0 < length <= body_length:
        raise RequestError(
            f"header {HEADER_NAME} is {length}: expected 1 to {body_length}, which is the length of the body"
        )
    return length


def read_block(reader: ColumnReader, body: bytes, start: int, size: int, rows: int) -> NDArray[Any]:
    """Read body[start : start + size] as one tensor of shape (rows, *column.shape); it may share the body's memory."""
    column, count = reader.column, rows * reader.size
    expected = count * LENGTH.size if reader.is_text else count * column.dtype.itemsize
    if size != expected and not (reader.is_text and size > expected):
        least = "at least " if reader.is_text else ""
        raise RequestError(
            f"input {column.name!r} has {show(size)} bytes of data: expected {least}{expected} for shape "
            f"{[rows, *column.shape]} of {reader.datatype}"
        )
    if size > len(body) - start:
        raise RequestError(
            f"input {column.name!r} has {size} bytes of data, but {len(body) - start} bytes are left of the body: "
            "expected all of them"
        )
    shape = (rows, *column.shape)
    if reader.is_text:
        return reader.rule.check(_read_texts(body, start, size, count, column.name).reshape(shape))
    array = np.ndarray(shape, column.dtype, body, start)
    if column.type == "bool" and array.view(np.uint8).max() > 1:
        raise RequestError(f"data of {column.name!r} has a byte of {array.view(np.uint8).max()}: expected 0 or 1")
    if start % column.dtype.itemsize:
        array = array.copy()  # the JSON before it has any length, and a model may not take unaligned numbers
    return reader.rule.check(array)


def write_block(array: NDArray[Any]) -> bytes:
    """The bytes of one tensor."""
    if array.dtype.kind != "O":
        return array.tobytes()
    texts = [text.encode() for text in array.ravel().tolist()]
    return b"".join(part for text in texts for part in (LENGTH.pack(len(text)), text))


def _read_texts(body: bytes, start: int, size: int, count: int, name: str) -> NDArray[Any]:
    texts = np.empty(count, object)
    at, end = start, start + size
    for place in range(count):
        if end - at < LENGTH.size:
            raise RequestError(f"data of {name!r} ends before text {place}: expected {count} texts in {size} bytes")
        (length,) = LENGTH.unpack_from(body, at)
        at += LENGTH.size
        if length > end - at:
            raise RequestError(
                f"data of {name!r} says that text {place} has {length} bytes, but {end - at} are left: expected a "
                "little-endian length of 4 bytes before each text"
            )
        try:
            texts[place] = body[at : at + length].decode()
        except UnicodeDecodeError as error:
            raise RequestError(
                f"text {place} of {name!r} is not UTF-8 at byte {error.start}: expected UTF-8"
            ) from error
        at += length
    if at != end:
        raise RequestError(f"data of {name!r} has {end - at} bytes after text {count - 1}: expected {count} texts")
    return texts
