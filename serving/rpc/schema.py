"""Schema: the classes of the protocol's messages, from the compiled form of inference.proto."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

# A pool of our own: the clients that others wrote bring messages of the same names, and one process may hold both.
_POOL = DescriptorPool()
for _file in FileDescriptorSet.FromString(Path(__file__).with_name("inference.binpb").read_bytes()).file:
    _POOL.AddSerializedFile(_file.SerializeToString())


def _load(name: str) -> Any:
    return GetMessageClass(_POOL.FindMessageTypeByName(f"inference.{name}"))


ServerLiveResponse = _load("ServerLiveResponse")
ServerReadyResponse = _load("ServerReadyResponse")
ServerMetadataResponse = _load("ServerMetadataResponse")
ModelReadyRequest = _load("ModelReadyRequest")
ModelReadyResponse = _load("ModelReadyResponse")
ModelMetadataRequest = _load("ModelMetadataRequest")
ModelMetadataResponse = _load("ModelMetadataResponse")
ModelInferRequest = _load("ModelInferRequest")
ModelInferResponse = _load("ModelInferResponse")
ModelStreamInferResponse = _load("ModelStreamInferResponse")
