"""App: the HTTP side of the predictor, as a bare ASGI application: addresses, answers, refusals."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from noria import __version__
from noria.errors import ServingError
from noria.ml.decision import decide
from serving.batching import OverloadError
from serving.body import read_body
from serving.metrics import CONTENT_TYPE, Metrics
from serving.options import Limits
from serving.protocol import (
    Answer,
    PredictionRequest,
    describe_inputs,
    describe_outputs,
    encode_v1,
    encode_v2,
)
from serving.slot import Occupant, Slot
from serving.tensors import RequestError

log = logging.getLogger("serving")

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
MODEL = r"/v2/models/(?P<model>[^/]+)(?:/versions/(?P<version>[^/]+))?"


@dataclass(frozen=True, kw_only=True)
class Response:
    """What goes back to the client."""

    status: int = 200
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request, as far as its address and its headers tell; `receive` brings its body."""

    headers: Mapping[bytes, bytes]
    receive: Receive
    model: str | None = None
    version: str | None = None


@dataclass(frozen=True, kw_only=True)
class Route:
    """An address, the one method that it takes, and who answers."""

    endpoint: str
    method: str
    pattern: re.Pattern[str]
    answer: Callable[[Call], Awaitable[Response]]


class App:
    """The predictor as ASGI: every request gets an answer in JSON, whatever it is and whatever the model does."""

    def __init__(self, slot: Slot, limits: Limits, metrics: Metrics) -> None:
        self._slot = slot
        self._limits = limits
        self._metrics = metrics
        self._routes = (
            Route(endpoint="infer", method="POST", pattern=re.compile(MODEL + "/infer"), answer=self._infer),
            Route(
                endpoint="predict",
                method="POST",
                pattern=re.compile(r"/v1/models/(?P<model>[^/]+):predict"),
                answer=self._predict,
            ),
            _get("live", "/v2/health/live", self._live),
            _get("ready", "/v2/health/ready", self._ready),
            _get("model_ready", MODEL + "/ready", self._model_ready),
            _get("model", MODEL, self._model),
            _get("v1_models", "/v1/models", self._v1_models),
            _get("v1_model", r"/v1/models/(?P<model>[^/:]+)", self._v1_model),
            _get("server", "/v2", self._server),
            _get("metrics", "/metrics", self._show_metrics),
            _get("root", "/", self._root),
        )

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        with self._metrics.in_flight.track_inprogress():
            endpoint, response = await self._answer(scope, receive)
            self._metrics.count_request(endpoint, response.status, time.perf_counter() - started)
            headers = {
                "content-type": "application/json",
                "content-length": str(len(response.body)),
                **response.headers,
            }
            if self._slot.draining:
                headers["connection"] = "close"  # the client's next request belongs to another server
            encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": response.status, "headers": encoded})
            await send({"type": "http.response.body", "body": response.body})

    async def _answer(self, scope: Mapping[str, Any], receive: Receive) -> tuple[str, Response]:
        endpoint = "unknown"
        try:
            route, named = self._find_route(scope["method"], scope["path"])
            endpoint = route.endpoint
            return endpoint, await route.answer(Call(headers=dict(scope["headers"]), receive=receive, **named))
        except RequestError as error:
            return endpoint, _refuse(error.status, str(error), error.headers)
        except OverloadError as error:
            return endpoint, _refuse(503, str(error), {"retry-after": "1"})
        except ServingError as error:
            log.warning("%s: %s", endpoint, error)
            return endpoint, _refuse(503, str(error))
        except asyncio.CancelledError:
            # The server cancels what outlasts its grace; the client is told, instead of being cut off.
            return endpoint, _refuse(503, "the server stops: ask again, another one answers", {"retry-after": "1"})
        except Exception:  # the outermost door: a fault of ours must not take the connection along
            log.exception("fault while answering %s", endpoint)
            return endpoint, _refuse(500, "a fault in the predictor: its log says where; report it with that log")

    def _find_route(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        for route in self._routes:
            match = route.pattern.fullmatch(path)
            if match is None:
                continue
            if method != route.method:
                message = f"found method {method[:20]}: expected {route.method}"
                raise RequestError(message, 405, {"allow": route.method})
            return route, match.groupdict()
        raise RequestError(f"nothing at {path[:100]!r}: expected an address below /v2, /v1/models or /metrics", 404)

    def _find(self, call: Call) -> Occupant:
        occupant = self._slot.occupant
        if call.model != occupant.model.name:
            raise RequestError(f"no model {str(call.model)[:100]!r}: expected {occupant.model.name!r}", 404)
        if not occupant.model.answers_to(call.version):
            found, expected = str(call.version)[:100], occupant.model.version
            raise RequestError(f"no version {found!r} of {occupant.model.name!r}: expected {expected!r}", 404)
        return occupant

    async def _infer(self, call: Call) -> Response:
        body = await read_body(call.headers, call.receive, self._limits.body_bytes)
        occupant = self._find(call)
        request = occupant.reader.read_v2(body)
        answer = await _ask(occupant, request)
        return Response(body=encode_v2(answer, request.outputs), headers={"noria-bundle": answer.bundle})

    async def _predict(self, call: Call) -> Response:
        body = await read_body(call.headers, call.receive, self._limits.body_bytes)
        occupant = self._find(call)
        answer = await _ask(occupant, occupant.reader.read_v1(body))
        return Response(body=encode_v1(answer), headers={"noria-bundle": answer.bundle})

    async def _live(self, _: Call) -> Response:
        return _json({"live": True})

    async def _ready(self, _: Call) -> Response:
        return _json({"ready": self._slot.ready}, 200 if self._slot.ready else 503)

    async def _model_ready(self, call: Call) -> Response:
        name = self._find(call).model.name
        return _json({"name": name, "ready": self._slot.ready}, 200 if self._slot.ready else 503)

    async def _model(self, call: Call) -> Response:
        model = self._find(call).model
        classes = msgspec.json.encode(model.facts.classes).decode()
        return _json(
            {
                "name": model.name,
                "versions": [model.version],
                "platform": "onnxruntime_onnx",
                "inputs": describe_inputs(model.facts.schema.features),
                "outputs": describe_outputs(len(model.facts.classes)),
                "parameters": {"bundle": model.digest, "task": model.facts.task, "classes": classes},
            }
        )

    async def _v1_models(self, _: Call) -> Response:
        return _json({"models": [self._slot.occupant.model.name]})

    async def _v1_model(self, call: Call) -> Response:
        return _json({"name": self._find(call).model.name, "ready": self._slot.ready}, 200 if self._slot.ready else 503)

    async def _server(self, _: Call) -> Response:
        return _json({"name": "noria", "version": __version__, "extensions": []})

    async def _show_metrics(self, _: Call) -> Response:
        return Response(body=self._metrics.render(), headers={"content-type": CONTENT_TYPE})

    async def _root(self, _: Call) -> Response:
        model = self._slot.occupant.model
        return _json({"name": "noria", "version": __version__, "model": model.name, "bundle": model.digest})


async def _ask(occupant: Occupant, request: PredictionRequest) -> Answer:
    probabilities = await occupant.batcher.predict(request.features, request.rows)
    model = occupant.model
    return Answer(
        id=request.id,
        model=model.name,
        version=model.version,
        bundle=model.digest,
        classes=model.facts.classes,
        probabilities=probabilities,
        labels=decide(probabilities, model.facts.costs),
    )


def _get(endpoint: str, pattern: str, answer: Callable[[Call], Awaitable[Response]]) -> Route:
    return Route(endpoint=endpoint, method="GET", pattern=re.compile(pattern), answer=answer)


def _json(content: object, status: int = 200) -> Response:
    return Response(status=status, body=msgspec.json.encode(content))


def _refuse(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(status=status, body=msgspec.json.encode({"error": message}), headers=headers or {})
