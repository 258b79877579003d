"""V1 requests that must be refused."""

from __future__ import annotations

from collections.abc import Iterator

from corpus.case import Case
from corpus.forms import CUSTOMER, MAX_ROWS, PICTURE, Form, dump


def v1_cases() -> Iterator[Case]:
    for form in (PICTURE, CUSTOMER):
        for name, body, says, *status in _documents(form):
            yield _case(form, name, body, says, *status)
    for name, body, says, *status in _pictures():
        yield _case(PICTURE, name, body, says, *status)
    for name, body, says in _customers():
        yield _case(CUSTOMER, name, body, says)


def _case(form: Form, name: str, body: bytes, says: str, status: int = 400) -> Case:
    name = f"{form.model}, V1, {name}"
    return Case(name=name, model=form.model, path=form.predict, body=body, says=says, status=status)


def _documents(form: Form) -> Iterator[tuple[str, bytes, str] | tuple[str, bytes, str, int]]:
    good = dump(form.v1())
    yield "empty body", b"", "empty"
    yield "no JSON", b"instances", "malformed"
    yield "cut off", good[:-2], ""
    yield "two documents", good + good, "malformed"
    yield "not UTF-8", b'{"zz": "\xff", ' + good[1:], "UTF-8"
    yield "a list", form_list(form), "object"
    yield "no instances", b"{}", "instances"
    yield "V2 body", dump(form.v2()), "instances"
    yield "inputs in place of instances", good.replace(b"instances", b"inputs"), "instances"
    for name, value in {"null": None, "object": {}, "text": "x", "number": 1}.items():
        yield f"instances {name}", dump({"instances": value}), "list"
    yield "instances empty", dump({"instances": []}), "0 rows"
    yield "instances empty, with space", b'{"instances": [ \n ]}', "0 rows"
    yield "an instance null", dump({"instances": [None]}), "null" if form is CUSTOMER else "values"
    yield "an instance a text", dump({"instances": ["x"]}), "str" if form is CUSTOMER else ""
    yield "an instance an empty object", dump({"instances": [{}]}), form.first.name
    yield "an instance a number", dump({"instances": [1]}), ""
    yield "deep instances", b'{"instances": ' + b"[" * 5000 + b"]" * 5000 + b"}", "deep"
    yield "instances a thousand deep", b'{"instances": ' + b"[" * 1000 + b"]" * 1000 + b"}", ""
    yield "deep objects", b'{"instances": [' + b'{"a":' * 2000 + b"1" + b"}" * 2000 + b"]}", "deep"
    yield "instances twice", good[:-1] + b',"instances": []}', ""
    yield "instances twice, the same", good[:-1] + b"," + good[1:], "'instances' twice"
    yield "id twice", good[:-1] + b',"id":"a","id":"b"}', "'id' twice"
    yield "id a number", dump({**form.v1(), "id": 7}), "str"
    yield "a long id", dump({**form.v1(), "id": "x" * 300}), "300 characters"
    yield "NaN", b'{"instances": [NaN]}', "malformed"
    yield "too many rows", dump(form.v1(MAX_ROWS + 1)), "at most 8", 413


def form_list(form: Form) -> bytes:
    return dump(form.v1()["instances"])


def _pictures() -> Iterator[tuple[str, bytes, str] | tuple[str, bytes, str, int]]:
    rows = PICTURE.v1()["instances"]

    def ask(instances: object) -> bytes:
        return dump({"instances": instances})

    yield "flat pictures", ask([[value for row in one for value in row] for one in rows]), "array"
    yield "all values flat", ask([value for one in rows for row in one for value in row]), "array"
    yield "one picture not in a list", ask(rows[0]), ""
    yield "a row missing", ask([rows[0][:-1], rows[1]]), "values"
    yield "a value missing", ask([[rows[0][0][:-1], *rows[0][1:]], rows[1]]), "values"
    yield "a value in another row", ask([[rows[0][0][:-1], [1, *rows[0][1]], *rows[0][2:]], rows[1]]), "27"
    yield "a value too large", ask([[[256, *rows[0][0][1:]], *rows[0][1:]], rows[1]]), "255"
    yield "a value below zero", ask([[[-1, *rows[0][0][1:]], *rows[0][1:]], rows[1]]), "0"
    yield "a fraction", ask([[[0.5, *rows[0][0][1:]], *rows[0][1:]], rows[1]]), "float"
    yield "a text", ask([[["1", *rows[0][0][1:]], *rows[0][1:]], rows[1]]), "str"
    yield "null", ask([[[None, *rows[0][0][1:]], *rows[0][1:]], rows[1]]), "null"
    yield "true", ask([[[True, *rows[0][0][1:]], *rows[0][1:]], rows[1]]), "bool"
    yield "a channel more", ask([[[[value] for value in row] for row in one] for one in rows]), ""
    yield "base64", ask([{"b64": "AAAA"}]), ""
    yield "pictures and objects", ask([rows[0], {"image": rows[1]}]), ""
    yield "objects and pictures", ask([{"image": rows[0]}, rows[1]]), "object"
    yield "an object of another name", ask([{"picture": rows[0]}]), "picture"
    yield "an object with a member more", ask([{"image": rows[0], "size": 28}]), "size"
    yield "nine rows of objects", ask([{"image": rows[0]}] * 9), "at most 8", 413
    twice = ask([{"image": rows[0]}]).replace(b'[{"image"', b'[{"image": [], "image"')
    yield "an object with a key twice", twice, ""


def _customers() -> Iterator[tuple[str, bytes, str]]:
    rows = CUSTOMER.v1()["instances"]

    def ask(**changes: object) -> bytes:
        return dump({"instances": [rows[0], {**rows[1], **changes}]})

    yield "bare lists", dump({"instances": [list(row.values()) for row in rows]}), "object"
    yield "an unknown column", ask(colour="red"), "colour"
    for name in rows[0]:
        less = {key: value for key, value in rows[1].items() if key != name}
        yield f"no {name}", dump({"instances": [rows[0], less]}), name
        yield f"{name} an object", ask(**{name: {}}), "object"
        if name != "scores":
            yield f"{name} null", ask(**{name: None}), "null"
            yield f"{name} a list", ask(**{name: [rows[0][name]]}), "array"
        twice = dump({"instances": rows}).replace(b'"%b":' % name.encode(), b'"%b": %b, "%b":' % (
            name.encode(), dump(rows[0][name]), name.encode()
        ), 1)  # fmt: skip
        yield f"{name} twice", twice, "twice"
    yield "an escaped key twice", dump({"instances": rows}).replace(b'"age":', rb'"\u0061ge": 20, "age":', 1), "twice"
    yield "age a text", ask(age="30"), "str"
    yield "age a fraction", ask(age=30.5), "float"
    yield "age true", ask(age=True), "bool"
    yield "age over its range", ask(age=130), "130 at [1]"
    yield "age over its type", ask(age=2**63), "int"
    yield "income below its range", ask(income=-5), "-5.0 at [1]"
    yield "income over its type", ask(income=1e39), "inf at [1]"
    yield "scores too few", ask(scores=[1, 2]), "2 values"
    yield "scores too many", ask(scores=[1, 2, 3, 4]), "4 values"
    yield "scores nested", ask(scores=[[1, 2, 3]]), "array"
    yield "scores a number", ask(scores=1), "array"
    yield "scores null as a whole", ask(scores=None), "null"
    yield "scores null in part", ask(scores=[1, None, 3]), "missing as a whole"
    yield "city a number", ask(city=7), "int"
    yield "member a number", ask(member=1), "int"
