"""Composing: bytes as choices from which a nearly good request is made, for random bytes are seldom JSON."""

from __future__ import annotations

import json
from typing import Any

from noria.ml.inference import DATATYPES
from noria.schema import Column

ODD: tuple[Any, ...] = (
    0, 1, 2, -1, 4, 255, 256, 2**31, 2**62, 2**63, 2**64, 1.0, 0.5, 1e39, 1e308, 65504.0, 65520.0, True, None, "", "x",
    "é", "\0", "\ud800", [], [1], [[]], {}, {"a": 1}, [None], ["a,b", "[c]"], float("nan"), float("inf"), -0.0, "\\\"",
)  # fmt: skip
KEYS = ("id", "outputs", "parameters", "inputs", "instances", "zz", "name", "data", "shape", "datatype", "label")
FLAGS = ("binary_data_size", "binary_data_output", "binary_data", "classification", "x")


class Choices:
    """Takes bytes as numbers below a limit; when they are used up, everything is 0, the good choice."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, below: int) -> int:
        value = self._data[self._at] % below if self._at < len(self._data) else 0
        self._at += 1
        return value

    def rest(self) -> bytes:
        return self._data[self._at :]

    def is_odd(self) -> bool:
        """Say, one time in sixteen, that something goes wrong."""
        return self.take(16) == 1

    def odd(self) -> Any:
        return ODD[self.take(len(ODD))]


def compose(columns: tuple[Column, ...], data: bytes, *, binary: bool) -> tuple[bytes, int]:
    """A V2 request made of these choices, and the length of its JSON; what follows the JSON are the bytes left over."""
    choices = Choices(data)
    rows = 1 + choices.take(3)
    inputs = [_input(choices, column, rows, binary=binary) for column in columns]
    if choices.is_odd():
        inputs.reverse()
    request: dict[str, Any] = {"inputs": inputs}
    if choices.is_odd():
        request["outputs"] = [{"name": "label", "parameters": {FLAGS[choices.take(5)]: choices.odd()}}]
    if choices.is_odd():
        request["parameters"] = {FLAGS[choices.take(5)]: choices.odd()}
    if choices.is_odd():
        request[KEYS[choices.take(len(KEYS))]] = choices.odd()
    text = _double(choices, json.dumps(request, indent=choices.take(2) or None).encode())
    if not binary:
        return text, len(text)
    size = choices.take(256) if choices.is_odd() else sum(map(_claim, inputs))
    return text + choices.rest()[:size].ljust(size, b"\0"), len(text)


def _input(choices: Choices, column: Column, rows: int, *, binary: bool) -> dict[str, Any]:
    shape = [rows, *column.shape]
    made: dict[str, Any] = {"name": column.name, "shape": shape, "datatype": DATATYPES[column.type]}
    count = 1
    for length in shape:
        count *= length
    if binary and not choices.is_odd():
        itemsize = 4 if column.type == "string" else column.dtype.itemsize
        size = count * itemsize + (choices.take(9) if choices.is_odd() else 0)
        made["parameters"] = {"binary_data_size": choices.odd() if choices.is_odd() else size}
    else:
        good: Any = {"O": "é,", "b": True}.get(column.dtype.kind, 1)
        values = [choices.odd() if choices.is_odd() else good for _ in range(count)]
        made["data"] = _nest(values, shape) if choices.take(2) else values
    if choices.is_odd():
        made[("name", "shape", "datatype", "data", "parameters", "zz")[choices.take(6)]] = choices.odd()
    return made


def _claim(made: dict[str, Any]) -> int:
    """The bytes that an input claims to have in binary, as far as that can be believed."""
    parameters = made.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    return size if isinstance(size, int) and 0 <= size < 1000 else 0


def _nest(values: list[Any], shape: list[int]) -> list[Any]:
    for length in reversed(shape[1:]):
        values = [values[start : start + length] for start in range(0, len(values), length)]
    return values


def _double(choices: Choices, text: bytes) -> bytes:
    """Give the outermost object a member twice, now and then."""
    if not choices.is_odd():
        return text
    key = json.dumps(KEYS[choices.take(len(KEYS))]).encode()
    return b"{%b:1,%b:%b,%b" % (key, key, json.dumps(choices.odd()).encode(), text[1:])
