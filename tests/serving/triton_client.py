"""Triton's gRPC client beside the predictor, and its messages for what the client itself would not send."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from predictor import PATIENCE, Predictor, predictor
from questions import DATATYPES
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput, service_pb2

FIELDS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
SERVICE = "/inference.GRPCInferenceService/"


@contextmanager
def rpc_predictor(arguments: Sequence[object], home: Path) -> Iterator[Predictor]:
    with predictor([*arguments, "--grpc-port", "0"], home) as running:
        yield running


def address(running: Predictor) -> str:
    return f"127.0.0.1:{running.ready['grpc_port']}"


@contextmanager
def triton(running: Predictor) -> Iterator[InferenceServerClient]:
    client = InferenceServerClient(address(running))
    try:
        yield client
    finally:
        client.close()


@contextmanager
def stream(client: InferenceServerClient) -> Iterator[queue.Queue[tuple[Any, Any]]]:
    """An open stream: its results and errors come into the queue. A test that fails does not wait for the rest."""
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    try:
        yield answers
    except BaseException:
        client.stop_stream(cancel_requests=True)
        raise
    client.stop_stream()


def inputs(features: Mapping[str, NDArray[Any]]) -> list[InferInput]:
    """The features as Triton's client sends them: raw."""
    made = []
    for name, values in features.items():
        tensor = InferInput(name, list(values.shape), DATATYPES[values.dtype.name])
        made.append(tensor.set_data_from_numpy(values))
    return made


def wanted(*names: str) -> list[InferRequestedOutput]:
    return [InferRequestedOutput(name) for name in names]


def raw_message(features: Mapping[str, NDArray[Any]], model: str = "wardrobe") -> Any:
    message = service_pb2.ModelInferRequest(model_name=model)
    for tensor in inputs(features):
        message.inputs.append(tensor._get_tensor())
        message.raw_input_contents.append(tensor._get_content())
    return message


def typed_message(features: Mapping[str, NDArray[Any]], model: str = "wardrobe") -> Any:
    message = service_pb2.ModelInferRequest(model_name=model)
    for name, values in features.items():
        datatype = DATATYPES[values.dtype.name]
        tensor = message.inputs.add(name=name, datatype=datatype, shape=values.shape)
        getattr(tensor.contents, FIELDS[datatype]).extend(values.ravel().tolist())
    return message


def typed_outputs(answer: Any) -> dict[str, NDArray[Any]]:
    return {
        output.name: np.array(getattr(output.contents, FIELDS[output.datatype])).reshape(output.shape)
        for output in answer.outputs
    }


@contextmanager
def channel_to(running: Predictor) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(address(running)) as channel:
        yield channel


def send(channel: grpc.Channel, data: bytes, method: str = "ModelInfer", **settings: Any) -> Any:
    """Send bytes as they are; the answer as a message, or grpc.RpcError."""
    ask = channel.unary_unary(SERVICE + method, response_deserializer=service_pb2.ModelInferResponse.FromString)
    return ask(data, timeout=PATIENCE, **settings)


def refusal(channel: grpc.Channel, data: bytes, method: str = "ModelInfer", **settings: Any) -> tuple[str, str]:
    """The name of the status, and its text, with which the bytes are refused; OK if they are not."""
    try:
        send(channel, data, method, **settings)
    except grpc.RpcError as error:
        return error.code().name, error.details()
    return "OK", ""
