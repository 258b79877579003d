"""The development parts: the very commands of their containers, on loopback ports and with a user's own rights."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from rendered import of_kind

from noria.errors import BucketMissingError
from noria.settings import AccessSettings
from noria.stores.identity import store_id
from noria.stores.s3 import S3Store

PASSWORD = "a pass word"
needs_redis = pytest.mark.skipif(not shutil.which("redis-server"), reason="no redis-server: Debian's package")


def container(name: str) -> dict[str, Any]:
    found = next(each for each in of_kind("dev", "Deployment") if each["metadata"]["name"] == f"noria-{name}")
    part: dict[str, Any] = found["spec"]["template"]["spec"]["containers"][0]
    return part


@contextmanager
def started(command: list[str], folder: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=folder, env={**kept, **environment}, start_new_session=True
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return found


def wait_until(true: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, log.read_text()[-2000:]
        time.sleep(0.05)


def client(endpoint: str, key: str, secret: str) -> Any:
    session = boto3.session.Session(aws_access_key_id=key, aws_secret_access_key=secret, region_name="us-east-1")
    return session.client("s3", endpoint_url=endpoint)


class SeaweedFs:
    """The container's command over a folder that stands for its volume; started again it has the same ports."""

    def __init__(self, folder: Path) -> None:
        self.part = container("seaweedfs")
        assert [each["name"] for each in self.part["env"]] == ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
        names = [f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")]
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.folder, self.endpoint = folder, f"http://127.0.0.1:{ports['s3.port']}"
        # Beside the tests of others; in a pod each has its usual port.
        self.more = [f"-{name}={port}" for name, port in ports.items()]
        self.more += ["-ip.bind=127.0.0.1", *(f"-{part}.localSocket={folder}/{part}.sock" for part in ("filer", "s3"))]

    @contextmanager
    def up(self) -> Iterator[Any]:
        """Let it run and answer; gives a client with its key."""
        weed = str(Path(sys.executable).with_name(self.part["command"][0]))
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        arguments = [each.replace("/data", str(data)) for each in self.part["args"]]
        keys = {"AWS_ACCESS_KEY_ID": "noria", "AWS_SECRET_ACCESS_KEY": "made-by-somebody"}
        with started([weed, *arguments, *self.more], self.folder, **keys):
            probe = self.endpoint + self.part["readinessProbe"]["httpGet"]["path"]
            wait_until(lambda: answers(probe), self.folder / "log")
            yield client(self.endpoint, "noria", "made-by-somebody")


def test_seaweedfs_takes_the_key_of_the_secret_and_no_other(tmp_path):
    server = SeaweedFs(tmp_path)
    with server.up() as mine:
        # A bucket comes with its first object, and the condition that the release ledger rests on is honoured.
        mine.put_object(Bucket="noria", Key="a", Body=b"1", IfNoneMatch="*")
        with pytest.raises(ClientError, match=r"PreconditionFailed|412"):
            mine.put_object(Bucket="noria", Key="a", Body=b"2", IfNoneMatch="*")
        for other in (client(server.endpoint, "noria", "guessed"), client(server.endpoint, "anyone", "anything")):
            with pytest.raises(ClientError, match=r"SignatureDoesNotMatch|InvalidAccessKeyId"):
                other.put_object(Bucket="noria", Key="b", Body=b"1")


def test_the_first_question_of_a_run_makes_its_bucket_in_seaweedfs(tmp_path):
    for name, text in (("AWS_ACCESS_KEY_ID", "noria"), ("AWS_SECRET_ACCESS_KEY", "made-by-somebody")):
        (tmp_path / name).write_text(text)
    server = SeaweedFs(tmp_path)
    with server.up():
        access = AccessSettings(endpoint=server.endpoint, region="us-east-1", keys=tmp_path)
        store = S3Store(bucket="noria", prefix="noria", access=access)
        with pytest.raises(BucketMissingError):
            store.list("releases/")
        assert store_id(store) == store_id(store)
        assert store.list("releases/") == []


def test_what_seaweedfs_was_given_is_on_its_volume_when_its_pod_is_another(tmp_path):
    server = SeaweedFs(tmp_path)
    with server.up() as mine:
        mine.put_object(Bucket="noria", Key="a", Body=b"1", IfNoneMatch="*")
    # Killed, as a node that fails would.
    with server.up() as mine:
        wait_until(lambda: reads(mine, "a") == b"1", tmp_path / "log")
        with pytest.raises(ClientError, match=r"PreconditionFailed|412"):
            mine.put_object(Bucket="noria", Key="a", Body=b"2", IfNoneMatch="*")


def reads(mine: Any, key: str) -> bytes:
    """The object; nothing while the server does not yet know where it is."""
    try:
        return bytes(mine.get_object(Bucket="noria", Key=key)["Body"].read())
    except ClientError:
        return b""


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False


@needs_redis
def test_redis_asks_for_the_password_that_no_list_of_processes_shows_and_ends_when_it_is_told(tmp_path):
    part = container("redis")
    (tmp_path / "password").write_text(PASSWORD)
    (port,) = free_ports(1)
    shell, flag = part["command"]
    script = here(part["args"][0], tmp_path) + f" --port {port}"
    probe = here(part["readinessProbe"]["exec"]["command"][2], tmp_path).replace("redis-cli", f"redis-cli -p {port}")
    with started([shell, flag, script.replace("'* -::*'", "127.0.0.1")], tmp_path) as process:
        wait_until(lambda: succeeds(probe), tmp_path / "log")
        told = subprocess.run(["redis-cli", "-p", str(port), "ping"], capture_output=True, text=True, check=False)
        assert "NOAUTH" in told.stdout + told.stderr
        assert PASSWORD not in commands_of(process.pid)
        assert "redis-server" in commands_of(process.pid)
        assert (tmp_path / "redis.conf").stat().st_mode & 0o777 == 0o600
        # Kubernetes tells the container's first process of the end, and no other: it is the server, and ends by itself.
        process.terminate()
        assert process.wait(timeout=30) == 0
        assert "ready to exit, bye bye" in (tmp_path / "log").read_text()


def here(text: str, folder: Path) -> str:
    # /tmp comes first, for the folder itself may lie there.
    for place in ("/tmp", "/var/run/noria/redis", "/data"):
        text = text.replace(f"{place}/", f"{folder}/").replace(f"{place} ", f"{folder} ")
    return text


def succeeds(script: str) -> bool:
    return subprocess.run(["sh", "-c", script], capture_output=True, check=False).returncode == 0


def commands_of(session: int) -> str:
    """The command lines of all processes of the session."""
    done = subprocess.run(["ps", "-o", "args=", "-s", str(session)], capture_output=True, text=True, check=True)
    return done.stdout
