"""OpenAPI: a document of the data port as it stands, with every served model's own requests and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from serving import shapes
from serving.column_shapes import STRING, Json, record
from serving.options import Limits

if TYPE_CHECKING:
    from serving.model import ServedModel

JSON, BINARY = "application/json", "application/octet-stream"
ABOUT = """\
The data port of a Noria predictor: the Open Inference Protocol (V2) and KServe's V1.

Every refusal is JSON with an `error` that says what was found and what is expected. HEAD is answered wherever GET is,
another method gets 405 with `Allow`, an unknown address 404. A body may be packed (`Content-Encoding: gzip` or
`deflate`) and may come in chunks. No number may be written as `1.0` where an integer is expected, and no key may stand
twice in an object.
"""
BINARY_ABOUT = (
    "JSON as in application/json, but each tensor that has `parameters.binary_data_size` in place of `data` follows as "
    "that many bytes, little-endian and in C order, in the tensors' order. `Inference-Header-Content-Length` is the "
    "length of the JSON."
)
REFUSALS: Mapping[int, str] = {
    400: "malformed HTTP, or a request that does not fit",
    404: "no such model or version",
    408: "the request was too slow in coming",
    413: "the body or its number of rows is over the limit",
    414: "the address is too long",
    415: "a content-encoding that is not known",
    431: "too many headers, or too long ones",
    503: "not ready, too many requests or connections, no answer in time, or the model failed; Retry-After says when "
    "to come back, where that may help",
}
READING = (400, 408, 413, 414, 431, 503)  # what any request may meet
ASKING = (*READING, 404)
INFERRING = (*ASKING, 415)


def describe(models: Sequence[ServedModel], version: str, max_rows: int = Limits.request_rows) -> bytes:
    """The document as JSON; of models with one name, the first answers where no version is named."""
    names: dict[str, list[ServedModel]] = {}
    for model in models:
        names.setdefault(model.name, []).append(model)
    components: Json = {"Error": record({"error": {**STRING, "description": "what was found, and what is expected"}})}
    paths = _server_paths()
    for versions in names.values():
        paths.update(_model_paths(versions, max_rows, components))
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "Noria predictor", "version": version, "description": ABOUT},
            "tags": [{"name": "V2"}, {"name": "V1"}, {"name": "Server"}],
            "paths": paths,
            "components": {"schemas": components, "responses": {str(s): _refusal(s) for s in REFUSALS}},
        }
    )


def _server_paths() -> Json:
    text: Json = {"schema": STRING}
    about = record({"name": STRING, "version": STRING, "models": {"type": "object", "additionalProperties": STRING}})
    server = record({"name": STRING, "version": STRING, "extensions": {"type": "array", "items": STRING}})
    ready = record({"ready": {"type": "boolean"}})
    named = {"type": "array", "items": STRING}
    reads: tuple[tuple[str, str, str, str, Json], ...] = (
        ("/", "Server", "root", "a page to try the model, or what the server is", {"text/html": text, **_json(about)}),
        ("/openapi.json", "Server", "openapi", "this document", _json({"type": "object", "required": ["openapi"]})),
        ("/metrics", "Server", "metrics", "all figures, for Prometheus", {"text/plain": text}),
        ("/v2", "V2", "server_metadata", "the server's name, version and extensions", _json(server)),
        ("/v2/health/live", "V2", "live", "whether the process lives", _json(record({"live": {"const": True}}))),
        ("/v1/models", "V1", "v1_models", "the names of all models", _json(record({"models": named}))),
    )
    paths: Json = {path: _get(tag, name, about, READING, content) for path, tag, name, about, content in reads}
    paths["/v2/health/ready"] = _get("V2", "ready", "whether requests should come here", READING, _json(ready), ready)
    return paths


def _model_paths(versions: Sequence[ServedModel], max_rows: int, components: Json) -> Json:
    """The addresses of one name; `versions` are all models of that name, the one that answers by default first."""
    name = quote(versions[0].name, safe="")
    mine = _Schemas(name, versions, max_rows, components)
    address, versioned = f"/v2/models/{name}", f"/v2/models/{name}/versions/{{version}}"
    ready = record({"name": {"const": versions[0].name}, "ready": {"type": "boolean"}})
    say_ready = "whether the model answers"
    paths: Json = {
        address: _get("V2", f"metadata_{name}", "what the model takes and gives", ASKING, _json(mine.one("Metadata"))),
        f"{address}/ready": _get("V2", f"ready_{name}", say_ready, ASKING, _json(ready), ready),
        f"{address}/infer": _infer(f"infer_{name}", mine.one("V2Request"), mine.one("V2Answer")),
        f"/v1/models/{name}": _get("V1", f"v1_ready_{name}", say_ready, ASKING, _json(ready), ready),
        f"/v1/models/{name}:predict": _predict(f"predict_{name}", mine.one("V1Request"), mine.one("V1Answer")),
    }
    of_version: dict[str, Json] = {
        versioned: _get("V2", f"metadata_{name}_version", "the same of a version", ASKING, _json(mine.all("Metadata"))),
        f"{versioned}/ready": _get("V2", f"ready_{name}_version", say_ready, ASKING, _json(ready), ready),
        f"{versioned}/infer": _infer(f"infer_{name}_version", mine.all("V2Request"), mine.all("V2Answer")),
    }
    parameter = {
        "name": "version",
        "in": "path",
        "required": True,
        "description": "a bundle's digest, or its first twelve characters",
        "schema": {"enum": [text for model in versions for text in (model.version, model.digest)]},
    }
    for path, operations in of_version.items():
        paths[path] = {"parameters": [parameter], **operations}
    return paths


class _Schemas:
    """Puts the schemas of one name's models among the components, and refers to them."""

    def __init__(self, name: str, versions: Sequence[ServedModel], max_rows: int, components: Json) -> None:
        stem = name.replace("%", "_")  # the name of a component takes no percent signs
        self._prefixes = [stem, *(f"{stem}.{model.version}" for model in versions[1:])]
        for prefix, model in zip(self._prefixes, versions, strict=True):
            components[f"{prefix}.V2Request"] = shapes.v2_request(model, max_rows)
            components[f"{prefix}.V2Answer"] = shapes.v2_answer(model)
            components[f"{prefix}.V1Request"] = shapes.v1_request(model, max_rows)
            components[f"{prefix}.V1Answer"] = shapes.v1_answer(model)
            components[f"{prefix}.Metadata"] = shapes.metadata(model)

    def one(self, part: str) -> Json:
        """The schema of the model that answers by default."""
        return _refer(f"{self._prefixes[0]}.{part}")

    def all(self, part: str) -> Json:
        """The schema of any of the versions."""
        parts = [_refer(f"{prefix}.{part}") for prefix in self._prefixes]
        return parts[0] if len(parts) == 1 else {"anyOf": parts}


def _get(tag: str, name: str, about: str, refusals: Sequence[int], content: Json, unready: Json | None = None) -> Json:
    """An operation that reads; `unready` is the body by which it says with 503 that it is not ready."""
    responses: Json = {"200": {"description": about, "content": content}, **_refusals(refusals)}
    if unready is not None:
        either: Json = {"anyOf": [unready, _refer("Error")]}
        responses["503"] = {"description": REFUSALS[503], "content": _json(either)}
    return {"get": {"tags": [tag], "operationId": name, "summary": about, "responses": responses}}


def _infer(name: str, request: Json, answer: Json) -> Json:
    length: Json = {"type": "integer", "minimum": 1}
    headers: Json = {
        **_bundle_header(),
        "inference-header-content-length": {"schema": length, "description": BINARY_ABOUT},
    }
    binary: Json = {BINARY: {"schema": {**STRING, "format": "binary", "description": BINARY_ABOUT}}}
    header: Json = {
        "name": "Inference-Header-Content-Length",
        "in": "header",
        "description": "the length of the JSON, where binary tensors follow it",
        "schema": length,
    }
    content = {**_json(answer), **binary}
    response: Json = {"description": "the model's outputs", "headers": headers, "content": content}
    body: Json = {"required": True, "content": {**_json(request), **binary}}
    responses: Json = {"200": response, **_refusals(INFERRING)}
    return {
        "post": {
            "tags": ["V2"],
            "operationId": name,
            "summary": "ask the model",
            "parameters": [header],
            "requestBody": body,
            "responses": responses,
        }
    }


def _predict(name: str, request: Json, answer: Json) -> Json:
    response: Json = {"description": "one prediction a row", "headers": _bundle_header(), "content": _json(answer)}
    return {
        "post": {
            "tags": ["V1"],
            "operationId": name,
            "summary": "ask the model for its decisions by name",
            "requestBody": {"required": True, "content": _json(request)},
            "responses": {"200": response, **_refusals(INFERRING)},
        }
    }


def _bundle_header() -> Json:
    fallback = "what answered in the model's place; absent unless something did"
    features = "degraded or defaults, where features from the online store are not all fresh"
    return {
        "noria-bundle": {"schema": STRING, "required": True, "description": "the bundle that answered"},
        "noria-fallback": {"schema": STRING, "required": False, "description": fallback},
        "noria-features": {"schema": STRING, "required": False, "description": features},
    }


def _refusals(statuses: Sequence[int]) -> Json:
    return {str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(statuses)}


def _refusal(status: int) -> Json:
    about = f"{HTTPStatus(status).phrase}: {REFUSALS[status]}"
    response: Json = {"description": about, "content": _json(_refer("Error"))}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response["headers"] = {"retry-after": {"schema": {"type": "integer"}, "description": "in seconds"}}
    return response


def _refer(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: Json) -> Json:
    return {JSON: {"schema": schema}}
