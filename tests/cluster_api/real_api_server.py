"""A real API server of Kubernetes with its etcd, from the folder KUBEBUILDER_ASSETS, which envtest uses as well.

It knows KServe's kinds by the schemas beside the project. `RealObjects` stands where the played `Objects` do, so every
test of a release asks the real server for what Kubernetes itself decides: ownership of fields, versions, preconditions,
leases, and rights.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster_api.kube_objects import Key, RefusedError

from cluster.permissions import VERBS

ASSETS = os.environ.get("KUBEBUILDER_ASSETS", "")
CRDS = Path(__file__).parents[3] / "shared" / "crds"
ADMIN, RELEASER = "admin-token", "releaser-token"
ACCOUNT = "system:serviceaccount:kubeflow:pipeline-runner"
GROUPS = {"inferenceservices": "serving.kserve.io/v1beta1", "leases": "coordination.k8s.io/v1"}
SECONDS = 60


def why_none() -> str:
    """Why there is no real server here; "" where there is one."""
    missing = [name for name in ("etcd", "kube-apiserver") if not (Path(ASSETS) / name).is_file()]
    if not ASSETS or missing:
        return "KUBEBUILDER_ASSETS names no folder with etcd and kube-apiserver"
    return "" if CRDS.is_dir() else f"there are no schemas of KServe's kinds in {CRDS}"


@dataclass(frozen=True, kw_only=True)
class ApiServer:
    """Where it is, and whom it believes; `ask` raises RefusedError as the server words it."""

    url: str
    context: ssl.SSLContext

    def ask(
        self, method: str, path: str, body: Any = None, *, token: str = ADMIN, content: str = "application/json"
    ) -> dict[str, Any]:
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Authorization": f"Bearer {token}", "Content-Type": content}
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, context=self.context, timeout=SECONDS) as answer:
                found: dict[str, Any] = json.loads(answer.read())
                return found
        except urllib.error.HTTPError as error:
            text = error.read()
            message = json.loads(text).get("message", "")[:2000] if text.startswith(b"{") else text.decode()
            raise RefusedError(error.code, message) from error


@contextmanager
def real_api_server(folder: Path, namespace: str) -> Iterator[ApiServer]:
    """Start etcd and the API server on loopback, with KServe's kinds, the namespace, and the releaser's Role in it."""
    folder.mkdir(parents=True, exist_ok=True)
    client, peer, port = _free_ports(3)
    (folder / "tokens.csv").write_text(
        f'{ADMIN},admin,admin,"system:masters"\n{RELEASER},{ACCOUNT},releaser,"system:serviceaccounts"\n'
    )
    subprocess.run(["openssl", "genrsa", "-out", folder / "account.key", "2048"], check=True, capture_output=True)
    etcd = [
        "etcd", f"--data-dir={folder}/etcd", f"--listen-client-urls=http://127.0.0.1:{client}",
        f"--advertise-client-urls=http://127.0.0.1:{client}", f"--listen-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}", f"--initial-cluster=default=http://127.0.0.1:{peer}",
    ]  # fmt: skip
    server = [
        "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{client}", f"--cert-dir={folder}/certs",
        "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--secure-port={port}",
        f"--token-auth-file={folder}/tokens.csv", "--authorization-mode=RBAC", "--allow-privileged=true",
        "--service-cluster-ip-range=10.0.0.0/24", "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder}/account.key", f"--service-account-signing-key-file={folder}/account.key",
        "--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none",
    ]  # fmt: skip
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it signs its certificate itself
    with ExitStack() as stack:
        for words in (etcd, server):
            stack.enter_context(_running(words, folder))
        api = ApiServer(url=f"https://127.0.0.1:{port}", context=context)
        _wait(lambda: api.ask("GET", "/api/v1/namespaces/kube-system"), folder)
        _prepare(api, namespace)
        _wait(lambda: api.ask("GET", f"/apis/{GROUPS['inferenceservices']}/inferenceservices"), folder)
        yield api


def _prepare(api: ApiServer, namespace: str) -> None:
    text = (CRDS / "serving.kserve.io_v1beta1_InferenceService.json").read_text()
    schema = json.loads(text, object_hook=_without_empty_default)
    names = {"plural": "inferenceservices", "singular": "inferenceservice", "kind": "InferenceService"}
    version = {"name": "v1beta1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    spec = {"group": "serving.kserve.io", "scope": "Namespaced", "names": names}
    definition = {
        "metadata": {"name": "inferenceservices.serving.kserve.io"},
        "spec": {**spec, "versions": [{**version, "subresources": {"status": {}}}]},
    }
    api.ask("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
    api.ask("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    rules = [{"apiGroups": [group], "resources": [resource], "verbs": [verb]} for group, resource, verb in VERBS]
    rights = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    api.ask("POST", f"{rights}/roles", {"metadata": {"name": "noria-deploy"}, "rules": rules})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "noria-deploy"}
    who = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": ACCOUNT}
    api.ask("POST", f"{rights}/rolebindings", {"metadata": {"name": "releaser"}, "roleRef": role, "subjects": [who]})


def _without_empty_default(part: dict[str, Any]) -> dict[str, Any]:
    """Some servers take an empty text for none, and refuse that; no test goes by it."""
    return {name: value for name, value in part.items() if (name, value) != ("default", "")}


@dataclass
class RealObjects:
    """Objects of the real server, asked for as the releaser; `history` has every write that changed something."""

    api: ApiServer
    lock: threading.RLock = field(default_factory=threading.RLock)
    history: list[tuple[str, str, str]] = field(default_factory=list)

    def get(self, key: Key) -> dict[str, Any] | None:
        try:
            return self.api.ask("GET", _path(key), token=RELEASER)
        except RefusedError as error:
            if error.status != 404:
                raise
            return None

    def create(self, key: Key, body: Mapping[str, Any]) -> dict[str, Any]:
        made = self.api.ask("POST", _path((key[0], key[1], "")), body, token=RELEASER)
        return self._written("create", key, made)

    def replace(self, key: Key, body: Mapping[str, Any]) -> dict[str, Any]:
        """For the version that the body names, else for whichever there is."""
        while True:
            live = {**body["metadata"], "resourceVersion": self._version(key)}
            whole = body if "resourceVersion" in body["metadata"] else {**body, "metadata": live}
            try:
                return self._written("update", key, self.api.ask("PUT", _path(key), whole, token=RELEASER))
            except RefusedError as error:
                if error.status != 409 or whole is body:
                    raise

    def apply(self, key: Key, manager: str, body: Mapping[str, Any], *, force: bool) -> dict[str, Any]:
        with self.lock:
            before = self.get(key)
            path = f"{_path(key)}?fieldManager={manager}&force={str(force).lower()}"
            whole = {"apiVersion": GROUPS[key[0]], "kind": "InferenceService", **body}
            content = "application/apply-patch+yaml"
            made = self.api.ask("PATCH", path, whole, token=RELEASER, content=content)
            if before is None:
                return self._written("create", key, made)
            same = made["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
            return made if same else self._written("patch", key, made)

    def delete(self, key: Key, preconditions: Mapping[str, str]) -> None:
        self.api.ask("DELETE", _path(key), {"preconditions": dict(preconditions)}, token=RELEASER)
        self.history.append(("delete", key[0], key[2]))

    def set_status(self, key: Key, status: Mapping[str, Any]) -> None:
        """What KServe's controller does, which has rights of its own."""
        live = self.get(key)
        if live is not None and live.get("status") != status:
            try:
                self.api.ask("PUT", f"{_path(key)}/status", {**live, "status": status})
            except RefusedError as error:
                if error.status not in (404, 409):  # changed meanwhile: it is looked at again
                    raise

    def clear(self, namespace: str) -> None:
        """Remove everything, for the next test."""
        for resource in GROUPS:
            self.api.ask("DELETE", _path((resource, namespace, "")))

    def _version(self, key: Key) -> str:
        live = self.get(key)
        if live is None:
            raise RefusedError(404, f"{key[0]} {key[2]!r} not found")
        return str(live["metadata"]["resourceVersion"])

    def _written(self, verb: str, key: Key, made: dict[str, Any]) -> dict[str, Any]:
        self.history.append((verb, key[0], key[2]))
        return made


def _path(key: Key) -> str:
    resource, namespace, name = key
    return f"/apis/{GROUPS[resource]}/namespaces/{namespace}/{resource}" + (f"/{name}" if name else "")


@contextmanager
def _running(words: list[str], folder: Path) -> Iterator[None]:
    name = words[0]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([str(Path(ASSETS) / name), *words[1:]], stdout=log, stderr=log)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _wait(ask: Any, folder: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            ask()
        except (RefusedError, OSError) as error:
            if time.monotonic() > deadline:
                told = (folder / "kube-apiserver.log").read_text()[-3000:]
                raise AssertionError(f"no API server within {SECONDS} s: {error}\n{told}") from error
            time.sleep(0.1)
        else:
            return


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
