"""A real Redis for tests, of Debian's package, on a loopback port of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

BINARY = shutil.which("redis-server")
TRIES = 5  # of a port that somebody else takes between the look and the start
SECONDS = 20


@dataclass(kw_only=True)
class RedisServer:
    """A server that can be ended and started again on the same port, with what it kept."""

    folder: Path
    port: int
    options: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = None

    def address(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"

    def client(self, **options: object) -> redis.Redis:
        return redis.Redis(host="127.0.0.1", port=self.port, **options)

    def start(self) -> bool:
        """Start it and wait until it answers; False if it ended, such as for a port that is taken.

        One of a cluster takes a second port only after it listens on the first, and may end over that.
        """
        command = [
            str(BINARY), "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder), "--save", "",
            "--daemonize", "no", *(option.format(port=self.port) for option in self.options),
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if self._answers():
                return self.process.poll() is None
            time.sleep(0.01)
        return False

    def _answers(self) -> bool:
        with socket.socket() as asked:
            asked.settimeout(1)
            if asked.connect_ex(("127.0.0.1", self.port)) != 0:
                return False
            if "--tls-port" in self.options:  # it does not speak to those who do not
                return True
            try:
                asked.sendall(b"PING\r\n")
                return bool(asked.recv(1))
            except OSError:
                return False

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def running_redis(folder: Path, *options: str) -> Iterator[RedisServer]:
    """A server that ends with the block; the test is skipped where Redis is not installed.

    In an option `{port}` stands for its port.
    """
    if BINARY is None:
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    folder.mkdir(parents=True, exist_ok=True)
    for _ in range(TRIES):
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            port = held.getsockname()[1]
        server = RedisServer(folder=folder, port=port, options=options)
        try:
            if server.start():
                yield server
                return
        finally:
            server.kill()
    raise AssertionError(f"no Redis after {TRIES} tries: {(folder / 'log').read_text()[-2000:]}")
