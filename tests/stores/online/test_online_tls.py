"""TLS: a Redis behind a certificate is written to and read from, and one whose certificate nobody knows is not."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from known_views import key, packed
from redis_server import RedisServer, running_redis

from noria.errors import StoreError
from noria.stores.online.store import open_online
from serving.features.online import open_reader

pytestmark = pytest.mark.xdist_group("online")


def write_certificate(folder: Path) -> Path:
    """A certificate that vouches for itself, for 127.0.0.1, with its key beside it."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "online store")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def server(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    own = ("--tls-cert-file", str(certificate), "--tls-key-file", str(certificate.with_name("key.pem")))
    options = ("--port", "0", "--tls-port", "{port}", *own, "--tls-auth-clients", "no")
    with running_redis(tmp_path_factory.mktemp("redis"), *options) as running:
        yield running


def read(address: str) -> list[bytes | None] | StoreError:
    """What the predictor's reader gets."""

    async def ask() -> list[bytes | None] | StoreError:
        answer = asyncio.get_running_loop().create_future()
        reader = open_reader(address, None, 5.0)()
        reader.read([key(1)], answer.set_result)
        found = await answer
        reader.close()
        await asyncio.sleep(0)  # the transport ends in a turn of the loop
        return found

    return asyncio.run(ask())


def test_rows_come_and_go_over_tls(server: RedisServer, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    address = server.address().replace("redis:", "rediss:")
    store = open_online(address)
    store.write([(key(1), packed(1))])
    assert store.read([key(1)]) == [packed(1)]
    store.close()
    assert read(address) == [packed(1)]


def test_a_certificate_that_nobody_vouches_for_is_refused(server: RedisServer) -> None:
    address = server.address().replace("redis:", "rediss:")
    with pytest.raises(StoreError, match=r"does not answer .*certificate verify failed"):
        open_online(address)
    assert "certificate verify failed" in str(read(address))


def test_a_server_without_tls_is_told_from_one_with_it(redis_server: RedisServer) -> None:
    with pytest.raises(StoreError, match="does not answer"):
        open_online(redis_server.address().replace("redis:", "rediss:"), seconds=0.5)
