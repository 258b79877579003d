"""Requests to a model with a feature service that must be refused, whether they lack its features or not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from airline import ASKED, INFER, NAME, NOON, PREDICT, at, full, v1, v2

from corpus.case import Case
from corpus.forms import dump

ROWS = {**ASKED, **at(NOON)}
# What stands in a column in place of the right thing, and what the refusal says; in V2 and in V1.
WRONG: tuple[tuple[str, str, object, str], ...] = (
    ("a key that is null", "origin", None, "null"),
    ("a key that is no choice", "origin", "XXX", "expected one of ['EWR', 'JFK', 'LGA']"),
    ("a key that is a number", "tailnum", 17, "int"),
    ("a key that is a list", "tailnum", ["N1"], ""),
    ("a key that is too long", "tailnum", "N" * 600, "600 characters: expected at most 512"),
    ("an own feature that is null", "distance", None, "null"),
    ("an own feature out of its bounds", "distance", 5001, "expected 0.0 to 5000.0"),
    ("an own feature of another type", "shelf", "top", "str"),
    ("a moment before 1980", "asked", 1_767_268_800, ""),  # in seconds
    ("a moment in nanoseconds", "asked", NOON * 1000, ""),
    ("a moment beyond int64", "asked", 2**70, ""),
    ("a moment that is null", "asked", None, "null"),
    ("a moment with a fraction", "asked", NOON + 0.5, ""),
    ("a moment that is true", "asked", True, ""),
    ("an identity that is a number", "flight", 1, "int"),
)
MOMENTS = (
    "yesterday",
    "",
    "2026-13-01T00:00:00Z",
    "2026-01-01T25:00:00Z",
    "1970-01-01T00:00:00Z",
    "9999-01-01T00:00:00Z",
)


def feature_cases() -> Iterator[Case]:
    """All of them."""
    for name, column, value, says in WRONG:
        for row in (0, 1):
            yield _v2(f"{name}, row {row}", bent_v2(column, row, value), says)
            yield _v1(f"{name}, row {row}", bent_v1(column, row, value), says)
    for text in MOMENTS:
        yield _v1(f"the moment {text!r}", bent_v1("asked", 1, text), "expected a moment from 1980 to 2200")
        yield _v2(f"the moment {text!r}", bent_v2("asked", 1, text), "str")
    yield from _sets()
    rows = v1(ROWS)["instances"]
    yield _v1("both kinds in one request", {"instances": [rows[0], v1(full())["instances"][1]]}, "different columns")
    yield _v1("a moment in one row only", {"instances": [rows[0], v1(ASKED)["instances"][1]]}, "different columns")
    yield _v1("a row that is null", {"instances": [rows[0], None]}, "null")
    yield _v1("a row that is a list", {"instances": [[1]]}, "")
    yield _v1("no rows", {"instances": []}, "0 rows")
    yield _v1("too many rows", {"instances": rows * 5}, "10 rows: expected at most 8", 413)
    twice = dump(v1(ROWS)).replace(b'"tailnum": "N1"', b'"tailnum": "N1", "tailnum": "N2"')
    yield _case("V1, a key twice", PREDICT, twice, "twice")
    yield _v2("an input twice", {"inputs": v2(ROWS)["inputs"] + v2(ROWS)["inputs"][:1]}, "each once")
    yield _v2("inputs of unequal rows", {"inputs": [*v2(ASKED)["inputs"], *v2(at(NOON, 1))["inputs"]]}, "shape")
    yield _v2("no inputs", {"inputs": []}, "found no")
    yield _v2("a moment of another type", _typed("asked", "FP64"), "INT64")
    yield _v2("a key of another type", _typed("tailnum", "INT64"), "BYTES")


def _sets() -> Iterator[Case]:
    """Sets of columns that make no request."""
    whole, supplied = full(), {"gust": full()["gust"]}
    mixed = "all of the 6 features that the service airline_v1 supplies, or none"
    lacking = {name: values for name, values in whole.items() if name != "idle"}
    for name, rows, says in (
        ("a mix", {**ROWS, **supplied}, mixed),
        ("all features but an age", lacking, mixed),
        ("all features but an age, and the key", {**lacking, "tailnum": ASKED["tailnum"]}, mixed),
        ("no key", {name: values for name, values in ROWS.items() if name != "tailnum"}, "found no ['tailnum']"),
        ("no key that is a feature", {n: v for n, v in ROWS.items() if n != "origin"}, "found no ['origin']"),
        ("no own feature", {n: v for n, v in ROWS.items() if n != "distance"}, "found no ['distance']"),
        ("all features but an own one", {n: v for n, v in whole.items() if n != "shelf"}, "found no ['shelf']"),
        ("only keys", {"tailnum": ASKED["tailnum"]}, "by which the service airline_v1 finds the other"),
        ("only a moment", at(NOON), "found no"),
        ("a column that nobody knows", {**ROWS, "wind": np.ones(2)}, "found the columns ['wind']"),
        ("the label", {**ROWS, "label": np.ones(2, np.int64)}, "found the columns ['label']"),
        ("a field that is no feature", {**ROWS, "landed": np.ones(2)}, "found the columns ['landed']"),
    ):
        yield _v2(name, v2(rows), says)
        yield _v1(name, v1(rows), says)


def bent_v1(column: str, row: int, value: object) -> dict[str, object]:
    """A good request with one value changed."""
    body = v1({**ROWS, "flight": ASKED["tailnum"]})
    body["instances"][row][column] = value
    return body


def bent_v2(column: str, row: int, value: object) -> dict[str, object]:
    """A good request with one value changed."""
    body = v2({**ROWS, "flight": ASKED["tailnum"]})
    next(each for each in body["inputs"] if each["name"] == column)["data"][row] = value
    return body


def _typed(column: str, datatype: str) -> dict[str, object]:
    body = v2(ROWS)
    next(each for each in body["inputs"] if each["name"] == column)["datatype"] = datatype
    return body


def _v1(name: str, body: object, says: str, status: int = 400) -> Case:
    return _case(f"V1, {name}", PREDICT, dump(body), says, status)


def _v2(name: str, body: object, says: str, status: int = 400) -> Case:
    return _case(f"V2, {name}", INFER, dump(body), says, status)


def _case(name: str, path: str, body: bytes, says: str, status: int = 400) -> Case:
    return Case(name=f"features, {name}", model=NAME, path=path, body=body, says=says, status=status)
