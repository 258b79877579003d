"""Serve: a running predictor takes each new champion up, and loses no request by it."""

import json
import threading
import urllib.request

import pytest

pytestmark = pytest.mark.xdist_group("outsider")

ROW = {"alcohol": 12.0, "sulphur": 150.0, "age": 24, "acids": [5.0, 5.0, 5.0, 5.0]}


def ask(port):
    """One V1 request; returns the digest of the bundle that answered."""
    body = json.dumps({"instances": [ROW]}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/models/wine:predict", body)
    with urllib.request.urlopen(request, timeout=10) as response:
        assert len(json.load(response)["predictions"]) == 1
        return response.headers["noria-bundle"]


class Asker(threading.Thread):
    """Asks without pause until told to stop; keeps which bundles answered, in order, and what went wrong."""

    def __init__(self, port):
        super().__init__()
        self.port, self.ended = port, threading.Event()
        self.answers, self.faults, self.changed = [], [], threading.Event()

    def run(self):
        while not self.ended.is_set():
            try:
                digest = ask(self.port)
            except OSError as error:
                self.faults.append(error)
                continue
            if self.answers and digest != self.answers[-1]:
                self.changed.set()
            if not self.answers or digest != self.answers[-1]:
                self.answers.append(digest)
            self.ended.wait(0.01)


def test_a_running_server_follows_the_ledger_through_promotion_and_rollback(wine):
    first = wine.run().told["bundle"]
    server = wine.start("serve", "--task", "wine", "--http-port", "0", "--json")
    try:
        port = json.loads(server.stdout.readline())["port"]
        asker = Asker(port)
        asker.start()
        second = wine.run(
            "--param", "seed=2", "--param", "limits.margin=1.0", "--param", "limits.slice_margin=1.0"
        ).told
        assert second["outcome"] == "promoted", second["reason"]
        assert asker.changed.wait(30), "the new champion was not taken up"
        asker.changed.clear()
        assert wine("rollback", "--task", "wine", "--reason", "a test of it").code == 0
        assert asker.changed.wait(30), "the rollback was not taken up"
        asker.ended.set()
        asker.join()
        assert asker.faults == []
        assert asker.answers == [first, second["bundle"], first]
        answered = wine("predict", "--task", "wine", "--row", "3", "--url", f"http://127.0.0.1:{port}", "--json")
        assert answered.told["bundle"] == first
    finally:
        server.terminate()
        rest, errors = server.communicate(timeout=30)
    assert server.returncode == 0, errors
    assert rest == "", "one line of JSON, and nothing else"
