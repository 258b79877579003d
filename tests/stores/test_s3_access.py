"""S3 access: a store is reached by Noria's own settings, and whoever else reads AWS_* is left alone."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from noria.errors import NoriaError, ObjectMissingError, StoreError
from noria.settings import AccessSettings
from noria.stores.opening import open_store

KEY, SECRET = "own-key-id", "own/secret+key"


class Listener:
    """A server that has nothing, and notes by whose key and for which region it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = re.search(r"Credential=([^/]+)/[0-9]+/([^/]+)/", self.headers.get("Authorization", ""))
                listener.asked.append("/".join(found.groups()) if found else "nobody")
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A Secret as Kubernetes mounts it: each file a link into a folder that is exchanged as a whole."""
    folder = tmp_path / "store"
    (folder / "..data").mkdir(parents=True)
    for name, text in (("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", SECRET + "\n")):
        (folder / "..data" / name).write_text(text)
        (folder / name).symlink_to(Path("..data", name))
    return folder


@pytest.fixture
def of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables by which a program beside this one finds a bucket of its own."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "NORIA_OBJECTS"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "their-region")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "their-key-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "theirs")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "theirs")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


def ask() -> None:
    with pytest.raises(ObjectMissingError):
        open_store("s3://bucket/prefix").get("there")


def test_own_address_region_and_keys_count_more_than_the_variables_of_others(
    listener: Listener, secret: Path, of_another: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: text for name, text in os.environ.items() if name.startswith("AWS_")}
    monkeypatch.setenv("NORIA_OBJECTS_ENDPOINT", listener.endpoint)
    monkeypatch.setenv("NORIA_OBJECTS_REGION", "own-region")
    monkeypatch.setenv("NORIA_OBJECTS_KEYS", str(secret))
    ask()
    assert listener.asked == [f"{KEY}/own-region"]
    assert {name: text for name, text in os.environ.items() if name.startswith("AWS_")} == before


def test_without_settings_of_its_own_it_goes_by_the_variables_that_boto3_knows(
    listener: Listener, of_another: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", listener.endpoint)
    ask()
    assert listener.asked == ["their-key-id/their-region"]


def test_keys_are_read_when_a_client_is_made_so_that_new_ones_count(
    listener: Listener, secret: Path, of_another: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NORIA_OBJECTS_ENDPOINT", listener.endpoint)
    monkeypatch.setenv("NORIA_OBJECTS_KEYS", str(secret))
    store = open_store("s3://bucket/prefix")
    (secret / "..data" / "AWS_ACCESS_KEY_ID").write_text("newer")
    with pytest.raises(ObjectMissingError):
        store.get("there")
    assert listener.asked == ["newer/their-region"]


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read (No such file or directory)"),
        (b"", "holds nothing"),
        (b" \n", "holds nothing"),
        (b"two hidden words", "holds other characters"),
        (b"hidden\nhidden", "holds other characters"),
        (b"hidden\xff", "holds other characters"),
    ],
)
def test_a_key_that_is_none_is_named_and_never_shown(
    secret: Path, of_another: None, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes | None, words: str
) -> None:
    monkeypatch.setenv("NORIA_OBJECTS_KEYS", str(secret))
    path = secret / "..data" / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    store = open_store("s3://bucket/prefix")  # nothing is read yet
    with pytest.raises(StoreError, match=re.escape(f"key {secret / name} {words}")) as caught:
        store.get("there")
    assert not any(part in whole(caught.value) for part in ("hidden", KEY, SECRET))


def test_a_folder_that_is_not_mounted_is_told_with_what_to_do(
    tmp_path: Path, of_another: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NORIA_OBJECTS_KEYS", str(tmp_path / "nothing"))
    with pytest.raises(StoreError, match=r"mount the Secret there, or unset it where a role gives the right"):
        open_store("s3://bucket/prefix").get("there")


def test_an_address_that_boto3_refuses_is_told_without_the_keys(
    secret: Path, of_another: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NORIA_OBJECTS_ENDPOINT", "http://no host")
    with pytest.raises(NoriaError, match="NORIA_OBJECTS_ENDPOINT is 'http://no host': expected http://host:port"):
        open_store("s3://bucket/prefix").get("there")
    monkeypatch.setenv("NORIA_OBJECTS_ENDPOINT", "http://under_score:x")
    monkeypatch.setenv("NORIA_OBJECTS_KEYS", str(secret))
    with pytest.raises(StoreError, match=r"no S3 client for bucket bucket .*check NORIA_OBJECTS_ENDPOINT") as caught:
        open_store("s3://bucket/prefix").get("there")
    assert not any(part in whole(caught.value) for part in (KEY, SECRET))


def whole(error: BaseException | None) -> str:
    """The error and all that it came from, as a log could show them."""
    return f"{error!r} {vars(error)} {whole(error.__cause__ or error.__context__)}" if error else ""


def test_settings_hold_the_place_of_the_keys_and_no_key(secret: Path) -> None:
    shown = repr(AccessSettings.from_environment({"NORIA_OBJECTS_KEYS": str(secret)}))
    assert str(secret) in shown
    assert KEY not in shown
    assert SECRET not in shown
