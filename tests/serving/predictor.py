"""The real predictor as a process on a loopback port, for as long as a test needs it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
KSERVE = ROOT / ".bench" / "kserve" / "bin" / "python"  # a Python of its own: kserve brings eighty packages along


@dataclass(frozen=True, kw_only=True)
class Predictor:
    process: subprocess.Popen[bytes]
    ready: dict[str, object]
    client: httpx.Client
    log: Path

    @property
    def port(self) -> int:
        return int(str(self.ready["port"]))

    def connect(self) -> httpx.Client:
        """Another connection than the one that all share."""
        return httpx.Client(base_url=self.client.base_url, timeout=PATIENCE)

    def metric(self, name: str, **labels: str) -> float:
        text = self.client.get("/metrics").text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name and all(sample.labels.get(key) == value for key, value in labels.items()):
                    return sample.value
        raise AssertionError(f"no metric {name} {labels} in {text}")

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)


def start(
    arguments: Sequence[object],
    home: Path,
    log: Path,
    *,
    python: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start the command; it ends with the pipe of its standard input at the latest."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NORIA_")}
    command = [sys.executable, *python, "-m", "serving", *map(str, arguments), "--http-port", "0", "--exit-with-parent"]
    with log.open("ab") as errors:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=ROOT,
            env={**kept, "NORIA_HOME": str(home), **(environment or {})},
        )


@contextmanager
def predictor(arguments: Sequence[object], home: Path) -> Iterator[Predictor]:
    """Start the predictor, wait until it is ready, and end it with the block."""
    log = home / f"serving-{uuid.uuid4().hex}.log"
    process = start(arguments, home, log)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert select.select([process.stdout], [], [], PATIENCE)[0], f"not ready: {log.read_text()}"
        line = process.stdout.readline()
        assert line, f"ended with {process.wait()}: {log.read_text()}"
        ready = json.loads(line)
        with httpx.Client(base_url=f"http://127.0.0.1:{ready['port']}", timeout=PATIENCE) as client:
            yield Predictor(process=process, ready=ready, client=client, log=log)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()
            process.stdin.close()
            process.stdout.close()


def wait_until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s in vain until {what}"
        time.sleep(0.01)
