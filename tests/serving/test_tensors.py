"""Columns of every type: what is written as JSON or in binary is read as it was, and nothing else is."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import numpy as np
import pytest
from corpus.forms import to_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from noria.ml.inference import DATATYPES, TENSOR_TYPES
from noria.schema import NUMPY_TYPES, Column
from serving.binary import read_block, write_block
from serving.protocol import OutputSpec, RequestReader
from serving.refusal import RequestError
from serving.tensors import JSON_TYPES, ColumnReader

TYPES = sorted(DATATYPES)
INTEGERS = [name for name in TYPES if "int" in name]
FLOATS = [name for name in TYPES if name.startswith("float")]
SHAPES = ((), (1,), (3,), (2, 2), (1, 2, 1))
OUTPUTS = (OutputSpec(name="label", datatype="INT64", shape=()),)


def column(kind: str, shape: tuple[int, ...] = (), **more: Any) -> Column:
    return Column(name="x", type=kind, role="feature", shape=shape, **more)


def values(kind: str) -> st.SearchStrategy[Any]:
    if kind == "string":
        return st.text(st.characters(exclude_categories=["Cs"]))
    if kind in FLOATS:
        return st.floats(allow_nan=False, allow_infinity=False, width=int(kind[5:]))
    return hnp.from_dtype(NUMPY_TYPES[kind])


@st.composite
def arrays(draw: st.DrawFn) -> tuple[Column, np.ndarray]:
    kind, shape = draw(st.sampled_from(TYPES)), draw(st.sampled_from(SHAPES))
    whole = (draw(st.integers(1, 4)), *shape)
    return column(kind, shape), draw(hnp.arrays(NUMPY_TYPES[kind], whole, elements=values(kind)))


def ask(given: Column, array: np.ndarray, data: object) -> bytes:
    tensor = {"name": given.name, "shape": list(array.shape), "datatype": DATATYPES[given.type], "data": data}
    return json.dumps({"inputs": [tensor]}).encode()


def test_every_type_that_a_model_takes_can_be_asked_in():
    assert JSON_TYPES.keys() == DATATYPES.keys()
    assert {NUMPY_TYPES[name] for name in DATATYPES} == set(TENSOR_TYPES.values())


@settings(max_examples=200, deadline=None)
@given(arrays())
def test_what_is_written_as_json_is_read_as_it_was(sample: tuple[Column, np.ndarray]):
    given, array = sample
    reader = RequestReader([given], OUTPUTS, 4)
    bodies = [ask(given, array, array.ravel().tolist()), ask(given, array, array.tolist())]
    found = [reader.read_v2(body, None).features["x"] for body in bodies]
    found.append(reader.read_v1(json.dumps({"instances": array.tolist()}).encode()).features["x"])
    objects = [{"x": row} for row in array.tolist()]
    found.append(reader.read_v1(json.dumps({"instances": objects}, ensure_ascii=False).encode()).features["x"])
    for each in found:
        assert each.dtype == array.dtype
        np.testing.assert_array_equal(each, array, strict=True)


@settings(max_examples=200, deadline=None)
@given(arrays(), st.binary(max_size=9))
def test_what_is_written_in_binary_is_read_as_it_was(sample: tuple[Column, np.ndarray], before: bytes):
    given, array = sample
    block = write_block(array)
    assert block == to_bytes(array)
    found = read_block(ColumnReader(given), before + block, len(before), len(block), len(array))
    np.testing.assert_array_equal(found, array, strict=True)
    assert found.flags.aligned


@pytest.mark.parametrize("kind", INTEGERS)
def test_an_integer_beyond_its_type_is_refused_and_the_last_one_in_it_is_not(kind: str):
    reader, limits = ColumnReader(column(kind)), np.iinfo(kind)
    assert reader.read(f"[{limits.min}, {limits.max}]".encode(), 2).tolist() == [limits.min, limits.max]
    for text in (str(limits.min - 1), str(limits.max + 1), "1.0", "1e0", "true", "null", '"1"', "[1]"):
        with pytest.raises(RequestError, match="data of 'x'"):
            reader.read(f"[0, {text}]".encode(), 2)


@pytest.mark.parametrize("kind", FLOATS)
def test_a_float_beyond_its_type_is_refused_and_the_last_one_in_it_is_not(kind: str):
    reader, most = ColumnReader(column(kind)), float(np.finfo(kind).max)
    assert reader.read(f"[{most!r}, {-most!r}]".encode(), 2).tolist() == [most, -most]
    for text in (repr(most * 1.01) if kind != "float64" else "1.8e308", "-1e400", "true", "null", '"1"'):
        with pytest.raises(RequestError, match="data of 'x'"):
            reader.read(f"[0, {text}]".encode(), 2)


@pytest.mark.parametrize(("kind", "low", "high", "step"), [
    ("uint8", 3, 200, 1), ("int16", -5, 5, 1), ("uint64", 2, 2**60, 1), ("int64", -(2**40), 2**40, 1),
    ("float32", 0.1, 0.3, 1e-6), ("float64", -0.1, 0.3, 1e-12), ("float16", 0.5, 2, 0.01),
])  # fmt: skip
def test_the_range_of_a_column_holds_its_ends_and_nothing_beyond(kind: str, low: float, high: float, step: float):
    reader = ColumnReader(column(kind, minimum=low, maximum=high, unit="m"))
    for good in (low, high):
        json_read = reader.read(f"[{good}]".encode(), 1)
        binary = write_block(np.array([good], kind))
        np.testing.assert_array_equal(json_read, read_block(reader, binary, 0, len(binary), 1))
    for bad in (low - step, high + step):
        with pytest.raises(RequestError, match=r"at \[0\]: expected .* m"):
            reader.read(f"[{bad}]".encode(), 1)
        block = write_block(np.array([bad], kind))
        with pytest.raises(RequestError, match=r"at \[0\]: expected"):
            read_block(reader, block, 0, len(block), 1)


@pytest.mark.parametrize("kind", FLOATS)
def test_a_missing_float_is_nan_as_a_whole_or_refused(kind: str):
    plain, missing = ColumnReader(column(kind, (2,))), ColumnReader(column(kind, (2,), maximum_null_share=0.5))
    assert np.isnan(missing.read(b"[1, 2, null, null]", 2)).tolist() == [[False, False], [True, True]]
    for reader, data in ((plain, b"[1, 2, null, null]"), (missing, b"[1, 2, 3, null]")):
        with pytest.raises(RequestError):
            reader.read(data, 2)
    block = np.array([[1, np.inf]], kind).tobytes()
    for reader in (plain, missing):
        with pytest.raises(RequestError, match=r"has inf at \[0, 1\]"):
            read_block(reader, block, 0, len(block), 1)


def test_types_without_a_mark_for_missing_values_never_take_null():
    for kind in ("int64", "uint8", "bool", "string"):
        with pytest.raises(RequestError, match="null"):
            ColumnReader(column(kind, maximum_null_share=0.5)).read(b"[null]", 1)


def test_memory_is_bounded_by_a_small_multiple_of_the_body():
    import tracemalloc

    readers = {kind: RequestReader([column(kind, (100,))], OUTPUTS, 1000) for kind in ("uint8", "float64", "string")}
    bodies = {
        "uint8": b"[" + b"1," * 999_999 + b"1]",
        "float64": b"[" + b"1," * 99_999 + b"1]",
        "string": b'["",' + b'"ab",' * 999_999 + b'""]',
    }
    for kind, data in bodies.items():
        start = b'{"inputs":[{"name":"x","shape":[1000,100],"datatype":"%b","data":' % DATATYPES[kind].encode()
        body = start + data + b"}]}"
        tracemalloc.start()
        with contextlib.suppress(RequestError):
            readers[kind].read_v2(body, None)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 24 * len(body), kind  # a float of JSON's two bytes takes 24, and its places in two lists


CHOICES = ("EWR", "JFK")


def read_everywhere(given: Column, rows: list[Any], shape: list[int]) -> list[np.ndarray]:
    """Read the same texts as V1 and V2 and in binary; None, which binary does not have, stands there as ""."""
    reader = RequestReader([given], OUTPUTS, 4)
    flat = np.array(rows, object).reshape(shape)
    block = write_block(np.array([text or "" for text in flat.ravel().tolist()], object))
    return [
        reader.read_v2(ask(given, flat, flat.ravel().tolist()), None).features["x"],
        reader.read_v1(json.dumps({"instances": rows}).encode()).features["x"],
        reader.read_v1(json.dumps({"instances": [{"x": row} for row in rows]}).encode()).features["x"],
        read_block(ColumnReader(given), block, 0, len(block), len(flat)),
    ]


@pytest.mark.parametrize("rows", [["JFK", None, "", "LGA"], [["JFK", "EWR"], [None, None], ["", "LGA"]]])
def test_a_text_that_may_be_missing_may_be_any_and_null_is_the_empty_one(rows: list[Any]):
    shape = list(np.array(rows, object).shape)
    given = column("string", tuple(shape[1:]), choices=CHOICES, maximum_null_share=0.1)
    for found in read_everywhere(given, rows, shape):
        assert found.ravel().tolist() == [text or "" for text in np.array(rows, object).ravel().tolist()]


@pytest.mark.parametrize("text", ["LGA", "", "jfk", None])
def test_a_text_that_must_be_a_choice_is_refused_when_it_is_none(text: str | None):
    said = "null" if text is None else r"at \[1\]: expected one of \['EWR', 'JFK'\]"
    given = column("string", choices=CHOICES)
    reader = RequestReader([given], OUTPUTS, 4)
    for read in (
        lambda: reader.read_v2(ask(given, np.array(["JFK", text], object), ["JFK", text]), None),
        lambda: reader.read_v1(json.dumps({"instances": ["JFK", text]}).encode()),
        lambda: reader.read_v1(json.dumps({"instances": [{"x": "JFK"}, {"x": text}]}).encode()),
    ):
        with pytest.raises(RequestError, match=said):
            read()
    if text is not None:
        block = write_block(np.array([text], object))
        with pytest.raises(RequestError, match="expected one of"):
            read_block(ColumnReader(given), block, 0, len(block), 1)
    assert all((found == ["JFK", "EWR"]).all() for found in read_everywhere(given, ["JFK", "EWR"], [2]))


def test_a_part_of_a_missing_text_is_refused():
    given = column("string", (2,), choices=CHOICES, maximum_null_share=0.1)
    with pytest.raises(RequestError, match=r"has None at \[1, 0\]: expected one of .* or null for a value"):
        RequestReader([given], OUTPUTS, 4).read_v1(b'{"instances": [["JFK", "EWR"], [null, "EWR"]]}')


def test_a_key_that_stands_twice_beside_a_missing_text_is_seen():
    given = [column("string", choices=CHOICES, maximum_null_share=0.1), Column(name="y", type="bool", role="feature")]
    reader = RequestReader(given, OUTPUTS, 4)
    assert reader.read_v1(b'{"instances": [{"x": null, "y": true}]}').features["x"].tolist() == [""]
    for twice in (b'"x": null, "x": null', b'"x": "JFK", "x": null', b'"x": null, "x": "JFK"'):
        with pytest.raises(RequestError, match="a key twice"):
            reader.read_v1(b'{"instances": [{%b, "y": true}]}' % twice)
