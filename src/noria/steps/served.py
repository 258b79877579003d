"""Served: the real predictor as a subprocess, for as long as somebody here needs it."""

from __future__ import annotations

import http.client
import json
import math
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from noria.errors import ServingError
from noria.ml.inference import DATATYPES
from noria.schema import NUMPY_TYPES, Schema
from noria.steps.reply import read_reply

START_SECONDS = 30.0
TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the predictor said of the rows of one request."""

    id: str
    probabilities: NDArray[np.float64]  # (rows, classes)
    labels: NDArray[np.int64]
    bundle: str
    seconds: float
    fallback: str = ""  # what answered in the model's place; empty unless something did

    def is_of(self, bundle: str, classes: int) -> bool:
        """Whether the bundle's own model answered: its rule, which may stand in for that, is not what is on trial."""
        return self.bundle == bundle and not self.fallback and self.probabilities.shape[1] == classes


@dataclass(frozen=True, kw_only=True)
class Client:
    """Asks a predictor over one connection, in the V2 protocol."""

    connection: http.client.HTTPConnection
    model: str
    schema: Schema

    def ask(self, rows: Mapping[str, NDArray[Any]]) -> Answer:
        """Ask for the features of some rows; ServingError where the answer is none."""
        text, seconds = self.post(self.encode(rows))
        return self.read(text, len(rows[self.schema.features[0].name]), seconds)

    def ask_columns(self, columns: Mapping[str, NDArray[Any]]) -> Answer:
        """Ask with these columns as they are, by the types of their values: the predictor finds the other features."""
        inputs = [tensor_of(name, _type_of(values), values) for name, values in columns.items()]
        text, seconds = self.post(json.dumps({"inputs": inputs}).encode())
        return self.read(text, len(next(iter(columns.values()))), seconds)

    def encode(self, rows: Mapping[str, NDArray[Any]]) -> bytes:
        """The request that asks for these rows."""
        inputs = [tensor_of(column.name, DATATYPES[column.type], rows[column.name]) for column in self.schema.features]
        return json.dumps({"inputs": inputs}).encode()

    def post(self, body: bytes) -> tuple[bytes, float]:
        """Send a request; returns what came back, unread, and after how many seconds."""
        return self._exchange("POST", f"/v2/models/{self.model}/infer", body, {"content-type": "application/json"})

    def metrics(self) -> str:
        """What the predictor tells of itself, in Prometheus' text format."""
        return self._exchange("GET", "/metrics", None, {})[0].decode(errors="replace")

    def connect(self) -> Client:
        """The same over a connection of its own, which is the caller's to close."""
        connection = http.client.HTTPConnection(self.connection.host, self.connection.port, timeout=TIMEOUT_SECONDS)
        return replace(self, connection=connection)

    def _exchange(
        self, method: str, address: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[bytes, float]:
        start = time.perf_counter()
        try:
            self.connection.request(method, address, body, headers)
            response = self.connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            raise ServingError(
                f"the predictor gave no answer ({type(error).__name__}: {error}): look at its log"
            ) from error
        seconds = time.perf_counter() - start
        if response.status != http.client.OK:
            raise ServingError(
                f"the predictor answered {response.status} ({text[:300].decode(errors='replace')}): expected 200"
            )
        return text, seconds

    def read(self, text: bytes, rows: int, seconds: float) -> Answer:
        """Read what came back for so many rows; ServingError where it is no answer."""
        try:
            reply = read_reply(text, rows)
        except ValueError as error:
            raise ServingError(
                f"the predictor answered 200 with what is no answer ({error}): expected probabilities and labels for "
                f"{rows} rows; it began {text[:100].decode(errors='replace')!r}. Is it Noria's, of this version?"
            ) from error
        return Answer(
            id=reply.id,
            probabilities=reply.probabilities,
            labels=reply.labels,
            bundle=reply.bundle,
            seconds=seconds,
            fallback=reply.fallback,
        )


def tensor_of(name: str, datatype: str, values: NDArray[Any]) -> dict[str, Any]:
    """A tensor of a V2 request in JSON."""
    data = values.reshape(-1).tolist()
    if values.dtype.kind == "f" and np.isnan(values).any():
        data = [None if math.isnan(value) else value for value in data]  # JSON has no NaN
    return {"name": name, "datatype": datatype, "shape": list(values.shape), "data": data}


def _type_of(values: NDArray[Any]) -> str:
    kinds = {column: NUMPY_TYPES[column] for column in DATATYPES}
    return next(DATATYPES[column] for column, kind in kinds.items() if kind == values.dtype)


@contextmanager
def serving(arguments: Sequence[str], *, model: str, schema: Schema, root: Path) -> Iterator[Client]:
    """Start `python -m serving` with the arguments on a free loopback port; it ends with this block, and with us."""
    command = [sys.executable, "-m", "serving", *arguments, "--http-port", "0", "--exit-with-parent"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root, env=os.environ.copy())
    try:
        if process.stdout is None:
            raise ServingError("the predictor has no output to read: start it again")
        port = _wait_until_ready(process, process.stdout)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
        try:
            yield Client(connection=connection, model=model, schema=schema)
        finally:
            connection.close()
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()


def _wait_until_ready(process: subprocess.Popen[bytes], output: IO[bytes]) -> int:
    """Read the line by which the predictor says that it is ready; returns its port."""
    deadline = time.monotonic() + START_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([output], [], [], left)[0]:
            break
        line = output.readline()
        if not line:
            raise ServingError(f"the predictor ended with code {process.wait()} before it was ready: its log says why")
        try:
            return int(json.loads(line)["port"])
        except (ValueError, KeyError, TypeError):
            continue
    raise ServingError(f"the predictor was not ready within {START_SECONDS:.0f} s: its log says how far it came")
