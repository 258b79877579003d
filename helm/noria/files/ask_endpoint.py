"""Ask each predictor that is named (NAME=URL) the example of its own document; ends with 0 when all of them answer."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from typing import Any

PATIENCE = 10
# A Service without an address of its own leads to the pods, who listen at the second one.
PORTS = (80, 8080)


def main(named: list[str]) -> int:
    failures = 0
    for each in named:
        name, _, url = each.partition("=")
        try:
            sys.stdout.write(f"{name}: {ask(name, url)}\n")
        except (OSError, ValueError, LookupError, StopIteration) as error:
            failures += 1
            sys.stderr.write(f"{name}: no prediction from {url} ({tell(error)})\n")
    return 1 if failures else 0


def ask(name: str, url: str) -> str:
    """What the predictor decides on its own example, and which bundle did."""
    base = find_port(url)
    (example,) = send(f"{base}/openapi.json")["components"]["schemas"][f"{name}.V2Request"]["examples"]
    answer = send(f"{base}/v2/models/{name}/infer", example)
    label = next(each["data"] for each in answer["outputs"] if each["name"] == "label")
    return f"label {label}, version {answer['model_version']}"


def find_port(url: str) -> str:
    """The address with the port at which somebody answers; the error of the last one if nobody does."""
    if url.rpartition(":")[2].isdigit():
        return url
    error: OSError = OSError("no port was tried")
    for port in PORTS:
        try:
            with urllib.request.urlopen(f"{url}:{port}/v2/health/live", timeout=PATIENCE):  # noqa: S310
                return f"{url}:{port}"
        except OSError as found:
            error = found
    raise error


def send(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=PATIENCE) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
        return found


def tell(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"{error.code}: {error.read(2000).decode(errors='replace')}"
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
