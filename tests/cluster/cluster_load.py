"""Cluster load: several clients that ask a predictor through its Service; runs in a pod, with nothing but Python.

Each request goes over a connection of its own. One that nobody takes is made again, for nothing was sent; a request
that was sent and not answered with 200 is lost, and an answer unlike the other ones of its version is wrong. What it
comes to is printed as a line of JSON now and then, and when it ends: that is when the file `stop` is there.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ask_endpoint import find_port, send

LINE_SECONDS = 1.0  # between two lines
KEPT = 5  # of each kind of complaint
CONNECT_SECONDS, ANSWER_SECONDS = 3.0, 30.0
PATIENCE = 60.0  # until somebody takes a connection


class Tally:
    """What became of the requests so far."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._told = 0.0
        self._waits: Counter[int] = Counter()  # answers by their milliseconds
        self._seen: dict[str, Any] = {}
        self._versions: Counter[str] = Counter()
        self._complaints: dict[str, list[str]] = {"lost": [], "wrong": []}
        self._again = 0

    def answer(self, told: dict[str, Any], wait: float) -> None:
        version, outputs = str(told["model_version"]), told["outputs"]
        with self._lock:
            if self._seen.setdefault(version, outputs) != outputs:
                self._complaints["wrong"].append(f"{version}: {json.dumps(outputs)[:200]}")
            self._versions[version] += 1
            self._waits[round(1000 * wait)] += 1
            due = time.monotonic() - self._told > LINE_SECONDS
        if due:
            self.tell(ended=False)

    def lose(self, why: str) -> None:
        with self._lock:
            self._complaints["lost"].append(f"after {time.monotonic() - self._started:.1f} s: {why}")
        self.tell(ended=False)

    def connect_again(self) -> None:
        with self._lock:
            self._again += 1

    def tell(self, *, ended: bool) -> None:
        with self._lock:
            self._told = time.monotonic()
            told = {
                "answers": self._waits.total(), "versions": dict(self._versions), "connected_again": self._again,
                **{kind: len(found) for kind, found in self._complaints.items()},
                "such_as": [word for found in self._complaints.values() for word in found[:KEPT]],
                "p50_ms": self._within(0.5), "p99_ms": self._within(0.99),
                "seconds": round(time.monotonic() - self._started, 1), "ended": ended,
            }  # fmt: skip
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()

    def _within(self, share: float) -> int:
        """The milliseconds in which that share of the answers came."""
        left = share * self._waits.total()
        for milliseconds, count in sorted(self._waits.items()):
            left -= count
            if left <= 0:
                return milliseconds
        return 0


def connect(base: str, tally: Tally) -> http.client.HTTPConnection:
    """A connection that somebody has taken; OSError where nobody does for a minute."""
    parts, deadline = urlsplit(base), time.monotonic() + PATIENCE
    while True:
        line = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=CONNECT_SECONDS)
        try:
            line.connect()
        except OSError:
            if time.monotonic() > deadline:
                raise
            tally.connect_again()
            time.sleep(0.1)
        else:
            line.sock.settimeout(ANSWER_SECONDS)
            return line


def ask(base: str, name: str, body: bytes, tally: Tally) -> None:
    """One request, and what becomes of it."""
    started = time.monotonic()
    try:
        line = connect(base, tally)
        try:
            line.request("POST", f"/v2/models/{name}/infer", body, {"Content-Type": "application/json"})
            answer = line.getresponse()
            text = answer.read()
        finally:
            line.close()
        if answer.status == http.HTTPStatus.OK:
            tally.answer(json.loads(text), time.monotonic() - started)
        else:
            tally.lose(f"{answer.status}: {text[:200].decode(errors='replace')}")
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        tally.lose(f"{type(error).__name__}: {error}")


def keep_asking(chosen: argparse.Namespace, base: str, body: bytes, tally: Tally, ending: threading.Event) -> None:
    """Ask again and again, at most as often as chosen."""
    due = time.monotonic()
    while not ending.is_set() and not chosen.stop.exists():
        ask(base, chosen.name, body, tally)
        if chosen.rate:
            due = max(due + chosen.clients / chosen.rate, time.monotonic() - 1)
            ending.wait(max(0.0, due - time.monotonic()))


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("url")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--rate", type=float, default=20.0, help="requests in a second; 0 for as many as are answered")
    parser.add_argument("--seconds", type=float, default=7200.0, help="the longest that it may take")
    parser.add_argument("--stop", type=Path, default=Path("/tmp/stop"))
    chosen = parser.parse_args(words)
    base = find_port(chosen.url)
    (example,) = send(f"{base}/openapi.json")["components"]["schemas"][f"{chosen.name}.V2Request"]["examples"]
    body, tally, ending = json.dumps(example).encode(), Tally(), threading.Event()
    clients = [
        threading.Thread(target=keep_asking, args=(chosen, base, body, tally, ending), daemon=True)
        for _ in range(chosen.clients)
    ]
    for client in clients:
        client.start()
    deadline = time.monotonic() + chosen.seconds
    for client in clients:
        client.join(max(0.0, deadline - time.monotonic()))
    ending.set()
    for client in clients:
        client.join(CONNECT_SECONDS + ANSWER_SECONDS)
    tally.tell(ended=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
