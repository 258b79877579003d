"""Kubeflow Pipelines' REST interface, version v2beta1, on a loopback port: with state, and with faults on demand.

What a run's nodes look like follows the workflows that KFP makes: a driver and a task for each step, an executor pod
below the task, which is skipped where the driver found the result in the cache, and a driver and a task for each
condition. The release after 2.17 tells tasks instead, as the messages of its API have them.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import struct
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

STEPS = ("settle", "ingest", "features", "validate", "train", "evaluate", "rehearse", "judge", "deploy")
CREATED, FINISHED = "2026-01-31T02:00:00Z", "2026-01-31T02:05:30Z"
Frame = dict[str, Any]  # what a question about a run is answered with: state, and the states of its steps


@dataclass(kw_only=True)
class Fault:
    """The next `times` requests whose method and path fit get a status, or "reset", or "slow"."""

    path: str
    what: int | str
    method: str = ""
    times: int = 1


def frame(state: str, **steps: str) -> Frame:
    """A run's answer; a step that is not named has not begun. `cached` is a step's state, too."""
    return {"state": state, "steps": steps}


def all_done(**others: str) -> Frame:
    return frame("SUCCEEDED", **{**dict.fromkeys(STEPS, "SUCCEEDED"), **others})


def nodes_of(steps: dict[str, str], *, workflow: str = "noria-training-x7k2p") -> list[dict[str, Any]]:
    """The nodes of a workflow whose steps stand so."""
    nodes: list[dict[str, Any]] = []

    def add(name: str, state: str, number: int, kind: str, children: tuple[str, ...] = ()) -> str:
        pod = f"{workflow}-{kind}-{number}"
        nodes.append(
            {
                "task_id": str(uuid.UUID(int=number)), "run_id": "", "display_name": name, "state": state,
                "pod_name": pod, "create_time": CREATED, "start_time": CREATED,
                "end_time": "2026-01-31T02:00:12Z" if state == "SUCCEEDED" else "1970-01-01T00:00:00Z",
                # Argo names a child by its node, and the pod of it by its template, with the same number at the end.
                "child_tasks": [{"pod_name": f"{workflow}-{child}"} for child in children],
            }
        )  # fmt: skip
        return pod

    for place, (name, state) in enumerate(steps.items()):
        first = 1_000_000 + place * 10
        if name == "deploy":
            waiting = state == "SKIPPED"
            add("condition-1-driver", "SUCCEEDED", first, "system-dag-driver")
            add("condition-1", "SKIPPED" if waiting else "SUCCEEDED", first + 1, "passed-the-gates")
            if waiting:
                continue
        add(f"{name}-driver", "SUCCEEDED", first + 2, "system-container-driver", (str(first + 3),))
        add(
            name, "SUCCEEDED" if state == "cached" else state, first + 3, "system-container-executor", (str(first + 4),)
        )
        if name == "train":  # it may be tried again, so its executor is a row of tries
            add("executor", "SKIPPED" if state == "cached" else state, first + 4, "retry", (str(first + 5),))
            if state != "cached":
                add("executor(0)", state, first + 5, "system-container-impl")
        else:
            add("executor", "SKIPPED" if state == "cached" else state, first + 4, "system-container-impl")
    return nodes


def tasks_of(steps: dict[str, str], *, workflow: str = "noria-training-x7k2p") -> list[dict[str, Any]]:
    """The tasks of the same run as later releases tell them."""
    told: list[dict[str, Any]] = [{"task_id": "0", "name": "ROOT", "type": "ROOT", "state": "RUNNING", "pods": []}]
    for place, (name, state) in enumerate(steps.items(), start=1):
        kinds = ["DRIVER"] if state in ("cached", "SKIPPED") else ["DRIVER", "EXECUTOR"]
        if name == "deploy":
            told.append({"task_id": f"c{place}", "name": "condition-1", "type": "CONDITION", "state": state})
            if state == "SKIPPED":
                continue
        if name == "train" and state not in ("cached", "SKIPPED"):
            kinds.append("EXECUTOR")  # a second try
        told.append(
            {
                "task_id": str(place), "run_id": "", "name": name, "display_name": name, "type": "RUNTIME",
                "state": "CACHED" if state == "cached" else state, "create_time": CREATED,
                "end_time": "2026-01-31T02:00:12Z" if state == "SUCCEEDED" else None,
                "pods": [
                    {"name": f"{workflow}-{kind.lower()}-{place}{number}", "uid": "", "type": kind}
                    for number, kind in enumerate(kinds)
                ],
                "inputs": {}, "outputs": {}, "child_tasks": [],
            }
        )  # fmt: skip
    return told


@dataclass(kw_only=True)
class KubeflowApi:
    """The server; as a context it listens. `frames` answer one question about a run each, the last one all others."""

    token: str = ""
    multi_user: bool = False
    release: str = "2.15.0"
    interface: bool = False  # whether it is the user interface, which hands questions on to the API server
    frames: list[Frame] = field(default_factory=lambda: [all_done()])
    logs: dict[str, str] = field(default_factory=dict)  # by step
    faults: list[Fault] = field(default_factory=list)
    slow_seconds: float = 30.0
    longest_full_page: int = 2
    pipelines: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: dict[str, dict[str, Any]] = field(default_factory=dict)
    experiments: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    schedules: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    looks: dict[str, int] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.ending = threading.Event()
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def host(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def speak_tls(self, certificate: Path, key: Path) -> str:
        """Speak https from now on; returns the address."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        return f"https://localhost:{self._server.server_port}"

    def add_run(self, name: str, **more: Any) -> str:
        """A run that somebody started before."""
        made = self.create_run({"display_name": name, "experiment_id": "", **more}, {})
        return str(made["run_id"])

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        for wanted, pattern, reply in self._routes():
            if wanted == method and (found := re.fullmatch(pattern, path)):
                return 200, reply(body, query | found.groupdict())
        return 404, {"code": 5, "message": f"no route {method} {path}"}

    def _routes(self) -> Iterator[tuple[str, str, Callable[[Any, dict[str, str]], Any]]]:
        base = "/apis/v2beta1"
        yield "GET", f"{base}/healthz", self.tell_health
        yield "GET", f"{base}/pipelines", lambda _, query: {"pipelines": self._named(self.pipelines, query)}
        yield "POST", f"{base}/pipelines", self.create_pipeline
        yield "POST", f"{base}/pipelines/upload_version", self.upload_version
        yield "GET", f"{base}/pipelines/(?P<pipeline_id>[^/]+)/versions", self.list_versions
        yield "GET", f"{base}/experiments", lambda _, query: {"experiments": self._named(self.experiments, query)}
        yield "POST", f"{base}/experiments", self.create_experiment
        yield "POST", f"{base}/runs", self.create_run
        yield "GET", f"{base}/runs", self.list_runs
        yield "GET", f"{base}/runs/(?P<run_id>[^/:]+)", self.get_run
        yield "POST", f"{base}/runs/(?P<run_id>[^/:]+):terminate", self.terminate
        yield "POST", f"{base}/recurringruns", self.create_schedule
        yield (
            "GET",
            f"{base}/recurringruns",
            self.list_schedules,
        )
        yield "POST", f"{base}/recurringruns/(?P<id>[^/:]+):(?P<change>enable|disable)", self.change_schedule
        yield "DELETE", f"{base}/recurringruns/(?P<id>[^/:]+)", lambda _, query: self.schedules.pop(query["id"]) and {}
        if self.interface:
            yield "GET", "/k8s/pod/logs", self.read_log
            yield "GET", "/apis/v1alpha1/.*", lambda *_: "<!DOCTYPE html><html>Kubeflow Pipelines</html>"
        else:
            yield "GET", "/apis/v1alpha1/runs/(?P<runid>[^/]+)/nodes/(?P<podname>[^/]+)/log", self.read_log

    def tell_health(self, _: Any, query: dict[str, str]) -> Any:
        return {"commit_sha": "unknown", "tag_name": self.release, "multi_user": self.multi_user, "pipeline_store": ""}

    def create_pipeline(self, body: Any, query: dict[str, str]) -> Any:
        if any(one["display_name"] == body["display_name"] for one in self.pipelines.values()):
            raise RefusedError(409, "a pipeline of that name exists")
        return self._keep(self.pipelines, "pipeline_id", body)

    def upload_version(self, body: Any, query: dict[str, str]) -> Any:
        self._known(self.pipelines, query["pipelineid"])
        named = [one["display_name"] for one in self.versions.values()]
        if query["name"] in named:
            raise RefusedError(409, "a version of that name exists")
        made = {"pipeline_id": query["pipelineid"], "display_name": query["name"], "text": body}
        return {**self._keep(self.versions, "pipeline_version_id", made), "text": None}

    def list_versions(self, _: Any, query: dict[str, str]) -> Any:
        found = [one for one in self._named(self.versions, query) if one["pipeline_id"] == query["pipeline_id"]]
        return {"pipeline_versions": [{**one, "text": None} for one in found]}

    def create_experiment(self, body: Any, query: dict[str, str]) -> Any:
        if not self.multi_user and body.get("namespace"):
            raise RefusedError(400, "In single-user mode, an experiment cannot have a namespace")
        return self._keep(self.experiments, "experiment_id", body)

    def create_run(self, body: Any, query: dict[str, str]) -> Any:
        if reference := body.get("pipeline_version_reference"):
            self._known(self.versions, reference["pipeline_version_id"])
        return self._keep(self.runs, "run_id", {**body, "state": "PENDING"})

    def get_run(self, _: Any, query: dict[str, str]) -> Any:
        run = self._known(self.runs, query["run_id"])
        look = self.looks.get(run["run_id"], 0)
        self.looks[run["run_id"]] = look + 1
        now = self.frames[min(look, len(self.frames) - 1)]
        if run["state"] not in ("CANCELED", "FAILED"):
            run |= {"state": now["state"], **self._details(now, query)}
        run["finished_at"] = FINISHED if run["state"] not in ("PENDING", "RUNNING") else "1970-01-01T00:00:00Z"
        return run

    def list_runs(self, _: Any, query: dict[str, str]) -> Any:
        """Up to 2.17 with their nodes; after it with their tasks where a FULL view is asked for, in shorter pages."""
        found, later = self._of_experiment(self.runs, query), self._is_later
        full = query.get("view") == "FULL"
        size = min(int(query.get("page_size", 10)), self.longest_full_page if later and full else 1000)
        first = int(query.get("page_token") or 0)
        page = [{name: told for name, told in run.items() if full or name != "tasks"} for run in found]
        rest = {"next_page_token": str(first + size)} if len(page) > first + size else {}
        return {"runs": page[first : first + size], **rest}

    @property
    def _is_later(self) -> bool:
        return tuple(map(int, self.release.split(".")[:2])) > (2, 17)

    def _details(self, now: Frame, query: dict[str, str]) -> dict[str, Any]:
        """The steps, as the release tells them; a parameter that a server does not know is not looked at."""
        if not self._is_later:
            return {"run_details": {"task_details": nodes_of(now["steps"])}}
        tasks = tasks_of(now["steps"])
        return {"task_count": len(tasks), **({"tasks": tasks} if query.get("view") == "FULL" else {})}

    def terminate(self, _: Any, query: dict[str, str]) -> Any:
        self._known(self.runs, query["run_id"])["state"] = "CANCELED"
        return {}

    def create_schedule(self, body: Any, query: dict[str, str]) -> Any:
        return self._keep(self.schedules, "recurring_run_id", {**body, "status": "ENABLED"})

    def list_schedules(self, _: Any, query: dict[str, str]) -> Any:
        return {"recurringRuns": self._of_experiment(self.schedules, query)}

    def change_schedule(self, _: Any, query: dict[str, str]) -> Any:
        self._known(self.schedules, query["id"])["status"] = query["change"].upper() + "D"
        return {}

    def read_log(self, _: Any, query: dict[str, str]) -> Any:
        run = self._known(self.runs, query["runid"])
        step = _step_of(run, query["podname"])
        if step not in self.logs:
            raise RefusedError(500, "Failed to read logs from pod: not found")
        return self.logs[step]

    def _keep(self, where: dict[str, dict[str, Any]], key: str, body: dict[str, Any]) -> Any:
        made = {**body, key: str(uuid.uuid4()), "created_at": CREATED}
        where[made[key]] = made
        return made

    def _known(self, where: dict[str, dict[str, Any]], key: str) -> dict[str, Any]:
        if key not in where:
            raise RefusedError(404, f"{key} not found")
        return where[key]

    def _named(self, where: dict[str, dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
        if self.multi_user and query.get("namespace") == "":
            raise RefusedError(400, "a namespace is needed in multi-user mode")
        name = json.loads(query["filter"])["predicates"][0]["stringValue"] if query.get("filter") else None
        return [one for one in where.values() if name in (None, one["display_name"])]

    def _of_experiment(self, where: dict[str, dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
        wanted = query.get("experiment_id")
        return [one for one in where.values() if wanted in (None, one["experiment_id"])][::-1]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Bound(Handler):
            state = api

        return Bound

    def fault(self, method: str, path: str) -> int | str | None:
        for fault in self.faults:
            if fault.times and fault.method in ("", method) and fault.path in path:
                fault.times -= 1
                return fault.what
        return None


def _step_of(run: dict[str, Any], pod: str) -> str:
    """The step that a pod ran for; "" where none did."""
    for task in run.get("tasks", ()):
        if pod in [one["name"] for one in task.get("pods", ())]:
            return str(task["name"])
    nodes = run.get("run_details", {}).get("task_details", [])
    place = next((at for at, node in enumerate(nodes) if node["pod_name"] == pod), -1)
    return next((node["display_name"] for node in nodes[: place + 1][::-1] if node["display_name"] in STEPS), "")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: KubeflowApi

    def do_GET(self) -> None:
        self._serve(None)

    def do_DELETE(self) -> None:
        self._serve(None)

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Type", "").startswith("multipart/"):
            self._serve(data.partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0].decode())
        else:
            self._serve(json.loads(data) if data else None)

    def _serve(self, body: Any) -> None:
        address, api = urlsplit(self.path), self.state
        query = {name: values[0] for name, values in parse_qs(address.query, keep_blank_values=True).items()}
        api.asked.append((self.command, address.path))
        api.headers.append(dict(self.headers))
        fault = api.fault(self.command, address.path)
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        if fault == "slow":
            api.ending.wait(api.slow_seconds)
        if fault == "page":
            self._reply(200, "<html>Sign in</html>")
        elif isinstance(fault, int):
            self._reply(fault, {"code": fault, "message": f"told to answer {fault}", "error": "fault"})
        elif api.token and self.headers.get("Authorization") != f"Bearer {api.token}":
            self._reply(401, {"code": 16, "message": "Request header error: there is no user identity header."})
        else:
            self._answer(address.path, query, body)

    def _answer(self, path: str, query: dict[str, str], body: Any) -> None:
        try:
            self._reply(*self.state.answer(self.command, path, query, body))
        except RefusedError as refusal:
            self._reply(refusal.status, {"code": 5, "message": str(refusal)})

    def _reply(self, status: int, body: Any) -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        with suppress(OSError):  # the client may have gone
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    def log_message(self, *words: Any) -> None:
        pass


class RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def wait_for(found: Callable[[], bool], seconds: float = 20.0) -> None:
    """Look until something is so."""
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.01)
