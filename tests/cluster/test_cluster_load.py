"""The clients that ask during a release tell what was lost and wrong; tried here on a server that misbehaves."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cluster_place import ROOT, Place, Spaces
from under_load import SCRIPT, _for_load, tell

OUTPUTS = [{"name": "label", "data": ["Coat"]}]
ANSWER = {"model_version": "abcdef012345", "outputs": OUTPUTS}


@contextmanager
def predictor(*answers: Any, stop: Path, port: int = 0) -> Iterator[int]:
    """Gives each of the answers in turn, the last one on and on, and lets the clients stop a few after that.

    A number is a status, None a connection that is cut.
    """
    left, lock = list(answers), threading.Lock()
    extra = iter(range(10))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            examples = {"components": {"schemas": {"fashion.V2Request": {"examples": [{"inputs": []}]}}}}
            self._reply(200, examples)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                answer = left.pop(0) if len(left) > 1 else left[0]
                if len(left) == 1 and next(extra, None) is None:
                    stop.touch()
            if answer is None:
                self.connection.shutdown(socket.SHUT_RDWR)
            elif isinstance(answer, int):
                self._reply(answer, {"error": "told so"})
            else:
                self._reply(200, answer)

        def _reply(self, status: int, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def ask(*answers: Any, folder: Path) -> dict[str, Any]:
    """What the clients told in the end."""
    stop = folder / "stop"
    with predictor(*answers, stop=stop) as port:
        done = subprocess.run(
            [sys.executable, SCRIPT, "fashion", f"http://127.0.0.1:{port}", "--rate=0", "--clients=2", "--stop", stop],
            env={**os.environ, "PYTHONPATH": str(ROOT / "helm/noria/files")},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["ended"] for line in lines] == [False] * (len(lines) - 1) + [True]
    told: dict[str, Any] = lines[-1]
    return told


def test_right_answers_are_counted_by_version(tmp_path):
    new = {**ANSWER, "model_version": "fedcba543210", "outputs": [{"name": "label", "data": ["Bag"]}]}
    told = ask(*[ANSWER] * 30, new, folder=tmp_path)
    assert (told["lost"], told["wrong"], told["connected_again"]) == (0, 0, 0)
    assert (told["versions"]["abcdef012345"], set(told["versions"])) == (30, {"abcdef012345", "fedcba543210"})
    assert told["answers"] == sum(told["versions"].values())
    assert 0 <= told["p50_ms"] <= told["p99_ms"]


@pytest.mark.parametrize(
    ("bad", "words"), [(503, "503: "), (None, "RemoteDisconnected"), ({"outputs": []}, "KeyError: 'model_version'")]
)
def test_a_request_that_was_sent_and_not_answered_is_lost(tmp_path, bad, words):
    told = ask(ANSWER, bad, bad, ANSWER, folder=tmp_path)
    assert (told["lost"], told["wrong"]) == (2, 0)
    assert words in told["such_as"][0]


def test_an_answer_unlike_the_others_of_its_version_is_wrong(tmp_path):
    told = ask(ANSWER, ANSWER, {**ANSWER, "outputs": [{"name": "label", "data": ["Bag"]}]}, ANSWER, folder=tmp_path)
    assert (told["lost"], told["wrong"]) == (0, 1)
    assert "Bag" in told["such_as"][0]


def test_a_connection_that_nobody_takes_is_made_again(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "helm/noria/files")
    import cluster_load

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    tally = cluster_load.Tally()
    asking = threading.Thread(target=cluster_load.ask, args=(f"http://127.0.0.1:{port}", "fashion", b"{}", tally))
    asking.start()
    while not tally._again:
        assert asking.is_alive()
    with predictor(ANSWER, stop=tmp_path / "stop", port=port):
        asking.join(timeout=30)
    assert (tally._waits.total(), tally._complaints["lost"]) == (1, [])


def test_a_connection_that_nobody_takes_for_long_is_a_request_lost(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "helm/noria/files")
    import cluster_load

    monkeypatch.setattr(cluster_load, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    tally = cluster_load.Tally()
    cluster_load.ask(f"http://127.0.0.1:{port}", "fashion", b"{}", tally)
    assert "ConnectionRefusedError" in tally._complaints["lost"][0]


def test_the_pod_of_the_clients_is_the_one_that_the_chart_lets_ask(tmp_path):
    from cluster_place import hooks

    place = Place.named(tmp_path, {"NORIA_SERVING_NAMESPACE": "models"})
    values = {**place.values, "predictors": {"fashion": {"minReplicas": 1, "maxReplicas": 1}}}
    found = hooks(values)
    changed = {each["kind"]: each for each in (_for_load(each, "--rate=5") for each in found)}
    (before,) = (each for each in found if each["kind"] == "Pod")
    pod, files = changed["Pod"], changed["ConfigMap"]
    assert pod["metadata"]["labels"] == before["metadata"]["labels"], "by which the network policies know it"
    assert pod["spec"]["securityContext"] == before["spec"]["securityContext"]
    (container,) = pod["spec"]["containers"]
    assert container["command"] == ["python", "/questions/cluster_load.py"]
    assert container["args"] == ["fashion", "http://fashion-predictor.models", "--rate=5"]
    assert set(files["data"]) == {"ask_endpoint.py", "cluster_load.py"}
    assert {"configMap": {"name": files["metadata"]["name"]}, "name": "questions"} in pod["spec"]["volumes"]
    assert Spaces.named({}).ours == ("noria", "noria-serving")


def test_the_figures_are_one_line(capsys):
    tally = {"answers": 200, "seconds": 10.0, "lost": 0, "wrong": 0, "p50_ms": 12, "p99_ms": 40, "connected_again": 3}
    tell("a run meanwhile", tally)
    assert capsys.readouterr().out == (
        "a run meanwhile: 200 answers in 10 s (20.0 in a second), 0 lost, 0 wrong, half within 12 ms, "
        "99 % within 40 ms, 3 connections made again\n"
    )
