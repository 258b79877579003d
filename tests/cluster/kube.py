"""kubectl, as the tests on a cluster use it."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

KUBECTL = shutil.which("kubectl") or str(Path(sys.executable).with_name("kubectl"))
PATIENCE = 60.0  # for a way into the cluster
Object = dict[str, Any]


def kubectl(*words: str, text: str = "", seconds: float = 300) -> str:
    """Run it; an assertion with what it said where it fails."""
    done = subprocess.run([KUBECTL, *words], input=text, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"kubectl {' '.join(words)} ended with {done.returncode}:\n{done.stderr}{done.stdout}"
    return done.stdout


def read(*words: str) -> Any:
    return json.loads(kubectl("get", *words, "--output=json"))


def wait_until(true: Callable[[], object], what: str, seconds: float, seen: Callable[[], object] = lambda: "") -> None:
    """Look once a second; where it does not come true, the assertion says what was `seen` last."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain until {what}; there was {seen()}"
        time.sleep(1)


@contextmanager
def forwarded(namespace: str, target: str, port: int) -> Iterator[str]:
    """An address on this machine that leads to a port of a Service or Deployment, again and again where that breaks."""
    here = _free_port()
    way = _Way([KUBECTL, "port-forward", f"--namespace={namespace}", target, f"{here}:{port}"])
    thread = threading.Thread(target=way.keep_open)
    thread.start()
    try:
        deadline = time.monotonic() + PATIENCE
        while not _answers(here):
            assert time.monotonic() < deadline, f"no way to {target} in {namespace} in {PATIENCE:.0f} s: {way.said}"
            time.sleep(0.1)
        yield f"http://127.0.0.1:{here}"
    finally:
        way.close()
        thread.join()


class _Way:
    """A `kubectl port-forward` that is begun anew when it ends: one that lost its pod, or a connection, never heals."""

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self.said = "nothing was said yet"

    def keep_open(self) -> None:
        while not self._ending.is_set():
            with self._lock:
                if self._ending.is_set():
                    return
                self._process = subprocess.Popen(
                    self._words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
                )
            said = self._process.communicate()[1]
            self.said = re.sub(r"\s+", " ", said).strip() or self.said
            self._ending.wait(0.5)

    def close(self) -> None:
        self._ending.set()
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                self._process.terminate()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
