"""A program for a Python that has kserve: ask the predictor with KServe's own clients; prints what they found as JSON.

Its arguments are the HTTP port, the gRPC port and a file with the features of some rows (.npz).
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import grpc
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.inference_client import InferenceGRPCClient

MODEL = "wardrobe"
DATATYPES = {"bool": "BOOL", "uint8": "UINT8", "int64": "INT64", "float32": "FP32", "float64": "FP64"}


def request(features: dict[str, np.ndarray], *, binary: bool) -> InferRequest:
    inputs = []
    for name, values in features.items():
        tensor = InferInput(name, list(values.shape), DATATYPES[values.dtype.name])
        tensor.set_data_from_numpy(values, binary_data=binary)
        inputs.append(tensor)
    return InferRequest(MODEL, inputs, request_id="mine")


def told(answer: Any) -> dict[str, Any]:
    return {
        "id": answer.id,
        "label": answer.get_output_by_name("label").as_numpy().tolist(),
        "probabilities": answer.get_output_by_name("probabilities").as_numpy().tolist(),
    }


async def ask_rest(url: str, features: dict[str, np.ndarray]) -> dict[str, Any]:
    v2 = InferenceRESTClient(RESTConfig(protocol="v2"))
    v1 = InferenceRESTClient(RESTConfig(protocol="v1"))
    rows = len(next(iter(features.values())))
    instances = [{name: values[row].tolist() for name, values in features.items()} for row in range(rows)]
    first = await v1.infer(url, {"instances": instances}, model_name=MODEL)
    return {
        "live": await v2.is_server_live(url),
        "ready": await v2.is_server_ready(url),
        "model_ready": await v2.is_model_ready(url, MODEL),
        "v1_ready": await v1.is_model_ready(url, MODEL),
        "v1": {
            "id": "mine",
            "label": [one["label"] for one in first["predictions"]],
            "probabilities": [one["probabilities"] for one in first["predictions"]],
        },
        "json": told(await v2.infer(url, request(features, binary=False), model_name=MODEL)),
        "binary": told(await v2.infer(url, request(features, binary=True), model_name=MODEL)),
    }


async def ask_grpc(address: str, features: dict[str, np.ndarray]) -> dict[str, Any]:
    async with InferenceGRPCClient(address) as client:
        try:
            await client.is_model_ready("nothing")
            unknown = "OK"
        except grpc.RpcError as error:
            unknown = error.code().name
        return {
            "live": await client.is_server_live(),
            "ready": await client.is_server_ready(),
            "model_ready": await client.is_model_ready(MODEL),
            "unknown": unknown,
            "typed": told(await client.infer(request(features, binary=False))),
            "raw": told(await client.infer(request(features, binary=True))),
        }


async def main(http_port: str, grpc_port: str, file: str) -> None:
    with np.load(file) as stored:
        features = {name: stored[name] for name in stored.files}
    found = {
        "rest": await ask_rest(f"http://127.0.0.1:{http_port}", features),
        "grpc": await ask_grpc(f"127.0.0.1:{grpc_port}", features),
    }
    sys.stdout.write(json.dumps(found))


asyncio.run(main(*sys.argv[1:]))
