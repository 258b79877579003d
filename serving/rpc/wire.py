"""Wire: hold a request's bytes to their size before they become objects, of which two bytes can make a hundred."""

from __future__ import annotations

from collections.abc import Iterator

from serving.envelope import ENVELOPE_BYTES
from serving.refusal import RequestError

# Fields of ModelInferRequest and of its InferInputTensor that hold data; all else is small in an honest request.
INPUTS, RAW, CONTENTS = 5, 7, 5
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5


def check_size(data: bytes) -> None:
    """Refuse a ModelInferRequest that has far more around its data than any model's inputs need."""
    around = len(data)
    for number, start, end in _fields(data, 0, len(data)):
        if number == RAW:
            around -= end - start
        elif number == INPUTS and around > ENVELOPE_BYTES:
            around -= sum(last - first for inner, first, last in _fields(data, start, end) if inner == CONTENTS)
    if around > ENVELOPE_BYTES:
        raise RequestError(f"the request has {around} bytes beside its data: expected at most {ENVELOPE_BYTES}", 413)


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and end of the fields with a length; ends early where the bytes are no message."""
    steps = ENVELOPE_BYTES // 2  # no field is shorter than two bytes
    while at < end and steps:
        steps -= 1
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == LENGTH:
            size, at = _varint(data, at)
            if size > end - at:
                return
            yield tag >> 3, at, at + size
            at += size
        elif kind == VARINT:
            _, at = _varint(data, at)
        elif kind in {FIXED32, FIXED64}:
            at += 8 if kind == FIXED64 else 4
        else:
            return


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that starts there, and where it ends."""
    if at < len(data) and data[at] < 0x80:
        return data[at], at + 1
    value = shift = 0
    for place in range(at, min(at + 10, len(data))):
        value |= (data[place] & 0x7F) << shift
        if data[place] < 0x80:
            return value, place + 1
        shift += 7
    return 0, len(data)  # it has no end: nothing after it can be read
