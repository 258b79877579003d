"""Nginx: the reverse proxy in front of the replicas, as one unprivileged process with all its files in one folder."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 10.0
MISSING = "there is no nginx: it stands in front of the replicas; `apt-get install nginx-light` brings it"

# The guide shows these lines, and a test holds the two together.
CONFIG = """\
upstream predictor {{
    # The replica with the fewest requests in flight is next, so one that hangs soon gets no more of them.
    least_conn;
    # A replica is never set aside for its failures: with the other one away, the requests would have nowhere to go,
    # and a client whose rows make the model fail could do that to everybody.
{servers}
    # Connections to the replicas that stay. The proxy lets go of an idle one before the replica does: sooner than
    # --idle-seconds, and sooner than --drain-seconds, so that a replica that ends has none left to break.
    keepalive 64;
    keepalive_timeout {idle}ms;
}}

server {{
    listen 127.0.0.1:{port};
    # At least --max-body-bytes, so that it is the predictor that refuses, in JSON.
    client_max_body_size 16m;
    # Held in memory up to here; the body has to be at hand when it is sent a second time.
    client_body_buffer_size 1m;

    location / {{
        proxy_pass http://predictor;
        # Both are needed for connections that stay: HTTP/1.0, and "close", are what nginx says by itself.
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        # What fails at one replica goes to the other: no connection, one that breaks, no answer in time, and 503
        # (it ends, hangs or has too much to do). A prediction may be asked for twice, so POST is no exception.
        proxy_next_upstream error timeout http_503{posts};
        proxy_next_upstream_tries 2;
        proxy_connect_timeout 1s;
        # Longer than --request-seconds, so that a replica that hangs can still say so itself.
        proxy_read_timeout {patience}ms;
        proxy_send_timeout {patience}ms;
    }}
}}
"""
# In the foreground, without a second process that would change its user; nothing is read or written elsewhere.
AROUND = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{
    worker_connections 4096;
}}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    default_type application/json;
    # Only what was sent to a second replica is written down, with what the first one did.
    map $upstream_status $again {{
        default 0;
        "~," 1;
    }}
    log_format tries $upstream_status;
    access_log {folder}/tries.log tries buffer=4k flush=1s if=$again;
{config}
}}
"""


@dataclass(frozen=True, kw_only=True)
class Nginx:
    port: int
    folder: Path

    @property
    def retried(self) -> int:
        """Requests that a second replica was asked for; complete once the proxy has ended."""
        return len((self.folder / "tries.log").read_text().splitlines())

    def complaints(self) -> dict[str, int]:
        """What it says of its replicas in its log, and how often."""
        found: dict[str, int] = {}
        for line in (self.folder / "error.log").read_text().splitlines():
            what = line.partition("]")[2].partition(": ")[2].partition(" while ")[0]
            what = what.partition(" ")[2] if what.startswith("*") else what
            found[what] = found.get(what, 0) + 1
        return found


def find_nginx() -> str | None:
    """The program; it stands where a user's path does not always look."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How the proxy treats its replicas."""

    patience: float  # seconds for an answer
    idle: float  # seconds that an unused connection stays
    twice: bool = True  # a request that was sent may be sent again


def describe(port: int, replicas: Sequence[int], terms: Terms) -> str:
    """The configuration for replicas at these ports."""
    return CONFIG.format(
        port=port,
        servers="\n".join(f"    server 127.0.0.1:{replica} max_fails=0;" for replica in replicas),
        patience=round(terms.patience * 1000),
        idle=round(terms.idle * 1000),
        posts=" non_idempotent" if terms.twice else "",
    )


@contextmanager
def proxy(folder: Path, port: int, replicas: Sequence[int], terms: Terms) -> Iterator[Nginx]:
    """Start the proxy, wait until it listens, and end it with the block."""
    program = find_nginx()
    if program is None:
        raise SystemExit(MISSING)
    folder.mkdir()
    config = folder / "nginx.conf"
    config.write_text(AROUND.format(folder=folder, config=describe(port, replicas, terms)))
    command = [program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(config)]
    process = subprocess.Popen(command)
    try:
        _wait_for_port(port, process, folder / "error.log")
        yield Nginx(port=port, folder=folder)
    finally:
        process.terminate()
        process.wait()


def _wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
        else:
            return
    raise SystemExit(f"nginx does not listen: {log.read_text()[-2000:] if log.exists() else process.returncode}")
