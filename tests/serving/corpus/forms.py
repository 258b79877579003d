"""The two kinds of model that the corpus asks, and good requests to bend."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noria.ml.inference import DATATYPES
from noria.schema import Column

MAX_ROWS = 8
MAX_BODY = 200_000


@dataclass(frozen=True, kw_only=True)
class Form:
    """A model's name and features, and a good request to it."""

    model: str
    columns: tuple[Column, ...]
    make: Callable[[int], dict[str, NDArray[Any]]]

    @property
    def infer(self) -> str:
        return f"/v2/models/{self.model}/infer"

    @property
    def predict(self) -> str:
        return f"/v1/models/{self.model}:predict"

    @property
    def first(self) -> Column:
        return self.columns[0]

    def v2(self, rows: int = 2, **more: object) -> dict[str, Any]:
        """A good V2 request in JSON."""
        return {"inputs": [tensor(column, self.make(rows)[column.name]) for column in self.columns], **more}

    def v1(self, rows: int = 2) -> dict[str, Any]:
        """A good V1 request."""
        values = self.make(rows)
        if len(self.columns) == 1:
            return {"instances": values[self.first.name].tolist()}
        return {
            "instances": [
                {name: each[row : row + 1].tolist()[0] for name, each in values.items()} for row in range(rows)
            ]
        }

    def bend(self, column: str, /, **changes: object) -> bytes:
        """A good V2 request with one input changed."""
        return dump(
            {"inputs": [{**each, **changes} if each["name"] == column else each for each in self.v2()["inputs"]]}
        )

    def without(self, key: str) -> bytes:
        return dump({"inputs": [{k: v for k, v in each.items() if k != key} for each in self.v2()["inputs"]]})

    def splice(self, column: str, text: bytes) -> bytes:
        """A good V2 request whose data of one input are this text, which need not be JSON."""
        return self.bend(column, data="@@").replace(b'"@@"', text)

    def binary(
        self,
        *,
        sizes: Mapping[str, object] = {},
        blocks: Mapping[str, bytes] = {},
        json_inputs: tuple[str, ...] = (),
        tail: bytes = b"",
        changes: Mapping[str, Mapping[str, object]] = {},
        **more: object,
    ) -> tuple[bytes, int]:
        """A V2 request with tensors in binary, and the length of its JSON; `sizes` and `blocks` replace good ones."""
        inputs, data = [], b""
        for column in self.columns:
            each = tensor(column, self.make(2)[column.name])
            if column.name not in json_inputs:
                block = blocks.get(column.name, to_bytes(self.make(2)[column.name]))
                each.pop("data")
                each["parameters"] = {"binary_data_size": sizes.get(column.name, len(block))}
                data += block
            inputs.append({**each, **changes.get(column.name, {})})
        text = dump({"inputs": inputs, **more})
        return text + data + tail, len(text)


def tensor(column: Column, values: NDArray[Any]) -> dict[str, Any]:
    return {
        "name": column.name,
        "datatype": DATATYPES[column.type],
        "shape": list(values.shape),
        "data": values.ravel().tolist(),
    }


def to_bytes(values: NDArray[Any]) -> bytes:
    if values.dtype.kind != "O":
        return values.tobytes()
    texts = [text.encode() for text in values.ravel()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def dump(content: object) -> bytes:
    return json.dumps(content).encode()


def _pictures(rows: int) -> dict[str, NDArray[Any]]:
    return {"image": np.random.default_rng(5).integers(0, 256, (rows, 28, 28), dtype=np.uint8)}


def _customers(rows: int) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(5)
    return {
        "age": random.integers(18, 90, rows),
        "income": random.uniform(0, 9, rows).astype(np.float32),
        "scores": random.normal(size=(rows, 3)),
        "city": np.array([f"Città {row}" for row in range(rows)], object),
        "member": random.integers(0, 2, rows).astype(bool),
    }


PICTURE = Form(
    model="picture",
    columns=(Column(name="image", type="uint8", role="feature", shape=(28, 28), minimum=0, maximum=255),),
    make=_pictures,
)
CUSTOMER = Form(
    model="customer",
    columns=(
        Column(name="age", type="int64", role="feature", unit="years", minimum=0, maximum=120),
        Column(name="income", type="float32", role="feature", minimum=0),
        Column(name="scores", type="float64", role="feature", shape=(3,), maximum_null_share=0.1),
        Column(name="city", type="string", role="feature"),
        Column(name="member", type="bool", role="feature"),
    ),
    make=_customers,
)
FORMS = (PICTURE, CUSTOMER)
