"""Packed bodies that must be refused."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

from corpus.case import Case
from corpus.forms import CUSTOMER, MAX_BODY, PICTURE, dump


def packed_cases() -> Iterator[Case]:
    for name, encoding, body, status, says in _bodies():
        form = CUSTOMER if "customer" in name else PICTURE
        headers = {"Content-Encoding": encoding}
        yield Case(
            name=f"packed, {name}",
            model=form.model,
            path=form.infer,
            body=body,
            headers=headers,
            status=status,
            says=says,
        )


def _bodies() -> Iterator[tuple[str, str, bytes, int, str]]:
    good = dump(PICTURE.v2())
    packed, flat = gzip.compress(good), zlib.compress(good)
    bomb = b" " * (MAX_BODY * 400)
    for name, encoding in {"brotli": "br", "zstd": "zstd", "compress": "compress", "two": "gzip, gzip"}.items():
        yield f"encoding {name}", encoding, packed, 415, "expected gzip, deflate or identity"
    yield "an unknown encoding", "x" * 500, packed, 415, "…"
    yield "gzip that is not", "gzip", good, 400, "unpacked"
    yield "deflate that is not", "deflate", good, 400, "unpacked"
    yield "gzip that is deflate", "gzip", flat, 400, "unpacked"
    yield "deflate that is gzip", "deflate", packed, 400, "unpacked"
    yield "gzip cut in its head", "gzip", packed[:5], 400, "cut off"
    yield "gzip cut in its middle", "gzip", packed[:200], 400, "cut off"
    yield "gzip without its checksum", "gzip", packed[:-8], 400, "cut off"
    yield "deflate cut off", "deflate", flat[:-4], 400, "cut off"
    yield "gzip with a false checksum", "gzip", packed[:-8] + b"\0" * 8, 400, "unpacked"
    yield "gzip with a false length", "gzip", packed[:-4] + b"\0" * 4, 400, "unpacked"
    yield "gzip with bytes after it", "gzip", packed + b"hello", 400, "unpacked"
    yield "deflate with bytes after it", "deflate", flat + b"\0", 400, "after its end"
    yield "a thousand empty members", "gzip", gzip.compress(b"") * 1000, 400, "after its end"
    yield "nothing in gzip", "gzip", b"", 400, "empty"
    yield "nothing, packed with gzip", "gzip", gzip.compress(b""), 400, "empty"
    yield "a bomb of gzip", "gzip", gzip.compress(bomb), 413, "unpacks to more"
    yield "a bomb of deflate", "deflate", zlib.compress(bomb), 413, "unpacks to more"
    yield "a bomb of members", "gzip", gzip.compress(b" " * 10_000) * 60, 413, "unpacks to more"
    yield "a byte over the limit", "gzip", gzip.compress(b" " * (MAX_BODY + 1)), 413, "unpacks to more"
    yield "a bomb in a bomb", "gzip", gzip.compress(gzip.compress(bomb)), 400, ""
    yield "malformed JSON in gzip", "gzip", gzip.compress(b'{"inputs": ['), 400, "truncated"
    yield "a wrong shape in gzip", "GZIP", gzip.compress(PICTURE.bend("image", shape=[2, 784])), 400, "[2, 28, 28]"
    yield "a wrong shape in deflate", "deflate", zlib.compress(PICTURE.bend("image", shape=[1])), 400, "[1, 28, 28]"
    yield "customer, a wrong type in gzip", "gzip", gzip.compress(CUSTOMER.bend("age", datatype="FP32")), 400, "INT64"
