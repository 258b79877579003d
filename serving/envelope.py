"""Envelope: the JSON around the data of a request, decoded once and held to one meaning."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from serving.jsontext import count_texts, decode
from serving.refusal import RequestError, show

Parameters = dict[str, bool | int | float | str]
Optional = Parameters | None | UnsetType

ENVELOPE_BYTES = 65_536  # around the data; far more than any model's inputs need, and little to look through
SHORT = 64  # bytes of data that are not worth cutting out


class InputTensor(msgspec.Struct, frozen=True, gc=False):
    """One input of a V2 request; its data are here as JSON, or follow in binary if its parameters say so."""

    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw = msgspec.Raw()  # empty where there are none
    parameters: Optional = UNSET


class OutputChoice(msgspec.Struct, frozen=True, gc=False):
    """An output that the client asks for."""

    name: str
    parameters: Optional = UNSET


class V2Envelope(msgspec.Struct, frozen=True, gc=False):
    """A V2 request."""

    inputs: list[InputTensor]
    outputs: list[OutputChoice] | UnsetType | None = UNSET
    id: str | UnsetType | None = UNSET
    parameters: Optional = UNSET


class V1Envelope(msgspec.Struct, frozen=True, gc=False):
    """A V1 request."""

    instances: msgspec.Raw
    id: str | UnsetType | None = UNSET
    parameters: Optional = UNSET


_V2 = msgspec.json.Decoder(V2Envelope)
_V1 = msgspec.json.Decoder(V1Envelope)


def open_v2(text: bytes) -> V2Envelope:
    """Decode a V2 request; RequestError unless it is one JSON object in UTF-8 whose keys stand once each."""
    _check_text(text)
    envelope = decode(_V2.decode, text, "request body")
    if count_texts(text) != _count_v2(envelope):
        _check_keys(text, [bytes(tensor.data) for tensor in envelope.inputs])
    return envelope


def open_v1(text: bytes) -> V1Envelope:
    """Decode a V1 request in the same way; keys inside its instances are the reader's matter."""
    _check_text(text)
    envelope = decode(_V1.decode, text, "request body")
    instances = bytes(envelope.instances)
    if count_texts(text) != 1 + _count_member(envelope.id) + _count(envelope.parameters) + count_texts(instances):
        _check_keys(text, [instances])
    return envelope


def _check_text(text: bytes) -> None:
    """Hold the whole text to UTF-8: the decoder looks only at what it keeps."""
    if not text:
        raise RequestError("the request body is empty: expected a JSON object")
    if text.isascii():
        return
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise RequestError(
            f"request body is not UTF-8 at byte {error.start}: expected JSON in UTF-8, and the header "
            "Inference-Header-Content-Length where binary tensors follow it"
        ) from error


def _count_v2(envelope: V2Envelope) -> int:
    """Count the keys and texts that the decoder has kept; a document with more of them has a key twice, or another."""
    texts = 1 + _count_member(envelope.id) + _count(envelope.parameters)
    for tensor in envelope.inputs:
        texts += 5 + _count(tensor.parameters)
        data = bytes(tensor.data)
        if data:
            texts += 1 + (count_texts(data) if tensor.datatype == "BYTES" else 0)
    if envelope.outputs is not UNSET:
        texts += 1
        for output in envelope.outputs or ():
            texts += 2 + _count(output.parameters)
    return texts


def _count_member(value: str | UnsetType | None) -> int:
    return 0 if value is UNSET else 1 if value is None else 2


def _count(parameters: Optional) -> int:
    if parameters is UNSET:
        return 0
    if not parameters:
        return 1
    return 1 + len(parameters) + sum([isinstance(value, str) for value in parameters.values()])


def _check_keys(text: bytes, datas: Sequence[bytes]) -> None:
    """Look at every key of a document that has unknown ones or some twice; its data are cut out, for they are large."""
    for data in datas:
        if len(data) > SHORT:
            text = text.replace(data, b"0", 1)
    if len(text) > ENVELOPE_BYTES:
        raise RequestError(f"request body has {len(text)} bytes beside its data: expected at most {ENVELOPE_BYTES}")
    try:
        json.loads(text, object_pairs_hook=_refuse_twice)
    except (ValueError, RecursionError) as error:
        raise RequestError("request body has a value that cannot be read: expected plain JSON") from error


def _refuse_twice(pairs: list[tuple[str, Any]]) -> None:
    keys = set()
    for key, _ in pairs:
        if key in keys:
            raise RequestError(f"request body has the key {show(key)} twice in one object: expected each key once")
        keys.add(key)
