"""Fixtures that several floors share: a real S3 server and an outsider's task, each made at most once a session."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from faults.proxy import FaultProxy
from noria_command import Noria, install_outsider

BUCKET = "noria-tests"
LONG = ("cluster_api", "faults", "images")  # folders of tests that take minutes


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave those of LONG out, unless they are asked for by name, as `make test-long` and `make test-images` do."""
    room = collection_path.name if collection_path.parent == Path(__file__).parent else ""
    asked = any(room in Path(word.partition("::")[0]).parts for word in config.args)
    return True if room in LONG and not asked else None


@dataclass(frozen=True, kw_only=True)
class S3Server:
    endpoint: str
    port: int
    bucket: str = BUCKET


def free_ports(count: int) -> list[int]:
    """Loopback ports that are free, and free 10,000 above as well, which SeaweedFS takes for gRPC."""
    found: list[int] = []
    held = []
    while len(found) < count:
        low, high = socket.socket(), socket.socket()
        low.bind(("127.0.0.1", 0))
        port = low.getsockname()[1]
        held += [low, high]
        try:
            high.bind(("127.0.0.1", port + 10_000 if port < 50_000 else port - 10_000))
        except OSError:
            continue
        found.append(port)
    for each in held:
        each.close()
    return found


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A SeaweedFS with its S3 gateway on loopback, ended with the session."""
    folder = tmp_path_factory.mktemp("seaweedfs")
    names = (
        "master.port",
        "master.port.grpc",
        "volume.port",
        "volume.port.grpc",
        "filer.port",
        "filer.port.grpc",
        "s3.port",
        "s3.port.grpc",
    )
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    command = [
        str(Path(sys.executable).with_name("weed")), "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        "-s3", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false", "-volume.max=0",
        "-master.volumeSizeLimitMB=64", *(f"-{name}={port}" for name, port in ports.items()),
        f"-filer.localSocket={folder}/filer.sock", f"-s3.localSocket={folder}/s3.sock",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    server = S3Server(endpoint=f"http://127.0.0.1:{ports['s3.port']}", port=ports["s3.port"])
    try:
        _wait_until_up(server, process, folder / "log")
        # One bucket for all tests, because SeaweedFS reserves disk volumes for each.
        keys = {"aws_access_key_id": "anyone", "aws_secret_access_key": "anything", "region_name": "us-east-1"}
        boto3.session.Session().client("s3", endpoint_url=server.endpoint, **keys).create_bucket(Bucket=BUCKET)
        yield server
    finally:
        # Its orderly end takes ten seconds, and nothing of it is kept.
        process.kill()
        process.wait()


def _wait_until_up(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{server.endpoint}/healthz", timeout=2):
                return
        except (OSError, urllib.error.HTTPError):
            time.sleep(0.05)
    raise AssertionError(f"no S3 server within 60 s: {log.read_text()[-3000:]}")


@pytest.fixture
def s3_environment(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The AWS_* variables that lead to the real server, and no other."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anyone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "anything")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


@pytest.fixture
def s3_address(s3_environment: None) -> str:
    """An empty place of its own in a bucket on the real server."""
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture
def fault_proxy(s3_server: S3Server, s3_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """A proxy before the real server, to which the AWS_* variables lead from now on."""
    with FaultProxy(s3_server.port) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        yield proxy


@pytest.fixture(scope="session")
def wine_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed package of an outsider: the task `wine`."""
    return install_outsider(tmp_path_factory.mktemp("outsider") / "site")


@pytest.fixture
def wine(wine_site: Path, tmp_path: Path) -> Noria:
    """The command beside the outsider's package, in an empty home."""
    return Noria(home=tmp_path / "home", site=wine_site)
