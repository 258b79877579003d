"""Packing: the body of a request that came packed with gzip or deflate, unpacked within a limit."""

from __future__ import annotations

import zlib

from serving.refusal import RequestError, show

# Content-Encoding -> window bits of zlib. "deflate" means zlib's format; some clients send it without its header.
WINDOWS = {b"gzip": 16 + zlib.MAX_WBITS, b"x-gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}
STEP = 65_536  # bytes taken and given at a time
MEMBERS = 64  # a gzip body may be several, one after the other; each costs time, however short it is


def unpack(body: bytes, encoding: bytes, limit: int) -> bytes:
    """Unpack a whole body to at most `limit` bytes.

    Raises RequestError: 415 for another encoding than gzip, deflate and identity, 413 for more than `limit` bytes, 400
    for a body that is not packed so, is cut off, or has something after its end.
    """
    name = encoding.strip().lower()
    if name in {b"", b"identity"}:
        return body
    if name not in WINDOWS:
        raise RequestError(
            f"found content-encoding {show(encoding.decode('latin-1'))}: expected gzip, deflate or identity", 415
        )
    bits = WINDOWS[name]
    if name == b"deflate" and not _has_zlib_header(body):
        bits = -zlib.MAX_WBITS
    try:
        return _unpack(body, bits, limit)
    except zlib.error as error:
        raise RequestError(
            f"the body cannot be unpacked ({error}): expected one packed with {name.decode()}"
        ) from error


def _unpack(body: bytes, bits: int, limit: int) -> bytes:
    parts: list[bytes] = []
    size = start = members = 0
    while start < len(body):
        members += 1
        if members > MEMBERS or (members > 1 and bits != WINDOWS[b"gzip"]):
            raise RequestError(f"the packed body goes on after its end, at byte {start}: expected nothing there")
        unpacker = zlib.decompressobj(bits)
        while not unpacker.eof:
            # What the last step left comes again, so the end of the input is reached only by what is unpacked whole.
            piece = unpacker.unconsumed_tail or body[start : start + STEP]
            start += 0 if unpacker.unconsumed_tail else len(piece)
            part = unpacker.decompress(piece, min(STEP, limit - size + 1))
            size += len(part)
            if size > limit:
                raise RequestError(f"the body unpacks to more than {limit:,} bytes, the limit: send it in parts", 413)
            if not part and not piece:
                raise RequestError("the packed body is cut off: expected its end")
            parts.append(part)
        start -= len(unpacker.unused_data)
    return b"".join(parts)


def _has_zlib_header(body: bytes) -> bool:
    return len(body) >= 2 and body[0] & 0x0F == zlib.DEFLATED and (body[0] << 8 | body[1]) % 31 == 0
