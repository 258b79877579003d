"""Load: wrk for the peak rate in a closed loop, and our own client, which keeps to its schedule, for latency."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.serving.asking import Connection, WrongAnswerError, witness
from bench.serving.questions import Question
from bench.serving.servers import Server, free_ports

HERE = Path(__file__).parent
SCRIPT = HERE / "ask.lua"


@dataclass(frozen=True, kw_only=True)
class Rate:
    """What wrk reached."""

    requests: int
    seconds: float
    status: int  # answers whose status is no success
    faults: int
    p50: float  # microseconds
    p99: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


@dataclass(frozen=True, kw_only=True)
class Times:
    """Microseconds from the moment a request was due; nothing but the count where there were none."""

    count: int
    p50: float = 0.0
    p90: float = 0.0
    p99: float = 0.0
    p999: float = 0.0
    max: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Load:
    """What became of the requests of the open loop."""

    answered: Times
    refused: Times  # with 429 or 503
    refused_once_sent: Times  # the same, from the moment they were sent
    late: Times  # sent after they were due, for no other reason than the client's own
    due: int
    asked: int
    in_time: int  # answered before the end of the load
    faults: int  # connections that broke with a request on them
    strange: int  # any other status
    last_strange: int  # one of them
    without_retry_after: int
    unanswered: int
    not_connected: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Tools:
    """The programs that ask and answer, compiled for this run."""

    folder: Path
    client_core: int
    server_core: int

    def write(self, name: str, data: bytes) -> str:
        path = self.folder / name
        path.write_bytes(data)
        return str(path)

    def wrk(self, port: int, question: Question, *, connections: int, seconds: int) -> Rate:
        """A closed loop with wrk, which counts in whole seconds."""
        body = self.write("body", question.body)
        words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", "-s", str(SCRIPT)]
        headers = [word for header in question.headers.items() for word in header]
        command = [*words, f"http://127.0.0.1:{port}", "--", question.path, body, *headers]
        return msgspec.json.decode(self._run(command).splitlines()[-1], type=Rate)

    def load(self, port: int, question: Question, *, rate: float, seconds: float, connections: int) -> Load:
        """An open loop at this rate, or a closed one for 0, with our own client."""
        request = self.write("request", question.encode())
        command = [str(self.folder / "load"), str(port), request, repr(rate), repr(seconds), str(connections)]
        return msgspec.json.decode(self._run(command), type=Load)

    @contextmanager
    def echo(self) -> Iterator[int]:
        """A server that answers at once, on the server's core; gives its port."""
        port = free_ports()[0]
        command = ["taskset", "-c", str(self.server_core), str(self.folder / "echo"), str(port)]
        process = subprocess.Popen(command)
        try:
            _wait_for_port(port, process)
            yield port
        finally:
            process.terminate()
            process.wait()

    def _run(self, command: list[str]) -> str:
        pinned = ["taskset", "-c", str(self.client_core), *command]
        ended = subprocess.run(pinned, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise SystemExit(
                f"{command[0]} ended with {ended.returncode}: {ended.stderr[-2000:]}{ended.stdout[-2000:]}"
            )
        return ended.stdout


@contextmanager
def make_tools(server_core: int, client_core: int) -> Iterator[Tools]:
    """Compile the client and the echo server into a folder of their own."""
    for name, package in (("wrk", "wrk"), ("taskset", "util-linux"), ("cc", "gcc")):
        if shutil.which(name) is None:
            raise SystemExit(f"there is no {name}: it measures the servers; `apt-get install {package}` brings it")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("load", "echo"):
            source, program = HERE / f"{name}.c", Path(folder, name)
            subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, source], check=True)
        yield Tools(folder=Path(folder), client_core=client_core, server_core=server_core)


@dataclass(frozen=True, kw_only=True)
class Peak:
    """One point of the closed loop: the rate, and what it cost the server."""

    per_second: float
    cpu_us: float  # of the server, a request
    p50: float


def measure_peak(tools: Tools, server: Server, question: Question, *, connections: int, seconds: int) -> Peak:
    """The closed loop on the server, with the witness; a wrong or failed answer voids the whole run."""
    other = server.question(question.protocol, 1, seed=99)
    with Connection(server.port) as connection:
        connection.ask(question)
        with witness(server.port, other) as witnessed:
            before = server.cpu_seconds()
            rate = tools.wrk(server.port, question, connections=connections, seconds=seconds)
            spent = server.cpu_seconds() - before
        connection.ask(question)
    if rate.status or rate.faults or not rate.requests:
        raise WrongAnswerError(
            f"{server.peer.title}, {question.protocol}, {connections} connections: of {rate.requests} answers "
            f"{rate.status} were no success, and {rate.faults} connections failed: this round is void"
        )
    asked = rate.requests + witnessed[0]
    return Peak(per_second=rate.per_second, cpu_us=spent / asked * 1e6, p50=rate.p50)


def _wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            Connection(port).close()
        except ConnectionRefusedError:
            continue
        return
    raise SystemExit(f"the echo server ended with {process.returncode}")
