"""V2 requests in JSON that must be refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from corpus.case import Case
from corpus.forms import CUSTOMER, MAX_ROWS, PICTURE, Form, dump

NUMBERS = {"image": 1568, "age": 2, "income": 2, "scores": 6, "city": 2, "member": 2}  # values in a good request


def json_cases() -> Iterator[Case]:
    for form in (PICTURE, CUSTOMER):
        for name, body, says, *status in (*_documents(form), *_members(form), *_shapes(form), *_outputs(form)):
            yield _case(form, name, body, says, *status)
        for column in form.columns:
            for name, body, says in _data(form, column.name):
                yield _case(form, f"{column.name}: {name}", body, says)
    for name, body, says in (*_picture_values(), *_customer_values()):
        yield _case(PICTURE if b'"image"' in body else CUSTOMER, name, body, says)


def _case(form: Form, name: str, body: bytes, says: str, status: int = 400) -> Case:
    return Case(name=f"{form.model}, {name}", model=form.model, path=form.infer, body=body, says=says, status=status)


def _documents(form: Form) -> Iterator[tuple[str, bytes, str]]:
    good = dump(form.v2())
    first = form.first.name.encode()
    yield "empty body", b"", "empty"
    yield "blank body", b" \r\n\t ", "truncated"
    yield "no JSON", b"hello", "malformed"
    yield "a form", b"image=1&shape=2", "malformed"
    yield "XML", b"<?xml version='1.0'?><inputs/>", "malformed"
    yield "cut off", good[:-1], "truncated"
    yield "cut off in the data", good[:150], "truncated"
    yield "two documents", good * 2, "malformed"
    yield "a byte after the end", good + b"}", "malformed"
    yield "a zero byte after the end", good + b"\0", "malformed"
    yield "a byte order mark", b"\xef\xbb\xbf" + good, "malformed"
    yield "UTF-16", good.decode().encode("utf-16"), "UTF-8"
    yield "UTF-32", good.decode().encode("utf-32-le"), "malformed"
    yield "Latin-1 in a name", good.replace(first, first + b"\xe9", 1), "UTF-8"
    yield "overlong UTF-8 in an unknown member", b'{"zz": "\xc0\xaf", ' + good[1:], "UTF-8"
    yield "cut UTF-8 in an unknown member", b'{"zz": "\xe2\x82", ' + good[1:], "UTF-8"
    yield "a surrogate in UTF-8", b'{"zz": "\xed\xa0\x80", ' + good[1:], "UTF-8"
    yield "a lone surrogate in a name", good.replace(first, rb"\ud800", 1), "malformed"
    yield "a control character in a name", good.replace(first, b"a\nb", 1), ""
    yield "a bad escape in a name", good.replace(first, rb"\x41", 1), "malformed"
    yield "a list", b"[]", "object"
    yield "a list around it", b"[" + good + b"]", "object"
    yield "a number", b"7", "object"
    yield "a text", b'"inputs"', "object"
    yield "null", b"null", "object"
    yield "true", b"true", "object"
    yield "single quotes", good.replace(b'"', b"'"), "malformed"
    yield "a comment", b"/* hello */" + good, "malformed"
    yield "a comma too many", good[:-1] + b",}", "malformed"
    yield "a missing colon", good.replace(b'"inputs":', b'"inputs"', 1), "malformed"
    yield "a deep unknown member", b'{"zz": ' + b"[" * 5000 + b"]" * 5000 + b"," + good[1:], "deep"
    yield "a deep unknown member of a thousand", b'{"zz": ' + b"[" * 1000 + b"]" * 1000 + b"," + good[1:], "deep"
    yield "deep objects", b'{"a":' * 3000 + b"1" + b"}" * 3000, "deep"
    yield "deep and never ending", b'{"inputs":' + b"[" * 20_000, ""
    yield "V1 body", dump(form.v1()), "inputs"
    yield "inputs twice", good[:-1] + b',"inputs":[]}', "inputs"
    yield "inputs twice, the same", good[:-1] + b"," + good[1:], "twice"
    yield "inputs twice, once escaped", good[:-1] + rb',"\u0069nputs":' + good[10:], "twice"
    yield "id twice", good[:-1] + b',"id":"a","id":"b"}', "'id' twice"
    yield "parameters twice", good[:-1] + b',"parameters":{},"parameters":{}}', "'parameters' twice"
    yield "a parameter twice", good[:-1] + b',"parameters":{"a":1,"a":2}}', "'a' twice"
    yield "a parameter twice, once escaped", good[:-1] + rb',"parameters":{"a":1,"\u0061":2}}', "'a' twice"
    yield "a key twice in an unknown member", good[:-1] + b',"zz":{"a":1,"a":1}}', "'a' twice"
    for key in (b"name", b"shape", b"datatype", b"data"):
        start = good.index(b'"%b"' % key)
        end = good.index(b"]" if key in {b"shape", b"data"} else b",", start) + (key in {b"shape", b"data"})
        member = good[start:end]
        yield f"{key.decode()} twice", good[:start] + member + b"," + good[start:], "twice"
    yield "70,000 bytes of an unknown member", b'{"zz": "' + b"z" * 70_000 + b'",' + good[1:], "beside its data"


def _members(form: Form) -> Iterator[tuple[str, bytes, str]]:
    inputs, first = form.v2()["inputs"], form.first.name
    yield "no inputs", b"{}", "inputs"
    yield "Inputs", dump({"Inputs": inputs}), "inputs"
    for name, value in {"null": None, "object": {}, "text": "x", "number": 1, "true": True}.items():
        yield f"inputs {name}", dump({"inputs": value}), "array"
    yield "inputs empty", dump({"inputs": []}), "expected"
    yield "inputs of numbers", dump({"inputs": [1, 2]}), "object"
    yield "inputs of null", dump({"inputs": [None]}), "object"
    yield "inputs of lists", dump({"inputs": [inputs]}), "object"
    yield "an input missing", dump({"inputs": inputs[1:]}), "each once"
    yield "an input twice", dump({"inputs": [*inputs, inputs[0]]}), "each once"
    yield "an input more", dump({"inputs": [*inputs, {**inputs[0], "name": "x"}]}), "each once"
    yield "a thousand inputs", dump({"inputs": [{**inputs[-1], "name": "x", "data": [1]}] * 1000}), "each once"
    yield "another name", form.bend(first, name="pixel"), "'pixel'"
    yield "a name in capitals", form.bend(first, name=first.upper()), "each once"
    yield "an empty name", form.bend(first, name=""), "each once"
    yield "a long name", form.bend(first, name="x" * 50_000), "…"
    yield "a name of a zero byte", form.bend(first, name="\0"), "each once"
    for name, value in {"null": None, "number": 7, "list": [first], "object": {}}.items():
        yield f"name {name}", form.bend(first, name=value), "str"
    for key in ("name", "shape", "datatype"):
        yield f"no {key}", form.without(key), key
    yield "no data", form.without("data"), "no data"
    for name in ("INT33", "uint8", "U8", "", "BF16", "TYPE_UINT8"):
        yield f"datatype {name!r}", form.bend(first, datatype=name), "datatype"
    for name, value in {"null": None, "number": 1, "list": ["UINT8"]}.items():
        yield f"datatype {name}", form.bend(first, datatype=value), "str"
    for column in form.columns:
        wrong = "FP16" if column.type != "float16" else "FP32"
        yield f"{column.name} of another datatype", form.bend(column.name, datatype=wrong), f"datatype '{wrong}'"
    for name, value in {"number": 7, "list": ["x"], "object": {"a": 1}, "true": True}.items():
        yield f"id {name}", dump(form.v2(id=value)), "str"
    yield "a long id", dump(form.v2(id="x" * 257)), "257"
    for name, value in {"number": 7, "list": [1], "text": "x"}.items():
        yield f"parameters {name}", dump(form.v2(parameters=value)), "object"
    for name, value in {"null": None, "list": [1], "object": {"b": 1}}.items():
        yield f"a parameter {name}", dump(form.v2(parameters={"a": value})), "Expected"
    yield "parameters of an input a list", form.bend(first, parameters=[1]), "object"
    yield "binary_data_output a text", dump(form.v2(parameters={"binary_data_output": "true"})), "true or false"
    yield "binary_data_output a number", dump(form.v2(parameters={"binary_data_output": 1})), "true or false"


def _shapes(form: Form) -> Iterator[tuple[Any, ...]]:
    first, rest = form.first.name, list(form.first.shape)
    for name, shape, says in (
        ("empty", [], "shape []"),
        ("without rows", [0, *rest], "found 0 rows"),
        ("of negative rows", [-1, *rest], "found -1 rows"),
        ("of the lowest rows", [-(2**63), *rest], "rows"),
        ("with a dimension more", [2, *rest, 1], "expected [2"),
        ("with a dimension before", [1, 2, *rest], "expected [1"),
        ("of another number of rows", [3, *rest], "expected"),
        ("with a huge dimension", [2, *rest, 2**62], "expected [2"),
        ("with a negative dimension", [2, *rest, -1], "expected [2"),
        ("beyond 64 bits", [2, *rest, 2**70], "expected [2"),
        ("of ten thousand dimensions", [2] * 10_000, "expected [2"),
    ):
        yield f"a shape {name}", form.bend(first, shape=shape), says
    for name, rows in {"one row too many": MAX_ROWS + 1, "of 2**62 rows": 2**62, "of 2**64 rows": 2**64}.items():
        yield f"a shape {name}", form.bend(first, shape=[rows, *rest]), "at most 8", 413
    for name, shape in {"null": None, "number": 2, "text": "2", "object": {"0": 2}}.items():
        yield f"shape {name}", form.bend(first, shape=shape), "array"
    for name, value in {"texts": "2", "floats": 2.0, "halves": 1.5, "nulls": None, "bools": True, "lists": [2]}.items():
        yield f"a shape of {name}", form.bend(first, shape=[value, *rest]), "int"
    digits = form.bend(first, shape="@@").replace(b'"@@"', b"[" + b"9" * 5000 + b"]")
    yield "a dimension of 5,000 digits", digits, ""
    yield "a dimension with an exponent", digits.replace(b"9" * 5000, b"2e0"), "int"
    yield (
        "a million rows in earnest",
        dump({"inputs": [{**form.v2(1)["inputs"][0], "shape": [10**6, *rest]}]}),
        "",
        (413 if len(form.columns) == 1 else 400),
    )
    too_many = form.v2(MAX_ROWS + 1)
    yield "too many rows", dump(too_many), "at most 8", 413


def _outputs(form: Form) -> Iterator[tuple[str, bytes, str]]:
    for name, outputs, says in (
        ("outputs unknown", [{"name": "logits"}], "logits"),
        ("an output twice", [{"name": "label"}] * 2, "at most once"),
        ("a thousand outputs", [{"name": "label"}] * 1000, "at most once"),
        ("outputs of texts", ["label"], "object"),
        ("outputs an object", {"name": "label"}, "array"),
        ("outputs a text", "label", "array"),
        ("outputs without names", [{}], "name"),
        ("an output's name null", [{"name": None}], "str"),
        ("an output's parameters a list", [{"name": "label", "parameters": []}], "object"),
        ("binary_data a number", [{"name": "label", "parameters": {"binary_data": 1}}], "true or false"),
        ("binary_data a text", [{"name": "label", "parameters": {"binary_data": "no"}}], "true or false"),
        ("top classes asked", [{"name": "label", "parameters": {"classification": 3}}], "classification"),
        (
            "an output into shared memory",
            [{"name": "label", "parameters": {"shared_memory_region": "a", "shared_memory_byte_size": 8}}],
            "shared_memory_region",
        ),
    ):
        yield name, dump(form.v2(outputs=outputs)), says
    good = dump(form.v2(outputs=[{"name": "label"}]))
    yield "an output's name key twice", good.replace(b'{"name": "label"', b'{"name": "x", "name": "label"'), "twice"
    shared = {"shared_memory_region": "a", "shared_memory_byte_size": 8}
    data = [{key: value for key, value in each.items() if key != "data"} for each in form.v2()["inputs"]]
    yield "inputs in shared memory", dump({"inputs": [{**each, "parameters": shared} for each in data]}), "no data"


def _data(form: Form, name: str) -> Iterator[tuple[str, bytes, str]]:
    """What no column may have as its data."""
    count = NUMBERS[name]
    good = {each["name"]: each["data"] for each in form.v2()["inputs"]}[name]
    yield "data shorter than the shape", form.bend(name, data=good[:-1]), f"{count - 1} values"
    yield "data longer than the shape", form.bend(name, data=[*good, good[0]]), f"{count + 1} values"
    yield "data of five thousand values", form.bend(name, data=(good * 5_000)[:5_000]), "5000 values"
    yield "data empty", form.bend(name, data=[]), "0 values"
    yield "data null", form.bend(name, data=None), "null"
    yield "data a number", form.bend(name, data=7), "7"
    yield "data an object", form.bend(name, data={"0": 1}), "list"
    yield "data a text", form.bend(name, data=",".join(["1"] * count)), "list"
    yield "data true", form.bend(name, data=True), "true"
    yield "data with an object", form.bend(name, data=[{}, *good[1:]]), "object"
    yield "data with a list", form.bend(name, data=[[good[0]], *good[1:]]), ""
    yield "data with a list at the end", form.bend(name, data=[*good[:-1], [good[-1]]]), ""
    yield "data nested too deeply", form.bend(name, data=[[[[[good]]]]]), ""
    yield "data a thousand deep", form.splice(name, b"[" * 1000 + b"]" * 1000), "deep"
    yield "data a hundred thousand deep", form.splice(name, b"[" * 90_000 + b"]" * 90_000), "deep"
    yield "data that never end", form.splice(name, b"[" * 50_000), ""
    yield "data with a comma too many", form.splice(name, b"[" + b"1," * count + b"]"), "malformed"
    yield "data with no comma", form.splice(name, b"[1 2]"), "malformed"
    yield "data not closed", form.splice(name, b"[1, 2"), ""
    yield "a text not closed", form.splice(name, b'["a, 2]'), ""
    if name != "scores":  # whose values may be missing
        yield "null among the data", form.bend(name, data=[None, *good[1:]]), "null"
    if name != "city":
        yield "a text among the data", form.bend(name, data=["1", *good[1:]]), "str"
        yield "words in place of data", form.splice(name, b"[" + b",".join([b"nil"] * count) + b"]"), "malformed"
    if name != "member":
        yield "true among the data", form.bend(name, data=[True, *good[1:]]), "bool"
    for word in ("NaN", "Infinity", "-Infinity", "nan", "inf"):
        text = b"[" + ",".join([word] + ["1"] * (count - 1)).encode() + b"]"
        yield f"{word} among the data", form.splice(name, text), "malformed"


def _picture_values() -> Iterator[tuple[str, bytes, str]]:
    good = PICTURE.v2()["inputs"][0]["data"]
    rows = PICTURE.v1()["instances"]
    for name, value, says in (
        ("a value over the type", 256, "255"),
        ("a value below the type", -1, "0"),
        ("a value beyond 32 bits", 2**32, "255"),
        ("a value beyond 64 bits", 2**64, "255"),
        ("a fraction", 1.5, "float"),
        ("a whole number as a fraction", 1.0, "float"),
    ):
        yield name, PICTURE.bend("image", data=[value, *good[1:]]), says
        yield f"{name}, at the end", PICTURE.bend("image", data=[*good[:-1], value]), says
        nested = [[[value, *rows[0][0][1:]], *rows[0][1:]], rows[1]]
        yield f"{name}, nested", PICTURE.bend("image", data=nested), says
    for text in (b"0x10", b"1_000", b"01", b"+1", b".5", b"1.", b"1e", b"- 1", b"1e999999", b"9" * 5000):
        data = b"[" + b",".join([text] + [b"1"] * 1567) + b"]"
        yield f"the number {text[:10].decode()}", PICTURE.splice("image", data), ""
    yield "half nested", PICTURE.bend("image", data=[[value for row in one for value in row] for one in rows]), "array"
    yield "nested in another shape", PICTURE.bend("image", data=[[*rows[0], *rows[1]]]), "expected"
    yield "rows of columns swapped", PICTURE.bend("image", data=[[row * 2 for row in one[:14]] for one in rows]), "14"
    yield "ragged", PICTURE.bend("image", data=[[rows[0][0][:-1], [1, *rows[0][1]], *rows[0][2:]], rows[1]]), "27"
    yield "an empty list inside", PICTURE.bend("image", data=[[[], *rows[0][1:]], rows[1]]), "values"
    yield "an empty list more", PICTURE.bend("image", data=[*rows, []]), "values"
    yield (
        "a channel more",
        PICTURE.bend("image", data=[[[[value] for value in row] for row in one] for one in rows]),
        "",
    )
    yield "shape 784", PICTURE.bend("image", shape=[2, 784]), "expected [2, 28, 28]"
    yield "shape with an equal product", PICTURE.bend("image", shape=[2, 56, 14]), "expected [2, 28, 28]"
    yield "all dimensions negative", PICTURE.bend("image", shape=[-2, -28, 28]), "-2 rows"


def _customer_values() -> Iterator[tuple[str, bytes, str]]:
    def one(name: str, value: str, says: str) -> tuple[str, bytes, str]:
        text = ",".join([value] + ["1"] * (NUMBERS[name] - 1))
        return f"{name} {value[:20]}", CUSTOMER.splice(name, b"[" + text.encode() + b"]"), says

    yield one("age", str(2**63), str(2**63 - 1))
    yield one("age", str(-(2**63) - 1), "int")
    yield one("age", str(2**64), "int")
    yield one("age", "9" * 400, "")
    yield one("age", "0.5", "float")
    yield one("age", "1e2", "float")
    yield one("age", "121", "0 to 120 years")
    yield one("age", "-1", "0 to 120 years")
    yield one("income", "-0.1", "0.0 to any")
    yield one("income", "1e39", "infinite")
    yield one("income", "-1e39", "infinite")
    yield one("income", "1e400", "range")
    yield one("income", "null", "null")
    yield one("scores", "1e400", "range")
    yield one("scores", "null", "missing as a whole")
    yield one("member", "2", "bool")
    yield one("member", '"true"', "bool")
    yield "ages that differ in rows", CUSTOMER.bend("income", shape=[1], data=[1]), "expected [2]"
    yield "a number for a city", CUSTOMER.bend("city", data=[1, "b"]), "int"
    yield "a city of a lone surrogate", CUSTOMER.splice("city", rb'["\udc00", "b"]'), ""
    yield "a city of half a pair", CUSTOMER.splice("city", rb'["\ud83d\u0041", "b"]'), ""
    yield "a city of a control character", CUSTOMER.splice("city", b'["a\x01", "b"]'), ""
    yield "a city not UTF-8", CUSTOMER.splice("city", b'["\xff", "b"]'), "UTF-8"
    yield "cities as bytes", CUSTOMER.bend("city", data=[{"b64": "eA=="}, {"b64": "eA=="}]), "values"
    yield "five cities in two lists", CUSTOMER.bend("city", data=[["a", "b"], ["c", "d"]]), "4 values"
    yield "scores nested by columns", CUSTOMER.bend("scores", data=[[1, 2], [3, 4], [5, 6]]), "3"
    yield "scores half flat", CUSTOMER.bend("scores", data=[[1, 2, 3], 4, 5, 6]), "array"
    yield "scores missing in part", CUSTOMER.bend("scores", data=[None, 2, 3, None, None, None]), "missing as a whole"
