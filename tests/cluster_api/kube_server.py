"""An API server of Kubernetes on loopback: real HTTP, objects of its own, a record of what it was asked for."""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from cluster_api.kube_objects import Objects, RefusedError

ADDRESS = re.compile(
    r"/(?:api/v1|apis/(?P<group>[^/]+)/(?P<version>[^/]+))/namespaces/(?P<namespace>[^/]+)/(?P<resource>[^/]+)"
    r"(?:/(?P<name>[^/]+)(?P<log>/log)?)?"
)
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
STORED = {"inferenceservices", "leases"}


class World(Protocol):
    """What the controllers of a cluster make of the objects."""

    def derived(self, resource: str, name: str, query: dict[str, str]) -> dict[str, Any] | str | None:
        """An object, a list or a log that nobody stores; None where there is none."""

    def reconcile(self) -> None:
        """Look at the objects."""


@dataclass
class Fault:
    kind: str  # 500, reset, lost answer
    method: str
    resource: str
    left: int


@dataclass(frozen=True, kw_only=True)
class Asked:
    verb: str
    group: str
    resource: str
    namespace: str


@dataclass
class Kubernetes:
    """The server; `denied` holds the (group, resource, verb) that it refuses, `before` is called with each request."""

    objects: Objects = field(default_factory=Objects)
    world: World | None = None
    denied: set[tuple[str, str, str]] = field(default_factory=set)
    asked: list[Asked] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    before: Callable[[Asked], None] = lambda _: None
    after: Callable[[Asked], None] = lambda _: None
    token: str = "a-token"

    def __enter__(self) -> Kubernetes:
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def verbs(self) -> set[tuple[str, str, str]]:
        """What a Role would have had to allow so far."""
        return {(each.group, each.resource, each.verb) for each in self.asked}

    def inject(self, kind: str, *, method: str = "", resource: str = "", times: int = 1) -> None:
        self.faults.append(Fault(kind, method, resource, times))

    def take(self, method: str, resource: str) -> str:
        for fault in self.faults:
            if fault.left > 0 and fault.method in ("", method) and fault.resource in ("", resource):
                fault.left -= 1
                return fault.kind
        return ""

    def ask(self, asked: Asked, authorization: str) -> None:
        """Note what is asked for, and refuse what is not allowed."""
        self.asked.append(asked)
        if authorization != f"Bearer {self.token}":
            raise RefusedError(401, "Unauthorized")
        self.before(asked)
        if (asked.group, asked.resource, asked.verb) in self.denied:
            raise RefusedError(
                403,
                f'{asked.resource} is forbidden: User "system:serviceaccount:kubeflow:noria-deploy" cannot '
                f'{asked.verb} resource "{asked.resource}" in API group "{asked.group}" in the namespace '
                f'"{asked.namespace}"',
            )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, cluster: Kubernetes) -> None:
        self.cluster = cluster
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = urlsplit(self.path)
        found = ADDRESS.fullmatch(parts.path)
        cluster = self.server.cluster
        if found is None:
            return self.reply(404, {"kind": "Status", "message": "the server could not find the requested resource"})
        kind = cluster.take(self.command, found["resource"])
        if kind == "reset":
            return self.reset()
        if kind == "500":
            return self.reply(500, {"kind": "Status", "message": "etcdserver: leader changed"})
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        verb = VERBS.get(self.command) or ("get" if found["name"] else "list")
        resource = found["resource"] + ("/log" if found["log"] else "")
        asked = Asked(verb=verb, group=found["group"] or "", resource=resource, namespace=found["namespace"])
        try:
            cluster.ask(asked, self.headers.get("Authorization", ""))
            answer = self.act(found, asked, query, json.loads(body) if body else {})
        except RefusedError as error:
            return self.reply(error.status, {"kind": "Status", "status": "Failure", "message": str(error)})
        cluster.after(asked)
        if kind == "lost answer":
            return self.reset()
        return self.reply(200, answer)

    def act(self, found: re.Match[str], asked: Asked, query: dict[str, str], body: dict[str, Any]) -> Any:
        cluster, objects = self.server.cluster, self.server.cluster.objects
        resource, name = found["resource"], found["name"] or body.get("metadata", {}).get("name", "")
        key = (resource, found["namespace"], name)
        if cluster.world is not None and resource != "leases":  # pods may take their time meanwhile
            cluster.world.reconcile()
        if resource not in STORED:
            answer = cluster.world.derived(asked.resource, name, query) if cluster.world else None
        elif asked.verb == "get":
            answer = objects.get(key)
        elif asked.verb == "create":
            answer = objects.create(key, body)
        elif asked.verb == "update":
            answer = objects.replace(key, body)
        elif asked.verb == "patch":
            answer = self.patch(key, asked, query, body)
        else:
            objects.delete(key, body.get("preconditions", {}))
            answer = {"kind": "Status", "status": "Success"}
        if answer is None:
            raise RefusedError(404, f"{resource} {name!r} not found")
        return answer

    def patch(self, key: tuple[str, str, str], asked: Asked, query: dict[str, str], body: dict[str, Any]) -> Any:
        cluster = self.server.cluster
        if self.headers["Content-Type"] != "application/apply-patch+yaml" or "fieldManager" not in query:
            raise RefusedError(415, "expected a server-side apply with a field manager")
        if cluster.objects.get(key) is None:  # the server asks for both then
            create = Asked(verb="create", group=asked.group, resource=asked.resource, namespace=asked.namespace)
            cluster.ask(create, self.headers.get("Authorization", ""))
        return cluster.objects.apply(key, query["fieldManager"], body, force=query.get("force") == "true")

    def reply(self, status: int, answer: Any) -> None:
        body = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "text/plain" if isinstance(answer, str) else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_: object) -> None:
        pass

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve  # noqa: N815 - the names that the library calls
