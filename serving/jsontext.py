"""JSON text: decode it with refusals for errors, and count what stands in it before anything is made of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

from serving.refusal import RequestError

T = TypeVar("T")

TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+"')


def decode(read: Callable[[bytes], T], data: bytes, what: str) -> T:
    """Decode JSON from outside; whatever is wrong with it becomes a RequestError that names `what`."""
    try:
        return read(data)
    except RecursionError as error:
        raise RequestError(f"{what} is nested too deeply: expected lists as deep as the shape is long") from error
    except UnicodeDecodeError as error:
        raise RequestError(f"{what} is not UTF-8 at byte {error.start}: expected JSON in UTF-8") from error
    except msgspec.MsgspecError as error:
        raise RequestError(f"{what}: {error}") from error


def count_texts(text: bytes) -> int:
    """Count keys and texts of a JSON document: nothing else has quotation marks."""
    if b"\\" in text:  # an escaped backslash first: after it a quotation mark is not escaped
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    return text.count(b'"') // 2


def blank_texts(text: bytes) -> bytes:
    """Put 0 in place of each text, so that brackets and commas are those of lists."""
    return TEXT.sub(b"0", text)


def shorten(data: bytes) -> str:
    """The beginning of what came in place of something else."""
    return data[:40].decode("utf-8", "replace") + ("…" if len(data) > 40 else "")
