"""Replica: one predictor process at a port that it keeps through all its restarts."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0
END_SECONDS = 60.0


class Replica:
    """It ends with the process that started it at the latest, and with the `with` block before that."""

    def __init__(self, words: Sequence[str], home: Path, port: int) -> None:
        self.port = port
        self._words = words
        self._home = home
        self._log = home / f"replica-{port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Replica:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()  # also one that was stopped; SIGTERM would wait until it goes on
            self._gone()

    @property
    def log(self) -> str:
        return self._log.read_text()

    def start(self) -> None:
        """Start the predictor, and wait until it is ready."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("NORIA_")}
        command = [sys.executable, "-m", "serving", *self._words, "--http-port", str(self.port), "--exit-with-parent"]
        with self._log.open("ab") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                env={**kept, "NORIA_HOME": str(self._home)},
            )
        told = self._process.stdout
        if not (told and select.select([told], [], [], START_SECONDS)[0] and told.readline()):
            raise RuntimeError(f"the replica at {self.port} is not ready: {self.log[-2000:]}")

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def end(self) -> None:
        """SIGTERM, and wait until it has ended by itself, with 0."""
        self.signal(signal.SIGTERM)
        if code := self._gone():
            raise RuntimeError(f"the replica at {self.port} ended with {code}: expected 0; {self.log[-2000:]}")

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self._gone()

    def restart(self) -> None:
        self.end()
        self.start()

    def _gone(self) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        code = process.wait(END_SECONDS)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        return code
