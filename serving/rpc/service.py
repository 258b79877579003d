"""Service: the methods of GRPCInferenceService, each from the bytes of a message to those of its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Any

import grpc

from noria import __version__
from serving.app import EXTENSIONS, Standing
from serving.batching import OverloadError
from serving.hub import Hub
from serving.metrics import Metrics
from serving.options import Limits
from serving.protocol import describe_inputs, describe_outputs
from serving.refusal import RequestError
from serving.rpc import schema
from serving.rpc.asking import PROTOCOL, Inference
from serving.rpc.messages import Message, parse
from serving.rpc.status import OK, Refusal, refuse
from serving.rpc.stream import Streams

NAME = "inference.GRPCInferenceService"
PLATFORM = "onnxruntime_onnx"
# Methods of Triton and KServe that this port will never have, and where to go instead.
ABSENT: Mapping[str, str] = {
    **dict.fromkeys(
        ("RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload"),
        "this port loads and unloads nothing: the admin port does, where it is switched on",
    ),
    **dict.fromkeys(
        (f"{kind}SharedMemory{verb}" for kind in ("System", "Cuda") for verb in ("Status", "Register", "Unregister")),
        "there is no shared memory: send tensors in the message",
    ),
    "ModelConfig": "models have no Triton configuration: ModelMetadata tells their inputs and outputs",
    "ModelStatistics": "figures are at /metrics of the HTTP port",
    "TraceSetting": "there are no traces to set",
    "LogSettings": "logs are set by the server's command line",
}

Context = Any  # grpc.aio.ServicerContext, whose types say less than they should


class Service:
    """Reads every message itself, so that what is wrong with it is told as the client's mistake.

    All methods are streams of requests to gRPC, which is the same on the wire: so a message that is slow in coming, or
    does not come at all, is ours to refuse.
    """

    def __init__(self, hub: Hub, limits: Limits, metrics: Metrics, standing: Standing) -> None:
        self._hub = hub
        self._limits = limits
        self._metrics = metrics
        self._standing = standing
        self._open = 0
        self.inference = Inference(hub, limits, metrics)
        self.streams = Streams(self.inference)

    def handlers(self) -> grpc.GenericRpcHandler:
        """All methods, for gRPC's server."""
        quick = {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ServerMetadata": self._server_metadata,
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model_metadata,
            **{name: _absent(name, advice) for name, advice in ABSENT.items()},
        }
        methods = {name: grpc.stream_unary_rpc_method_handler(self._quick(answer)) for name, answer in quick.items()}
        methods["ModelInfer"] = grpc.stream_unary_rpc_method_handler(self._infer)
        methods["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(self._stream)
        return grpc.method_handlers_generic_handler(NAME, methods)

    async def _infer(self, _: object, context: Context) -> bytes:
        received = monotonic()
        self._open += 1
        try:
            outcome = await self._read(context)
            if isinstance(outcome, bytes):
                outcome = await self.inference.answer(outcome, received, context.time_remaining())
        finally:
            self._open -= 1
        return await _give(outcome, context)

    async def _stream(self, _: object, context: Context) -> None:
        self._open += 1
        try:
            outcome = self._full() if self._is_full else await self.streams.answer(context)
        finally:
            self._open -= 1
        if outcome is not None:
            await _give(outcome, context)

    def _quick(self, answer: Callable[[bytes], Message]) -> Callable[[object, Context], Awaitable[bytes]]:
        """A method that needs no model to run."""

        async def handle(_: object, context: Context) -> bytes:
            self._open += 1
            try:
                outcome = await self._read(context)
                if isinstance(outcome, bytes):
                    outcome = self._attempt(answer, outcome)
            finally:
                self._open -= 1
            return await _give(outcome, context)

        return handle

    def _attempt(self, answer: Callable[[bytes], Message], data: bytes) -> bytes | Refusal:
        try:
            text: bytes = answer(data).SerializeToString()
        except Exception as fault:  # noqa: BLE001 - the outermost door: whatever happens, the client is told
            return self._count(refuse(fault))
        self._metrics.other_requests[PROTOCOL, OK] += 1
        return text

    async def _read(self, context: Context) -> bytes | Refusal:
        """The request's one message, or why there is none."""
        if self._is_full:
            return self._full()
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                message = await context.read()
        except TimeoutError:
            return self._count(Refusal(status=408, message="the message was not whole in time: expected it at once"))
        if message is grpc.aio.EOF:
            return self._count(Refusal(status=400, message="found no message: expected one"))
        data: bytes = message
        return data

    @property
    def _is_full(self) -> bool:
        return self._open > self._limits.connections

    def _full(self) -> Refusal:
        most = self._limits.connections
        return self._count(refuse(OverloadError(f"{most} calls are open, the limit: come back in a second", 1)))

    def _count(self, refusal: Refusal) -> Refusal:
        self._metrics.other_requests[PROTOCOL, refusal.status] += 1
        return refusal

    @property
    def _is_ready(self) -> bool:
        return not self._standing.draining and self._hub.ready

    def _server_live(self, _: bytes) -> Message:
        return schema.ServerLiveResponse(live=True)

    def _server_ready(self, _: bytes) -> Message:
        return schema.ServerReadyResponse(ready=self._is_ready)

    def _server_metadata(self, _: bytes) -> Message:
        return schema.ServerMetadataResponse(name="noria", version=__version__, extensions=EXTENSIONS)

    def _model_ready(self, data: bytes) -> Message:
        request = parse(schema.ModelReadyRequest, data)
        occupant = self._hub.find(request.name, request.version or None)
        return schema.ModelReadyResponse(ready=not self._standing.draining and not occupant.stuck)

    def _model_metadata(self, data: bytes) -> Message:
        request = parse(schema.ModelMetadataRequest, data)
        model = self._hub.find(request.name, request.version or None).model
        tensor = schema.ModelMetadataResponse.TensorMetadata
        return schema.ModelMetadataResponse(
            name=model.name,
            versions=[one.model.version for one in self._hub.slots[model.name].occupants],
            platform=PLATFORM,
            inputs=[tensor(**each) for each in describe_inputs(model.facts.schema.features)],
            outputs=[tensor(**each) for each in describe_outputs(model.outputs)],
        )


def _absent(name: str, advice: str) -> Callable[[bytes], Message]:
    def answer(_: bytes) -> Message:
        raise RequestError(f"{name} is not answered: {advice}", 501)

    return answer


async def _give(outcome: bytes | Refusal, context: Context) -> bytes:
    """The answer itself, or the end of the call for a refusal."""
    if isinstance(outcome, bytes):
        return outcome
    try:
        raise await context.abort(outcome.code, outcome.message, outcome.trailers)  # it raises itself
    except grpc.aio.InternalError as error:  # the client has gone before grpc has noticed: there is nobody to tell
        raise asyncio.CancelledError from error
