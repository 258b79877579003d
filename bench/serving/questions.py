"""Questions: one request in the bytes that a protocol wants, and how its answer is read."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.serving.models import INPUT, TOLERANCE, Model
from noria.ml.inference import PROBABILITIES

Protocol = Literal["V2 binary", "V2 JSON", "plain JSON"]
LENGTH = "inference-header-content-length"


@dataclass(frozen=True, kw_only=True)
class Question:
    """A request, whole, and the answer that is right."""

    protocol: Protocol
    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    expected: NDArray[np.float32]

    def encode(self) -> bytes:
        """The request as it goes over the wire, on a connection that stays."""
        lines = [f"POST {self.path} HTTP/1.1", "Host: bench", f"Content-Length: {len(self.body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + self.body

    def check(self, headers: dict[str, str], body: bytes) -> None:
        """Raise ValueError unless the answer is the right one."""
        found = READERS[self.protocol](headers, body)
        if found.shape != self.expected.shape:
            raise ValueError(f"found probabilities of shape {found.shape}: expected {self.expected.shape}")
        # Written so that a NaN does not pass.
        if not (difference := np.abs(found - self.expected).max()) <= TOLERANCE:
            raise ValueError(f"the probabilities are off by {difference}: expected at most {TOLERANCE}")


def ask_v2_json(model: Model, rows: NDArray[Any]) -> tuple[dict[str, str], bytes]:
    tensor = {"name": INPUT, "shape": rows.shape, "datatype": model.datatype, "data": rows.ravel().tolist()}
    body = msgspec.json.encode({"inputs": [tensor], "outputs": [{"name": PROBABILITIES}]})
    return {"Content-Type": "application/json"}, body


def ask_v2_binary(model: Model, rows: NDArray[Any]) -> tuple[dict[str, str], bytes]:
    size = {"binary_data_size": rows.nbytes}
    tensor = {"name": INPUT, "shape": rows.shape, "datatype": model.datatype, "parameters": size}
    output = {"name": PROBABILITIES, "parameters": {"binary_data": True}}
    head = msgspec.json.encode({"inputs": [tensor], "outputs": [output]})
    return {"Content-Type": "application/octet-stream", LENGTH: str(len(head))}, head + rows.tobytes()


def ask_plain_json(_: Model, rows: NDArray[Any]) -> tuple[dict[str, str], bytes]:
    return {"Content-Type": "application/json"}, msgspec.json.encode({INPUT: rows.tolist()})


def read_v2_json(_: dict[str, str], body: bytes) -> NDArray[np.float32]:
    (output,) = _probabilities(msgspec.json.decode(body))
    return np.array(output["data"], np.float32).reshape(output["shape"])


def read_v2_binary(headers: dict[str, str], body: bytes) -> NDArray[np.float32]:
    end = int(headers[LENGTH])
    (output,) = _probabilities(msgspec.json.decode(body[:end]))
    size = output["parameters"]["binary_data_size"]
    if size != 4 * math.prod(output["shape"]) or len(body) != end + size:
        raise ValueError(f"found {len(body) - end} bytes of {size} for shape {output['shape']}")
    return np.frombuffer(body, np.float32, offset=end).reshape(output["shape"])


def read_plain_json(_: dict[str, str], body: bytes) -> NDArray[np.float32]:
    return np.array(msgspec.json.decode(body)[PROBABILITIES], np.float32)


def _probabilities(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [output for output in answer["outputs"] if output["name"] == PROBABILITIES]


WRITERS = {"V2 binary": ask_v2_binary, "V2 JSON": ask_v2_json, "plain JSON": ask_plain_json}
READERS = {"V2 binary": read_v2_binary, "V2 JSON": read_v2_json, "plain JSON": read_plain_json}


def make_question(protocol: Protocol, path: str, model: Model, rows: NDArray[Any]) -> Question:
    headers, body = WRITERS[protocol](model, rows)
    return Question(protocol=protocol, path=path, headers=headers, body=body, expected=model.answers(rows))
