"""The storage container's program: a bundle from a real S3 server lies in a folder whole and verified, or not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.proxy import FaultProxy
from predictor import ROOT, predictor
from tiny_models import ONE, facts_of, make_model

from noria.errors import BundleError
from noria.ml.bundle import FILES, open_bundle, write_bundle
from noria.ml.signature import Signer, TrustedKeys, make_key
from noria.stores.opening import open_store


class Published:
    """A bundle in a place of its own on the server, and the folder that it is to be fetched into."""

    def __init__(self, address: str, folder: Path, home: Path, signer: Signer) -> None:
        self.store, self.keys = open_store(address), home / "keys" / "trusted"
        self.original, self.target = folder / "bundle", folder / "models"
        self.digest = write_bundle(
            self.original, model=make_model(ONE), facts=facts_of(ONE), profile=b"{}", signer=signer
        )

    @property
    def key(self) -> str:
        return f"bundles/{self.digest}"

    @property
    def uri(self) -> str:
        return self.store.uri(self.key)

    def put(self) -> Published:
        self.store.put_folder(self.key, self.original)
        return self

    def start(self, *words: object) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("NORIA_")}
        command = [sys.executable, "-m", "serving.fetch", *map(str, words or (self.uri, self.target))]
        return subprocess.Popen(
            command, cwd=ROOT, env={**environment, "NORIA_TRUSTED_KEYS": str(self.keys)}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def fetch(self, *words: object) -> tuple[int, str]:
        """Returns the exit code, and the one line that was told."""
        process = self.start(*words)
        out, err = process.communicate(timeout=120)
        assert out == ""
        assert err.count("\n") == 1, err
        return process.returncode, err

    def check_whole(self) -> None:
        assert {path.name for path in self.target.iterdir()} == FILES
        opened = open_bundle(self.target, trusted=TrustedKeys(self.keys), expected=self.digest)
        assert opened.model == make_model(ONE)

    def check_nothing(self) -> None:
        assert not self.target.exists() or list(self.target.iterdir()) == []


@pytest.fixture
def published(s3_address: str, tmp_path: Path, home: Path, signer: Signer) -> Published:
    return Published(s3_address, tmp_path, home, signer)


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, as a pod's volume is: beside its root nothing can be written."""
    folder = tmp_path / "volume"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no disk of its own can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_what_was_fetched_into_a_volume_is_what_a_predictor_serves(
    published: Published, volume: Path, home: Path
) -> None:
    published.put().target = volume
    code, told = published.fetch()
    assert (code, published.digest in told) == (0, True), told
    published.check_whole()
    with predictor(["--bundle", volume, "--name", "shoes"], home) as running:
        assert running.client.get("/v2/models/shoes").json()["parameters"]["bundle"] == published.digest


def test_done_again_it_changes_nothing_and_asks_nobody(published: Published) -> None:
    published.put()
    assert published.fetch()[0] == 0
    before = {path.name: path.stat().st_mtime_ns for path in published.target.iterdir()}
    for name in ("bundle.json", "model.onnx"):
        published.store.delete(f"{published.key}/{name}")
    assert published.fetch()[0] == 0
    assert {path.name: path.stat().st_mtime_ns for path in published.target.iterdir()} == before


@pytest.mark.parametrize("name", sorted(FILES))
def test_an_object_that_was_written_anew_is_refused(published: Published, name: str) -> None:
    published.put().store.put(f"{published.key}/{name}", b"something else, with a checksum of its own")
    code, told = published.fetch()
    assert code == 1, told
    assert "publish the folder again" in told
    published.check_nothing()


def test_a_bundle_that_lies_under_another_ones_digest_is_refused(published: Published, tmp_path: Path) -> None:
    other = "e" * 64
    published.store.put_folder(f"bundles/{other}", published.original)
    code, told = published.fetch(published.store.uri(f"bundles/{other}"), published.target)
    assert (code, f"holds bundle {published.digest}: expected {other}" in told) == (1, True), told
    published.check_nothing()


def test_one_without_a_signature_is_refused(published: Published) -> None:
    (published.original / "signature.json").unlink()
    code, told = published.put().fetch()
    assert (code, "is unsigned" in told) == (1, True), told
    published.check_nothing()


def test_one_that_nobody_trusted_signed_is_refused(published: Published, tmp_path: Path) -> None:
    shutil.rmtree(published.original)
    stranger = make_key(tmp_path / "stranger")
    write_bundle(published.original, model=make_model(ONE), facts=facts_of(ONE), profile=b"{}", signer=stranger)
    code, told = published.put().fetch()
    assert (code, stranger.key_id in told) == (1, True), told
    published.check_nothing()


def test_no_keys_at_all_let_nothing_through(published: Published, tmp_path: Path) -> None:
    published.put().keys = tmp_path / "nowhere"
    code, told = published.fetch()
    assert (code, "signature" in told) == (1, True), told
    published.check_nothing()


def test_one_that_was_never_published_is_told(published: Published) -> None:
    code, told = published.fetch()
    assert (code, f"no whole folder at {published.uri}" in told) == (1, True), told
    published.check_nothing()


def test_one_that_is_killed_midway_leaves_no_bundle_and_the_next_completes_it(
    published: Published, fault_proxy: FaultProxy
) -> None:
    published.put()
    fault_proxy.inject("stalled", times=float("inf"), method="GET", part="model.onnx")
    process = published.start()
    deadline = time.monotonic() + 60
    while not any(way == "GET" and "model.onnx" in path for way, path in fault_proxy.requests):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert list(published.target.iterdir())
    with pytest.raises(BundleError):
        open_bundle(published.target, trusted=TrustedKeys(published.keys))
    fault_proxy.heal()
    assert published.fetch()[0] == 0
    published.check_whole()


@pytest.mark.parametrize("count", [1, 2, 4])
def test_one_that_is_killed_while_it_shows_its_files_is_no_bundle_either(published: Published, count: int) -> None:
    """The signature comes last, and without it a folder is none."""
    published.put()
    assert published.fetch()[0] == 0
    names = sorted(FILES, key=lambda name: (name == "signature.json", name))
    for name in names[count:]:
        (published.target / name).unlink()
    with pytest.raises(BundleError):
        open_bundle(published.target, trusted=TrustedKeys(published.keys))
    assert published.fetch()[0] == 0
    published.check_whole()


def test_a_volume_that_is_full_is_told_and_stays_empty(published: Published, volume: Path) -> None:
    published.put().target = volume
    filler = volume / ".staging-filler"  # so named that it looks like what a killed run left
    filler.mkdir()
    (filler / "bytes").write_bytes(bytes(shutil.disk_usage(volume).free))
    held = (filler / "bytes").open("rb")  # whose space is not free again as long as somebody has it open
    code, told = published.fetch()
    held.close()
    assert (code, "No space left" in told) == (1, True), told
    published.check_nothing()
    assert published.fetch()[0] == 0
    published.check_whole()


def test_a_folder_with_something_else_in_it_is_left_alone(published: Published) -> None:
    published.put().target.mkdir()
    (published.target / "mine.txt").write_text("mine")
    code, told = published.fetch()
    assert (code, "holds mine.txt" in told) == (1, True), told
    assert [path.name for path in published.target.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("kind", ["503", "reset", "truncated", "corrupted"])
def test_a_server_that_stumbles_is_asked_again(published: Published, fault_proxy: FaultProxy, kind: str) -> None:
    published.put()
    fault_proxy.inject(kind, method="GET", part="bundle.json")  # type: ignore[arg-type]
    code, told = published.fetch()
    assert code == 0, told
    published.check_whole()


@pytest.mark.parametrize("address", ["s3://models/bundles", "s3://models/bundles/latest", "models", ""])
def test_an_address_without_a_digest_is_refused(published: Published, address: str) -> None:
    code, told = published.fetch(address, published.target)
    assert (code, "is not a bundle's address" in told) == (2, True), told
    published.check_nothing()
