"""Idx: read the file format of MNIST and its kin, and refuse what is torn, swapped or altered."""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.errors import SourceError

UNSIGNED_BYTE = 0x08  # the only element type that the data set uses


def read_bytes(path: Path) -> bytes:
    """Read a file, unpacked if its name ends in .gz; SourceError if it is missing, torn or empty."""
    try:
        raw = path.read_bytes()
        data = gzip.decompress(raw) if path.suffix == ".gz" else raw
    except FileNotFoundError as error:
        raise SourceError(f"{path} is missing: expected an idx file there") from error
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{path} cannot be unpacked ({error}): it is truncated or damaged; bring it again") from error
    if not data:
        raise SourceError(f"{path} is empty: expected an idx file; bring it again")
    return data


def parse(path: Path, data: bytes, shape: tuple[int, ...], sha256: str | None = None) -> NDArray[np.uint8]:
    """Turn the bytes of an idx file into an array of the shape that is expected.

    The header is two zero bytes, the element type, the number of dimensions, and each dimension as a big-endian 32-bit
    number (Y. LeCun, the MNIST page). Raises SourceError that names the file, what was found and what was expected.
    """
    magic = struct.pack(">HBB", 0, UNSIGNED_BYTE, len(shape))
    if data[:4] != magic:
        raise SourceError(
            f"{path} begins with {data[:4].hex(' ')}, expected {magic.hex(' ')} ({len(shape)}-dimensional bytes): "
            "images and labels may be swapped; put the right file there"
        )
    start = 4 + 4 * len(shape)
    if len(data) < start:
        raise SourceError(f"{path} ends within its header ({len(data)} bytes): it is torn; bring it again")
    found = struct.unpack(f">{len(shape)}I", data[4:start])
    if found != shape:
        raise SourceError(f"{path} says it holds {_by(found)}, expected {_by(shape)}: it is another file")
    body = int(np.prod(shape))
    if len(data) - start != body:
        raise SourceError(f"{path} holds {len(data) - start} bytes after its header, expected {body}: bring it again")
    digest = hashlib.sha256(data).hexdigest()
    if sha256 is not None and digest != sha256:
        raise SourceError(
            f"{path} has sha256 {digest[:12]}… unpacked, expected {sha256[:12]}…: it was altered; bring it again"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _by(shape: tuple[Any, ...]) -> str:
    return " × ".join(str(size) for size in shape)
