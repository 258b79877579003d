"""Ways to and through the online store: TLS, requests that share a read, and models that change meanwhile."""

from __future__ import annotations

import json
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import httpx
import pytest
from airline import ASKED, FACTS, INFER, NAME, NOON, at, full, make_airline_model, one_row, rows_of, v2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from online_stores import Redis, free_port, redis
from predictor import PATIENCE, Predictor, predictor, wait_until
from questions import outputs

from noria.ml.bundle import Facts
from noria.stores.online.store import open_online

ROW = {**one_row(ASKED), **at(NOON, 1)}


@pytest.fixture(scope="module")
def bundle(publish: Callable[[bytes, Facts], Path]) -> Path:
    return publish(make_airline_model(), FACTS)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Redis]:
    with redis(tmp_path) as server:
        fill(server.address)
        yield server


def fill(address: str) -> None:
    store = open_online(address)
    store.write(rows_of())
    store.close()


def is_fresh(running: Predictor) -> bool:
    answer = running.client.post(INFER, json=v2(ROW))
    assert answer.status_code == 200, answer.text
    return "noria-features" not in answer.headers


def send(running: Predictor) -> socket.socket:
    body = json.dumps(v2(ROW)).encode()
    client = socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE)
    head = f"POST {INFER} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    client.sendall(head.encode() + body)
    return client


def read(client: socket.socket) -> bytes:
    with client:
        return b"".join(iter(lambda: client.recv(65536), b""))


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def test_a_redis_behind_tls_is_read_if_its_certificate_is_trusted(
    bundle: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    certificate, key = make_certificate(tmp_path)
    port = free_port()
    secured = ("--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    with redis(tmp_path, *secured, "--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no") as server:
        fill(server.address)
        arguments = ["--bundle", bundle, "--online", f"rediss://127.0.0.1:{port}/0", "--online-seconds", "5"]
        with predictor(arguments, home) as running:
            assert not is_fresh(running)
            assert "CERTIFICATE_VERIFY_FAILED" in running.log.read_text()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with predictor(arguments, home) as running:
            assert is_fresh(running)


def test_requests_that_come_at_the_same_time_share_a_read_and_get_their_own_rows(
    bundle: Path, home: Path, server: Redis
):
    with predictor(["--bundle", bundle, "--online", server.address, "--online-seconds", "5"], home) as running:
        wait_until(lambda: is_fresh(running), "the store answers")
        whole = running.client.post(INFER, json=v2(full())).json()
        server.send(signal.SIGSTOP)
        try:
            running.process.send_signal(signal.SIGSTOP)  # so that all of them lie there when it looks again
            clients = [send(running) for _ in range(40)]
            running.process.send_signal(signal.SIGCONT)
            wait_until(lambda: running.metric("noria_in_flight_requests") == 41, "all wait")
        finally:
            server.send(signal.SIGCONT)
        expected = outputs(whole)["probabilities"][0].tolist()
        for client in clients:
            body = json.loads(read(client).partition(b"\r\n\r\n")[2])
            assert outputs(body)["probabilities"][0].tolist() == pytest.approx(expected, abs=1e-6)
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            raw.sendall(b"INFO commandstats\r\n")
            line = next(line for line in raw.recv(65536).decode().splitlines() if line.startswith("cmdstat_mget"))
        assert int(line.partition("calls=")[2].partition(",")[0]) < 30


@pytest.fixture
def managed(
    bundle: Path, home: Path, server: Redis, publish: Callable[[bytes, Facts], Path], tmp_path: Path
) -> Iterator[tuple[Predictor, httpx.Client, Path]]:
    shelf = tmp_path / "shelf"
    shutil.copytree(publish(make_airline_model(), replace(FACTS, code="another")), shelf / "second")
    arguments = ["--bundle", bundle, "--online", server.address, "--online-seconds", "5", "--admin-port", "0"]
    with predictor([*arguments, "--admin-source", f"file://{shelf}"], home) as running:
        address = f"http://127.0.0.1:{running.ready['admin_port']}"
        with httpx.Client(base_url=address, timeout=PATIENCE) as admin:
            yield running, admin, shelf


@pytest.mark.parametrize("leaves", ["for a new one", "for good"])
def test_a_model_that_leaves_answers_those_that_wait_for_the_store(
    managed: tuple[Predictor, httpx.Client, Path], server: Redis, leaves: str
):
    running, admin, shelf = managed
    wait_until(lambda: is_fresh(running), "the store answers")
    before = running.client.get(f"/v2/models/{NAME}").json()["parameters"]["bundle"]
    server.send(signal.SIGSTOP)
    try:
        waiting = send(running)
        wait_until(lambda: running.metric("noria_in_flight_requests") == 2, "it waits for the store")
        if leaves == "for good":
            assert admin.post(f"/v2/repository/models/{NAME}/unload").status_code == 200
        else:
            loaded = admin.post(f"/v2/repository/models/{NAME}/load", json={"source": f"file://{shelf}/second"})
            assert loaded.status_code == 200, loaded.text
    finally:
        server.send(signal.SIGCONT)
    head, _, body = read(waiting).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    assert json.loads(body)["parameters"]["bundle"] == before
    if leaves == "for a new one":
        assert is_fresh(running)
        assert running.client.get(f"/v2/models/{NAME}").json()["parameters"]["bundle"] != before


def test_two_versions_share_the_store_and_what_is_remembered_of_it(
    managed: tuple[Predictor, httpx.Client, Path], server: Redis
):
    running, admin, shelf = managed
    wait_until(lambda: is_fresh(running), "the store answers")
    loaded = admin.post(
        f"/v2/repository/models/{NAME}/load", json={"source": f"file://{shelf}/second", "default": False}
    )
    version = loaded.json()["version"]
    server.kill()
    wait_until(lambda: running.metric("noria_online_breaker_open") == 1 or not is_fresh(running), "it is missed")
    answer = running.client.post(f"/v2/models/{NAME}/versions/{version}/infer", json=v2(ROW))
    views = json.loads(answer.json()["parameters"]["feature_views"])
    assert views == {view: {"last known": 1} for view in ("weather", "aircraft", "routes")}
