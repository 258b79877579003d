"""Seeds: good requests to the target's models, from which the fuzzer starts, and words that it may put in."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fuzz.http_target import MARK
from fuzz.protocol_target import MODELS
from noria.ml.inference import DATATYPES
from noria.schema import Column
from serving.binary import write_block

WORDS = (
    "inputs", "outputs", "name", "shape", "datatype", "data", "id", "parameters", "binary_data_size", "binary_data",
    "binary_data_output", "instances", "probabilities", "label", "word", "image", "city", "null", "true", "false",
    "1e400", "-1", "18446744073709551616", "4611686018427387904", "[[", "]]", "\\u0069d", "\\ud800", "NaN",
    "HTTP/1.1", "Content-Length: 5", "Transfer-Encoding: chunked", "Connection: close", "Upgrade: h2c",
    "Expect: 100-continue", "\r\n\r\n", "\r\n", *DATATYPES.values(),
)  # fmt: skip


def write_seeds(folder: Path) -> None:
    """Write the seeds and, beside them, the dictionary `words.txt` in libFuzzer's form."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, seed in enumerate(make_seeds()):
        (folder / f"seed-{place:03}").write_bytes(seed)
    lines = ("".join(f"\\x{byte:02x}" for byte in word.encode()) for word in WORDS)
    (folder.parent / "words.txt").write_text("".join(f'"{line}"\n' for line in lines))


def make_seeds() -> Iterator[bytes]:
    """Good inputs of every kind that the target tries."""
    for place, columns in enumerate(MODELS):
        model = bytes([place])
        body = json.dumps(_ask(columns, binary=False)).encode()
        yield model + b"\0\0\0" + body
        more = {"id": "x", "outputs": [{"name": "label", "parameters": {"binary_data": True}}, {"name": "word"}]}
        yield model + b"\0\0\0" + json.dumps({**_ask(columns, binary=False), **more}).encode()
        head = json.dumps({**_ask(columns, binary=True), "parameters": {"binary_data_output": True}}).encode()
        blocks = b"".join(write_block(_sample(column)) for column in columns)
        yield model + b"\1" + len(head).to_bytes(2, "little") + head + blocks
        rows = [{column.name: _sample(column).tolist()[row] for column in columns} for row in range(2)]
        yield model + b"\2\0\0" + json.dumps({"instances": rows}).encode()
        if len(columns) == 1:
            yield model + b"\2\0\0" + json.dumps({"instances": _sample(columns[0]).tolist()}).encode()
        yield model + b"\6\0\0" + bytes(60)
        yield model + b"\7\0\0" + bytes(200)
        yield model + b"\3\0\0" + gzip.compress(body)
        yield model + b"\3\1\0" + zlib.compress(body)
        yield model + b"\4\xff\xff" + b"123"
    asked = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde"
    seen = b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n"
    parts = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"
    for requests in ((asked, asked, seen, asked), (parts, asked, asked), (asked + asked, asked)):
        yield b"\0\5\7\0" + MARK.join(requests)


def _ask(columns: tuple[Column, ...], *, binary: bool) -> dict[str, object]:
    inputs = []
    for column in columns:
        array = _sample(column)
        size = {"parameters": {"binary_data_size": len(write_block(array))}}
        data = size if binary else {"data": array.ravel().tolist()}
        inputs.append({"name": column.name, "shape": list(array.shape), "datatype": DATATYPES[column.type], **data})
    return {"inputs": inputs}


def _sample(column: Column) -> np.ndarray:
    shape = (2, *column.shape)
    count = int(np.prod(shape))
    if column.type == "string":
        return np.array([f"Città {place}" for place in range(count)], object).reshape(shape)
    return (np.arange(count) % 2).astype(column.dtype).reshape(shape)
