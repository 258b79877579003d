"""API: requests to Kubernetes, tried again where the cluster stumbles, and refusals told in words."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from cluster.permissions import PODS, Resource
from noria.errors import ClusterError, ConflictError

MANAGER = "noria-deploy"  # the field manager of all that is applied here
TRIES = 5
TIMEOUTS = (5.0, 30.0)  # to connect, and to read
REFUSED, NOT_FOUND, CONFLICT, TOO_MANY, FAULT = 400, 404, 409, 429, 500


class _Told(msgspec.Struct, frozen=True):
    """The server's Status object."""

    message: str = ""


class Api:
    """The objects of one namespace; ClusterError says what the server refused, or that it cannot be reached.

    Every request may be sent again after a fault, `tries` times in all. What changes an object names the version that
    it is to follow, so one whose answer was lost is refused the second time, with ConflictError.
    """

    def __init__(
        self,
        client: Any,
        namespace: str,
        *,
        pause: float = 0.2,
        tries: int = TRIES,
        timeouts: tuple[float, float] = TIMEOUTS,
    ) -> None:
        self._client, self.namespace = client, namespace
        self._pause, self._tries, self._timeouts = pause, tries, timeouts

    def get(self, kind: Resource, name: str) -> bytes | None:
        """The object as JSON; None where there is none."""
        try:
            return self._send("GET", self._path(kind, name))
        except MissingError:
            return None

    def list(self, kind: Resource, *, labels: str = "", fields: str = "") -> bytes:
        """The list of the objects that the selectors choose, as JSON."""
        selectors = {"labelSelector": labels, "fieldSelector": fields}
        return self._send("GET", self._path(kind), query={name: text for name, text in selectors.items() if text})

    def apply(self, kind: Resource, name: str, body: Mapping[str, Any], *, check: Callable[[], None]) -> bytes:
        """Own the fields of the body, and set them; `check` raises before a try that must not be made any more.

        ConflictError where another field manager owns one, or the object is not of the body's resourceVersion.
        """
        query = {"fieldManager": MANAGER, "force": "false"}
        content = "application/apply-patch+yaml"
        return self._send("PATCH", self._path(kind, name), query=query, body=body, content=content, check=check)

    def create(self, kind: Resource, body: Mapping[str, Any]) -> bytes:
        return self._send("POST", self._path(kind), body=body)

    def replace(self, kind: Resource, name: str, body: Mapping[str, Any]) -> bytes:
        """Put the object in place of the one of its resourceVersion; ConflictError where that one has changed."""
        return self._send("PUT", self._path(kind, name), body=body)

    def delete(self, kind: Resource, name: str, *, uid: str, version: str, check: Callable[[], None]) -> None:
        """Remove this very object in this version; one that is gone is no error, and `check` is as of `apply`."""
        same = {"uid": uid, "resourceVersion": version}
        body = {"preconditions": same, "propagationPolicy": "Background"}
        try:
            self._send("DELETE", self._path(kind, name), body=body, check=check)
        except MissingError:
            return

    def log(self, pod: str, container: str, *, lines: int, previous: bool) -> str:
        """The last lines that a container wrote; `previous` for the one that ended before it."""
        query = {"container": container, "tailLines": str(lines), "previous": str(previous).lower()}
        return self._send("GET", f"{self._path(PODS, pod)}/log", query=query).decode(errors="replace")

    def _path(self, kind: Resource, name: str = "") -> str:
        root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
        return f"{root}/namespaces/{self.namespace}/{kind.plural}" + (f"/{quote(name, safe='')}" if name else "")

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content: str = "application/json",
        check: Callable[[], None] = lambda: None,
    ) -> bytes:
        from urllib3.exceptions import HTTPError

        address = self._client.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        data = msgspec.json.encode(body) if body is not None else None
        for attempt in range(1, self._tries + 1):
            check()
            try:
                status, text = self._send_once(method, address, data, content)
            except HTTPError as error:
                if attempt == self._tries:
                    raise ClusterError(
                        f"Kubernetes at {self._client.configuration.host} does not answer ({error}): expected its API "
                        "server; look at KUBECONFIG, or at the network policy of the step"
                    ) from error
            else:
                if status < REFUSED:
                    return text
                if attempt == self._tries or (status < FAULT and status != TOO_MANY):
                    raise _refusal(method, path, status, text)
            time.sleep(self._pause * 2 ** (attempt - 1))
        raise ClusterError(f"Kubernetes was asked {self._tries} times for nothing: run again")

    def _send_once(self, method: str, address: str, data: bytes | None, content: str) -> tuple[int, bytes]:
        from urllib3 import Timeout

        headers = {"Accept": "application/json, */*", "User-Agent": MANAGER}
        if data is not None:
            headers["Content-Type"] = content
        self._client.update_params_for_auth(headers, [], ["BearerToken"])  # which reads a token anew that has changed
        connect, read = self._timeouts
        response = self._client.rest_client.pool_manager.request(
            method, address, body=data, headers=headers, timeout=Timeout(connect=connect, read=read), retries=False,
            redirect=False,
        )  # fmt: skip
        return int(response.status), bytes(response.data)


class MissingError(ClusterError):
    """There is no such object; `Api.get` makes None of it."""


def _refusal(method: str, path: str, status: int, text: bytes) -> ClusterError:
    try:
        message = msgspec.json.decode(text, type=_Told).message
    except msgspec.DecodeError:
        message = text[:300].decode(errors="replace")
    kind = {NOT_FOUND: MissingError, CONFLICT: ConflictError}.get(status, ClusterError)
    return kind(
        f"Kubernetes refuses {method} {path} ({status}: {message}): expected the Role of cluster/permissions.py, bound "
        "to whoever runs this, and KServe in the cluster; `noria doctor` looks at both"
    )


def connect(namespace: str, *, tries: int = TRIES, timeouts: tuple[float, float] = TIMEOUTS) -> Api:
    """The API of the cluster that KUBECONFIG names, or of the one that this runs in; ClusterError if there is none."""
    from kubernetes import client, config
    from kubernetes.config import ConfigException

    settings = client.Configuration()
    try:
        try:
            config.load_kube_config(client_configuration=settings)
        except ConfigException:
            config.load_incluster_config(client_configuration=settings)
    except (ConfigException, OSError) as error:
        raise ClusterError(
            f"no cluster is known here ({error}): expected a KUBECONFIG, or a pod with the token of its service "
            "account; let KUBECONFIG name the file of a cluster, or source what `make connect ENV=dev` writes. "
            "Where there is no cluster, NORIA_SERVING=ledger asks for none"
        ) from error
    return Api(client.ApiClient(settings), namespace, tries=tries, timeouts=timeouts)
