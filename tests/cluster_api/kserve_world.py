"""KServe in Standard mode, as much of it as a release sees: it fetches the bundle and starts the real predictor."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

from cluster_api.kube_objects import Objects
from cluster_api.kube_service import Service

from noria.schema import Schema
from noria.steps.served import serving

ROOT = Path(__file__).parents[2]
SOURCE = "internal.serving.kserve.io/storage-initializer-sourceuri"
REPLICAS = 2
Behaviour = Literal["serves", "never ready", "crash loop", "wrong bundle", "wrong answers", "stays behind"]


class KServe:
    """Looks at one task's object whenever somebody asks the server for something.

    `behaviours` says by digest what becomes of a bundle, `looks` how often a Deployment is looked at until it is there.
    """

    def __init__(self, objects: Objects, namespace: str, task: str, schema: Schema, keys: Path, folder: Path) -> None:
        self.key = ("inferenceservices", namespace, task)
        self.objects, self.task, self.schema, self.keys, self.folder = objects, task, schema, keys, folder
        self.behaviours: dict[str, Behaviour] = {}
        self.looks = 2
        self.starts: list[str] = []  # the digests whose pods were started, in this order
        self.generation = 0  # of the Deployment
        self._lock = threading.RLock()
        self._exit = ExitStack()
        self._ports: dict[str, int] = {}
        self._template: dict[str, str] = {}  # the annotations of the Deployment's pods
        self._serving = ""  # the digest that the Service leads to
        self._failed = ""  # what the storage container said of the bundle
        self._looked = 0
        self.service = Service(lambda: self._port(self._serving) if self._serving else 0)

    @property
    def template(self) -> dict[str, str]:
        """The annotations of the pods: as long as they stay, the pods stay."""
        return dict(self._template)

    def close(self) -> None:
        self.service.close()
        self._exit.close()

    @property
    def uri(self) -> str:
        return self._template.get(SOURCE, "")

    @property
    def digest(self) -> str:
        return self.uri.rpartition("/")[2]

    @property
    def behaviour(self) -> Behaviour:
        return "crash loop" if self._failed else self.behaviours.get(self.digest, "serves")

    @property
    def complete(self) -> bool:
        return self.behaviour in ("serves", "wrong bundle", "wrong answers") and self._looked >= self.looks

    def reconcile(self) -> None:
        with self._lock:
            live = self.objects.get(self.key)
            if live is None:
                self._template, self._serving, self.generation = {}, "", 0
                return
            uri = live["spec"]["predictor"]["model"]["storageUri"]
            # KServe hands all annotations of the object on to its pods: another one starts them anew.
            template = {**live["metadata"]["annotations"], SOURCE: uri}
            stays = self.behaviours.get(uri.rpartition("/")[2]) == "stays behind"
            if template != self._template and not (stays and self._template):
                self._template, self._looked = template, 0
                self.generation += 1
                self.starts.append(self.digest)
                self._failed = self._fetch() if self.behaviours.get(self.digest) != "never ready" else ""
            if self.complete and self._serving != self.digest and self.behaviour != "wrong bundle":
                self._serving = self.digest
            self.objects.set_status(self.key, self._status())

    def derived(self, resource: str, name: str, query: dict[str, str]) -> Any:
        with self._lock:
            if resource == "pods":
                assert query["labelSelector"] == f"serving.kserve.io/inferenceservice={self.task}"
                return {"kind": "PodList", "items": self._pods()}
            if resource == "events":
                assert query["fieldSelector"] == "type=Warning"
                return {"kind": "EventList", "items": self._events()}
            if resource == "pods/log":
                return self._failed or "loading the model\nValueError: no such operator\n"
            if resource == "deployments" and self._template and name == f"{self.task}-predictor":
                self._looked += 1
                return self._deployment()
            return None

    def _status(self) -> dict[str, Any]:
        ready = bool(self._serving)
        condition = {"type": "Ready", "status": "True"}
        if not ready:
            condition = {
                "type": "Ready", "status": "False", "reason": "MinimumReplicasUnavailable",
                "message": "Deployment does not have minimum availability.",
            }  # fmt: skip
        # The Deployment's generation, and not the object's own: so does KServe.
        status: dict[str, Any] = {"conditions": [condition], "observedGeneration": self.generation}
        if ready:
            status["address"] = {"url": f"https://{self.task}-predictor.example.com"}  # with urlScheme https
        return status

    def _deployment(self) -> dict[str, Any]:
        done = self.complete
        return {
            "metadata": {"name": f"{self.task}-predictor", "generation": self.generation},
            "spec": {"replicas": REPLICAS, "template": {"metadata": {"annotations": self._template}}},
            "status": {
                "observedGeneration": self.generation if self._looked > 1 else self.generation - 1,
                "replicas": REPLICAS if done else REPLICAS + 1,
                "updatedReplicas": REPLICAS if done else 1,
                "availableReplicas": REPLICAS,
            },
        }

    def _pods(self) -> list[dict[str, Any]]:
        if not self._template:
            return []
        status: dict[str, Any] = {
            "phase": "Running",
            "containerStatuses": [{"name": "kserve-container", "ready": True}],
        }
        if self.behaviour == "never ready":
            message = "0/1 nodes are available: 1 Insufficient memory."
            why = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
            status = {"phase": "Pending", "conditions": [why]}
        elif self.behaviour == "crash loop":
            waiting = {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}
            container = {"ready": False, "restartCount": self._looked, "state": {"waiting": waiting}}
            place, name = ("initContainerStatuses", "storage-initializer") if self._failed else (
                "containerStatuses", "kserve-container",
            )  # fmt: skip
            status = {"phase": "Pending", place: [{**container, "name": name}]}
        metadata = {"name": f"{self.task}-predictor-{self.generation}", "annotations": self._template}
        return [{"metadata": metadata, "status": status}]

    def _events(self) -> list[dict[str, Any]]:
        pod = {"kind": "Pod", "name": f"{self.task}-predictor-{self.generation}"}
        told = {"involvedObject": pod, "type": "Warning", "eventTime": None, "lastTimestamp": "2026-01-01T00:00:00Z"}
        other = {
            **told,
            "involvedObject": {"kind": "Pod", "name": "somebody-else"},
            "reason": "Evicted",
            "message": "-",
        }
        if self.behaviour == "never ready":
            return [other, {**told, "reason": "FailedScheduling", "message": "Insufficient memory", "count": 7}]
        if self.behaviour == "crash loop":
            return [other, {**told, "reason": "BackOff", "message": "Back-off restarting failed container"}]
        return [other]

    def _fetch(self) -> str:
        """Run the storage container's program; returns what it said where it failed."""
        folder = self.folder / self.digest
        if folder.exists():
            return ""
        command = [sys.executable, "-m", "serving.fetch", self.uri, str(folder), "--trusted-keys", str(self.keys)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stderr if done.returncode else ""

    def _port(self, digest: str) -> int:
        with self._lock:
            return self._started(digest)

    def _started(self, digest: str) -> int:
        if digest not in self._ports:
            words = ["--bundle", str(self.folder / digest), "--name", self.task, "--trusted-keys", str(self.keys)]
            client = self._exit.enter_context(serving(words, model=self.task, schema=self.schema, root=ROOT))
            port = client.connection.port
            if self.behaviours.get(digest) == "wrong answers":
                port = self._exit.enter_context(altering(port))
            self._ports[digest] = port
        return self._ports[digest]


@contextmanager
def altering(port: int) -> Iterator[int]:
    """A server in front of a predictor that adds to every probability what nobody would see; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            connection = HTTPConnection("127.0.0.1", port, timeout=10)
            body = self.rfile.read(int(self.headers["content-length"]))
            connection.request("POST", self.path, body, {"content-type": "application/json"})
            answer = json.loads(connection.getresponse().read())
            connection.close()
            for output in answer["outputs"]:
                if output["name"] == "probabilities":
                    output["data"] = [value + 2e-5 for value in output["data"]]
            text = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
