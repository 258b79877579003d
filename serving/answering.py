"""Answering: inference requests of V1 and V2, from the body to the model's queue and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from serving.batch import Arrays
from serving.binary import parse_json_length
from serving.call import Call
from serving.exchange import Response
from serving.options import Limits
from serving.packing import unpack
from serving.protocol import Answer, PredictionRequest, RequestedOutput, encode_v1, encode_v2
from serving.refusal import RequestError
from serving.slot import Occupant

ENCODING, JSON_LENGTH = b"content-encoding", b"inference-header-content-length"
BINARY = b"application/octet-stream"
Write = Callable[[Occupant, PredictionRequest, Arrays], Response]


class Answering:
    """Reads requests, queues them for their model, and writes the answers."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def infer(self, call: Call, occupant: Occupant) -> None:
        """Answer a V2 request, in JSON or with binary tensors."""
        occupant.admit()
        body = self._body(call)
        length = call.request.headers.get(JSON_LENGTH)
        json_length = None if length is None else parse_json_length(length, len(body))
        request = occupant.reader.read_v2(body, json_length)
        self._submit(call, occupant, request, _write_v2)

    def predict(self, call: Call, occupant: Occupant) -> None:
        """Answer a V1 request."""
        occupant.admit()
        if JSON_LENGTH in call.request.headers:
            raise RequestError("found binary tensors: V1 expects all data in JSON; V2 takes them")
        request = occupant.reader.read_v1(self._body(call))
        self._submit(call, occupant, request, _write_v1)

    def _submit(self, call: Call, occupant: Occupant, request: PredictionRequest, write: Write) -> None:
        def done(outcome: Arrays | Exception, by: Occupant | None = None) -> None:
            if isinstance(outcome, Exception):
                call.refuse(outcome)
            else:
                call.attempt(lambda: call.answer(write(by or occupant, request, outcome)))

        call.request.body = b""  # what is needed of it is in the features by now
        waiting = occupant.submit(request, done)
        call.exchange.let_go = waiting.leave

    def _body(self, call: Call) -> bytes:
        encoding = call.request.headers.get(ENCODING)
        if encoding is None:
            return call.request.body
        return unpack(call.request.body, encoding, self._limits.body_bytes)


def _write_v2(occupant: Occupant, request: PredictionRequest, outputs: Arrays) -> Response:
    body, json_length = encode_v2(compose(occupant, request, outputs), choose(occupant, request))
    headers = _name(occupant, request)
    if json_length is None:
        return Response(body, 200, headers)
    return Response(body, 200, (*headers, (JSON_LENGTH, b"%d" % json_length)), BINARY)


def _write_v1(occupant: Occupant, request: PredictionRequest, outputs: Arrays) -> Response:
    return Response(encode_v1(compose(occupant, request, outputs)), 200, _name(occupant, request))


def _name(occupant: Occupant, request: PredictionRequest) -> tuple[tuple[bytes, bytes], ...]:
    """The headers that say who answers, and by what."""
    headers: tuple[tuple[bytes, bytes], ...] = ((b"noria-bundle", occupant.digest),)
    if occupant.fallback:
        headers += ((b"noria-fallback", occupant.fallback.encode()),)
    if request.note is not None:
        headers += ((b"noria-features", request.note.features.encode()),)
    return headers


def choose(occupant: Occupant, request: PredictionRequest) -> Sequence[RequestedOutput]:
    """The outputs that are asked for; of who stands in for the model, those that it has."""
    if not occupant.fallback:
        return request.outputs
    names = {spec.name for spec in occupant.model.outputs}
    return [output for output in request.outputs if output.name in names]


def compose(occupant: Occupant, request: PredictionRequest, outputs: Mapping[str, object]) -> Answer:
    """What the model's outputs are as an answer to the request."""
    model = occupant.model
    return Answer(
        id=request.id,
        model=model.name,
        version=model.version,
        bundle=model.digest,
        classes=model.facts.classes,
        outputs=outputs,  # type: ignore[arg-type]
        fallback=occupant.fallback,
        note=request.note,
    )
