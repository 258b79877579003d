"""A real PostgreSQL for tests, of Debian's package, on a loopback port of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

USER, PASSWORD = "registry", "of tests"
NOBODY = "nobody"  # PostgreSQL refuses to run as root
TRIES = 5  # of a port that somebody else takes between the look and the start
SECONDS = 60


def find_programs() -> Path | None:
    """The folder of the newest version; Debian puts it on nobody's path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    named = shutil.which("initdb")
    return found[-1].parent if found else Path(named).resolve().parent if named else None


@dataclass(frozen=True, kw_only=True)
class PostgresServer:
    port: int

    def new_database(self) -> str:
        """Make an empty one; returns its address, as SQLAlchemy takes it."""
        name = f"t{uuid.uuid4().hex}"
        with self.connect("postgres") as connection:
            connection.execute(f"create database {name}")
        return f"postgresql+psycopg://{USER}:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.port}/{name}"

    def connect(self, database: str) -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, dbname=database, autocommit=True,
            connect_timeout=5,
        )  # fmt: skip


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A server that ends with the block; the test is skipped where PostgreSQL is not installed."""
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    # Not below pytest's own folder, into which nobody else may look.
    with tempfile.TemporaryDirectory(prefix="noria-postgres-") as name:
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        owner: dict[str, Any] = {}
        if os.geteuid() == 0:
            owner = {"user": NOBODY, "group": pwd.getpwnam(NOBODY).pw_gid, "extra_groups": []}
            for path in (folder, folder / "password"):
                shutil.chown(path, NOBODY)
        _make_cluster(programs, folder, owner)
        for _ in range(TRIES):
            with socket.socket() as held:
                held.bind(("127.0.0.1", 0))
                server = PostgresServer(port=held.getsockname()[1])
            process = _start(programs, folder, server.port, owner)
            try:
                if _answers(server, process):
                    yield server
                    return
            finally:
                process.send_signal(signal.SIGINT)  # at SIGTERM it would wait for whoever is connected
                process.wait()
        raise AssertionError(f"no PostgreSQL after {TRIES} tries: {(folder / 'log').read_text()[-2000:]}")


def _make_cluster(programs: Path, folder: Path, owner: dict[str, Any]) -> None:
    made = subprocess.run(
        [programs / "initdb", "--pgdata", folder / "data", "--username", USER, "--pwfile", folder / "password",
         "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"],
        capture_output=True, text=True, check=False, cwd=folder, **owner,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr


def _start(programs: Path, folder: Path, port: int, owner: dict[str, Any]) -> subprocess.Popen[bytes]:
    command = [programs / "postgres", "-D", folder / "data", "-h", "127.0.0.1", "-p", str(port), "-k", folder]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen([*command, "-c", "fsync=off"], stdout=log, stderr=log, cwd=folder, **owner)


def _answers(server: PostgresServer, process: subprocess.Popen[bytes]) -> bool:
    """Wait until it does; False if it ended, such as for a port that is taken."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            server.connect("postgres").close()
        except psycopg.OperationalError:
            time.sleep(0.02)
        else:
            return process.poll() is None
    return False
