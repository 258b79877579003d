"""V2 requests with tensors in binary that must be refused."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from corpus.case import Case
from corpus.forms import CUSTOMER, PICTURE, Form, dump

LENGTH = "Inference-Header-Content-Length"


def binary_cases() -> Iterator[Case]:
    for form in (PICTURE, CUSTOMER):
        for name, body, length, says in (*_headers(form), *_sizes(form)):
            headers = {} if length is None else {LENGTH: str(length)}
            yield Case(
                name=f"{form.model}, {name}", model=form.model, path=form.infer, body=body, headers=headers, says=says
            )
    for name, (body, size), says in (*_pictures(), *_customers()):
        form = PICTURE if b'"image"' in body else CUSTOMER
        yield Case(
            name=f"{form.model}, {name}",
            model=form.model,
            path=form.infer,
            body=body,
            headers={LENGTH: str(size)},
            says=says,
        )


def _headers(form: Form) -> Iterator[tuple[str, bytes, object, str]]:
    body, size = form.binary()
    yield "no length of the JSON", body, None, ""
    only_json = dump({"inputs": [{**each, "parameters": {"binary_data_size": 8}} for each in form.v2()["inputs"]]})
    yield "no length of the JSON, and data as well", only_json, None, "one of them"
    bare = [{k: v for k, v in each.items() if k != "data"} for each in form.v2()["inputs"]]
    nothing = dump({"inputs": [{**each, "parameters": {"binary_data_size": 1568}} for each in bare]})
    yield "no length of the JSON, nor any binary", nothing, None, LENGTH
    for name, value in {
        "nothing": "",
        "a word": "all",
        "negative": "-1",
        "zero": "0",
        "a plus": f"+{size}",
        "a fraction": f"{size}.0",
        "hexadecimal": hex(size),
        "two": f"{size}, {size}",
        "a space inside": f"{size} {size}",
        "an underscore": "1_0",
        "of the body and one": len(body) + 1,
        "of 63 bits": 2**63,
        "of 64 bits": 2**64,
        "of a thousand digits": "9" * 1000,
        "of exponents": "1e2",
        "superscript digits": "\u00b2",
    }.items():
        yield f"length of the JSON {name}", body, value, LENGTH
    for name, value in {"one less": size - 1, "one more": size + 1, "one": 1, "half": size // 2}.items():
        yield f"length of the JSON lies: {name}", body, value, ""
    yield "length of the JSON is the body's", body, len(body), ""
    yield "length of the JSON over a JSON request", dump(form.v2()), len(dump(form.v2())) - 1, ""
    yield "JSON not UTF-8 before binary", body.replace(b"inputs", b"inp\xffts", 1), size, "UTF-8"
    twice = b'{"id": "a", "id": "b", ' + body[1:]
    yield "id twice before binary", twice, size + len(twice) - len(body), "'id' twice"
    deep = b'{"zz": ' + b"[" * 1000 + b"]" * 1000 + b", " + body[1:]
    yield "a deep member before binary", deep, size + len(deep) - len(body), "deep"


def _sizes(form: Form) -> Iterator[tuple[str, bytes, object, str]]:
    first = form.first.name
    whole = len(form.binary()[0]) - form.binary()[1]
    for name, value, says in (
        ("negative", -1, "a number of bytes"),
        ("zero", 0, "0 bytes of data"),
        ("one", 1, "1 bytes of data"),
        ("of the whole body", 10**6, "1000000 bytes of data"),
        ("of 63 bits", 2**63 - 1, "bytes of data"),
        ("of 64 bits", 2**64, "bytes of data"),
        ("a text", "1568", "a number of bytes"),
        ("a fraction", 1568.0, "a number of bytes"),
        ("true", True, "a number of bytes"),
        ("null", None, "Expected"),
        ("a list", [1568], "Expected"),
    ):
        body, size = form.binary(sizes={first: value})
        yield f"binary_data_size {name}", body, size, says
    body, size = form.binary()
    yield "binary cut by one byte", body[:-1], size, "left of the body"
    yield "binary cut away", body[:size], size, "left of the body"
    yield "a byte after the binary", body + b"\0", size, "1 bytes after its last tensor"
    yield "the binary twice", body + body[size:], size, f"{whole} bytes after"
    body, size = form.binary(changes={first: {"data": form.v2()["inputs"][0]["data"]}})
    yield "data and binary_data_size", body, size, "one of them"
    body, size = form.binary(changes={first: {"data": []}})
    yield "empty data and binary_data_size", body, size, "one of them"
    body, size = form.binary(changes={first: {"parameters": {}}})
    yield "binary without binary_data_size", body, size, "no data"
    body, size = form.binary(changes={first: {"parameters": {"binary_data_sise": 1568}}})
    yield "binary_data_size misspelt", body, size, "no data"
    for name, shape in {
        "negative": [-2, *form.first.shape],
        "huge": [2, *form.first.shape[1:], 2**62],
        "overflowing to nothing": [2**32, 2**32],
        "empty": [],
    }.items():
        body, size = form.binary(changes={first: {"shape": shape}})
        if name != "overflowing to nothing":
            yield f"binary of a shape {name}", body, size, ""
    body, size = form.binary(changes={first: {"datatype": "FP16"}})
    yield "binary of another datatype", body, size, "datatype 'FP16'"
    body, size = form.binary(json_inputs=tuple(column.name for column in form.columns), tail=b"\0" * 8)
    yield "binary that no input claims", body, size, "8 bytes after"
    body, size = form.binary(parameters={"binary_data_output": "yes"})
    yield "binary output of a text", body, size, "true or false"


def _pictures() -> Iterator[tuple[str, tuple[bytes, int], str]]:
    pixels = PICTURE.make(2)["image"].tobytes()
    yield "binary of one picture for two", PICTURE.binary(blocks={"image": pixels[:784]}), "expected 1568"
    yield "binary of three pictures for two", PICTURE.binary(blocks={"image": pixels + pixels[:784]}), "expected 1568"
    yield "binary of nothing", PICTURE.binary(blocks={"image": b""}), "expected 1568"
    body, size = PICTURE.binary()
    data = b'"binary_data_size": 1568'
    twice = body.replace(data, data + b", " + data, 1)
    yield "binary_data_size twice", (twice, size + len(twice) - len(body)), "twice"


def _customers() -> Iterator[tuple[str, tuple[bytes, int], str]]:
    def texts(*given: bytes) -> dict[str, bytes]:
        return {"city": b"".join(struct.pack("<I", len(text)) + text for text in given)}

    for name, block, says in (
        ("a text not UTF-8", texts(b"a", b"\xff\xfe"), "not UTF-8"),
        ("a text of half a character", texts(b"\xc3", b"a"), "not UTF-8"),
        ("one text for two", texts(b"four or more"), "text 1"),
        ("three texts for two", texts(b"a", b"b", b"c"), "after text 1"),
        ("texts without lengths", {"city": b"abcdefgh"}, "says that text 0 has"),
        (
            "lengths of a big-endian machine",
            {"city": struct.pack(">I", 1) + b"a" + struct.pack(">I", 1) + b"b"},
            "text 0",
        ),
        ("a length of 4 GiB", {"city": b"\xff\xff\xff\xff" + b"a" * 10}, "4294967295"),
        ("a length over the input", {"city": struct.pack("<I", 9) + b"a" + struct.pack("<I", 0)}, "text 0 has 9"),
        ("half a length", {"city": struct.pack("<I", 3) + b"abc" + b"\0\0"}, "text 1"),
        ("less than two lengths", {"city": b"\0" * 7}, "at least 8"),
        ("no texts", {"city": b""}, "at least 8"),
        ("an overlapping length", {"city": struct.pack("<I", 5) + b"abcde" + struct.pack("<I", 5) + b"a"}, "text 1"),
        ("a bool of 2", {"member": b"\x02\x00"}, "expected 0 or 1"),
        ("a bool of 255", {"member": b"\x01\xff"}, "expected 0 or 1"),
        ("bools as words", {"member": b"\x01\0\0\0\x01\0\0\0"}, "expected 2"),
        ("ages of 32 bits", {"age": np.array([1, 2], np.int32).tobytes()}, "expected 16"),
        ("ages of a big-endian machine", {"age": np.array([1, 2], ">i8").tobytes()}, "0 to 120 years"),
        ("an age below the range", {"age": np.array([1, -2]).tobytes()}, "-2 at [1]"),
        ("an age over the range", {"age": np.array([121, 2]).tobytes()}, "121 at [0]"),
        ("an income of NaN", {"income": np.array([1, np.nan], np.float32).tobytes()}, "nan at [1]"),
        ("an infinite income", {"income": np.array([np.inf, 1], np.float32).tobytes()}, "inf at [0]"),
        ("an income below zero", {"income": np.array([-1, 1], np.float32).tobytes()}, "-1.0 at [0]"),
        ("a signalling NaN", {"income": b"\x01\x00\x80\x7f" * 2}, "nan at [0]"),
        ("scores missing in part", {"scores": np.array([1, np.nan, 1, 1, 1, 1]).tobytes()}, "missing as a whole"),
        ("infinite scores", {"scores": np.array([1, 1, 1, 1, 1, -np.inf]).tobytes()}, "-inf at [1, 2]"),
    ):
        yield f"binary: {name}", CUSTOMER.binary(blocks=block), says
    sizes = {"age": 16 + 8, "income": 8 - 8}
    yield "binary: sizes that overlap", CUSTOMER.binary(sizes=sizes), "expected 16"
    body, size = CUSTOMER.binary(json_inputs=("city", "member"))
    yield "binary and JSON: binary too long", (body + b"\0\0", size), "2 bytes after"
    yield "binary and JSON: binary too short", (body[:-2], size), "left of the body"
    body, size = CUSTOMER.binary(json_inputs=("income",), changes={"income": {"data": [1, None]}})
    yield "binary and JSON: null", (body, size), "null"
    body, size = CUSTOMER.binary(json_inputs=("income",), changes={"income": {"data": [1]}})
    yield "binary and JSON: data too short", (body, size), "1 values"
