"""Requests to addresses or with methods that do not exist."""

from __future__ import annotations

from collections.abc import Iterator

from corpus.case import Case
from corpus.forms import PICTURE, dump


def address_cases() -> Iterator[Case]:
    good = dump(PICTURE.v2())
    for method, path, status in (
        ("GET", "/nothing", 404),
        ("GET", "/v2/models", 404),
        ("GET", "/v3", 404),
        ("GET", "//v2", 404),
        ("GET", "/v2/models/picture/", 404),
        ("GET", "/v2/models/picture/readyy", 404),
        ("GET", "/v2/models/other", 404),
        ("GET", "/v2/models/PICTURE", 404),
        ("GET", "/v2/models/other/ready", 404),
        ("GET", "/v2/models/picture/versions/000000000000/ready", 404),
        ("GET", "/v2/models/picture/versions/000000000000", 404),
        ("GET", "/v2/models/picture/versions//ready", 404),
        ("GET", "/v1/models/other", 404),
        ("GET", "/v2/models/..%2f..%2fetc%2fpasswd", 404),
        ("GET", "/v2/models/../../etc/passwd", 404),
        ("GET", "/v2/models/%00%ff", 404),
        ("GET", "/v2/models/%", 404),
        ("GET", "/v2/models/" + "x" * 5000, 404),
        ("GET", "/v2/models/%F0%9F%91%9F", 404),
        ("GET", "/v2/repository/index", 404),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
        ("POST", "/v2/models//infer", 404),
        ("POST", "/v2/models/other/infer", 404),
        ("POST", "/v2/models/picture/versions/1/infer", 404),
        ("POST", "/v2/models/picture/infer/", 404),
        ("POST", "/v2/models/picture/generate", 404),
        ("POST", "/v1/models/other:predict", 404),
        ("POST", "/v1/models/picture:explain", 404),
        ("POST", "/v1/models/picture", 405),
        ("POST", "/v2/repository/index", 404),
        ("POST", "/v2/repository/models/picture/load", 404),
        ("POST", "/v2/repository/models/picture/unload", 404),
        ("GET", PICTURE.infer, 405),
        ("PUT", PICTURE.infer, 405),
        ("DELETE", PICTURE.infer, 405),
        ("PATCH", PICTURE.infer, 405),
        ("GET", PICTURE.predict, 405),
        ("POST", "/v2", 405),
        ("POST", "/v2/health/live", 405),
        ("POST", "/v2/health/ready", 405),
        ("DELETE", "/v2/models/picture", 405),
        ("POST", "/metrics", 405),
        ("PUT", "/v2/models/picture/ready", 405),
    ):
        body = good if method in {"POST", "PUT", "PATCH"} else b""
        yield Case(name=f"{method} {path[:60]}", model="picture", method=method, path=path, body=body, status=status)
