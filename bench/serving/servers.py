"""Servers: one server process with all its children on one core, from its start to its end, and what it uses."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.serving.asking import WrongAnswerError, ask_until_right
from bench.serving.models import Model
from bench.serving.peers import Peer
from bench.serving.questions import Protocol, Question, make_question

START_SECONDS = 120.0
POLITE_SECONDS = 5.0
KILLED_SECONDS = 30.0
TICKS = os.sysconf("SC_CLK_TCK")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
UNWANTED = ("NORIA_", "PYTHONDONTWRITEBYTECODE")  # of the bench's own environment


@dataclass(frozen=True, kw_only=True)
class Cores:
    """The server has a core of its own, its client another."""

    server: int
    client: int


def choose_cores() -> Cores:
    there = sorted(os.sched_getaffinity(0))
    if len(there) < 2:
        raise SystemExit("found one core: expected two, one for the server and one for its client")
    return Cores(server=there[0], client=there[-1])


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that answers rightly; `start_seconds` from its exec to its first right answer."""

    peer: Peer
    model: Model
    port: int
    process: subprocess.Popen[bytes]
    start_seconds: float

    def question(self, protocol: Protocol, rows: int, seed: int = 0) -> Question:
        path = self.peer.paths[protocol].format(name=self.model.name)
        return make_question(protocol, path, self.model, self.model.rows(rows, seed))

    def cpu_seconds(self) -> float:
        """User and system time of the process and all its children, those that ended too."""
        root = self.process.pid
        own = {pid: _stat(pid) for pid in tree(root)}
        ended = sum(own[root][13:15]) if own.get(root) else 0
        return (sum(sum(fields[11:13]) for fields in own.values() if fields) + ended) / TICKS

    def peak_memory_mib(self) -> float:
        """The most memory that the process and all its children have had so far."""
        return sum(_peak_kib(pid) for pid in tree(self.process.pid)) / 2**10


@contextmanager
def serving(peer: Peer, model: Model, cores: Cores) -> Iterator[Server]:
    """Start the server, wait for its first right answer, and end it with the block.

    WrongAnswerError if it does not get there, or if the block finds a wrong answer; its log is shown then.
    """
    ports = free_ports()
    path = peer.paths[next(iter(peer.paths))].format(name=model.name)
    question = make_question(next(iter(peer.paths)), path, model, model.rows(1))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, tempfile.TemporaryFile() as log:
        command = ["taskset", "-c", str(cores.server), *peer.command(ports, model)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(UNWANTED)}
        environment = {**kept, **ONE_THREAD, "TMPDIR": folder, **peer.variables(ports, model)}
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=peer.workplace)
        try:
            ask_until_right(ports[0], question, lambda: process.poll() is None, START_SECONDS)
            seconds = time.perf_counter() - started
            yield Server(peer=peer, model=model, port=ports[0], process=process, start_seconds=seconds)
        except (WrongAnswerError, OSError) as error:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 2000))
            sys.stderr.write(f"{peer.title}'s log ends with:\n{log.read().decode(errors='replace')}\n")
            raise WrongAnswerError(f"{peer.title}, {model.name}: {error}") from error
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End the process with all its children: politely, and after a while by force."""
    family = tree(process.pid)
    process.terminate()
    if not _gone(process, family, time.monotonic() + POLITE_SECONDS):
        for pid in filter(alive, family):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not _gone(process, family, time.monotonic() + KILLED_SECONDS):
            raise SystemExit(f"processes {[pid for pid in family if alive(pid)]} do not end: end them by hand")


def _gone(process: subprocess.Popen[bytes], family: list[int], deadline: float) -> bool:
    while process.poll() is None or any(map(alive, family)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def free_ports() -> tuple[int, int, int]:
    """Three ports that are free now; all are held until all are found."""
    with socket.socket() as first, socket.socket() as second, socket.socket() as third:
        for each in (first, second, third):
            each.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1], third.getsockname()[1]


def alive(pid: int) -> bool:
    return bool(_stat(pid))


def tree(root: int) -> list[int]:
    """The process and all below it, the root first."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit() and (fields := _stat(int(path.name))):
            children.setdefault(fields[1], []).append(int(path.name))
    found, place = [root], 0
    while place < len(found):
        found += children.get(found[place], [])
        place += 1
    return found


def _peak_kib(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM:"))


def _stat(pid: int) -> list[int]:
    """The fields of /proc/PID/stat after the name, state first as 0; nothing for a process that is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    state, *numbers = text.rpartition(")")[2].split()
    return [] if state in "ZX" else [0, *map(int, numbers)]
