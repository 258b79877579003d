"""A disk that is full, read-only or somebody else's: a clear error, and what was there stays whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from noria.errors import BundleError, LedgerError, NoriaError, StoreError
from noria.ml.bundle import Calibration, Facts, write_bundle
from noria.ml.signature import Signer, TrustedKeys, make_key
from noria.schema import Column, Schema
from noria.stores.folder import FolderStore
from noria.stores.releases import Ledger

BIG = os.urandom(400_000)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounting = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounting.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounting.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return make_key(tmp_path / "keys")


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def make_bundle(folder: Path, signer: Signer) -> str:
    schema = Schema(
        columns=(
            Column(name="id", type="string", role="id"),
            Column(name="time", type="timestamp", role="time"),
            Column(name="x", type="float32", role="feature"),
            Column(name="y", type="int64", role="label"),
        )
    )
    day = datetime(2026, 1, 1, tzinfo=UTC)
    facts = Facts(
        task="t", schema=schema, classes=("a", "b"), costs=((0.0, 1.0), (1.0, 0.0)), temperature=1.0,
        calibration=Calibration(ece_before=0.1, ece_after=0.1), training_data="0" * 64, training_rows=1,
        training_start=day, training_end=day, parameters={}, metrics={}, parity=0.0, code="1",
    )  # fmt: skip
    return write_bundle(folder, model=BIG, facts=facts, profile=b"{}", signer=signer)


def test_a_full_disk_leaves_what_was_there(disk: Path, tmp_path: Path, signer: Signer) -> None:
    store = FolderStore(disk / "objects")
    store.put("kept", b"old")
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "big").write_bytes(BIG)
    FolderStore(tmp_path / "other").put_folder("x", tmp_path / "made")
    before = everything(disk)
    attempts: tuple[Callable[[], object], ...] = (
        lambda: store.put("kept", BIG),
        lambda: store.put_new("new", BIG),
        lambda: store.put_folder("folder", tmp_path / "made"),
        lambda: FolderStore(tmp_path / "other").fetch_folder("x", disk / "got"),
    )
    for attempt in attempts:
        with pytest.raises(StoreError, match=r"No space left.*free some") as caught:
            attempt()
        assert isinstance(caught.value.__cause__, OSError)
        assert everything(disk) == before
    with pytest.raises(BundleError, match=r"No space left.*free space"):
        make_bundle(disk / "bundle", signer)
    assert everything(disk) == before
    store.put("kept", b"new")


def test_a_ledger_on_a_full_disk_goes_on_where_it_was(disk: Path, signer: Signer, tmp_path: Path) -> None:
    def promote() -> int:
        ledger = Ledger(
            FolderStore(disk / "objects"), "fashion", signer=signer, trusted=TrustedKeys(tmp_path / "keys" / "trusted"),
            anchors=disk / "anchors", clock=lambda: datetime(2026, 1, 1, tzinfo=UTC),
        )  # fmt: skip
        ledger.promote(
            bundle="a" * 64, plan="b" * 64, basis=ledger.plan_basis("b" * 64), evidence=ledger.put_evidence(b"{}"),
            reason="", actor="", code="",
        )  # fmt: skip
        assert ledger.verify() == ()
        return len(ledger.entries())

    filler = disk / "filler"
    for free in range(0, 40_000, 4096):
        shutil.rmtree(disk / "objects", ignore_errors=True)
        shutil.rmtree(disk / "anchors", ignore_errors=True)
        FolderStore(disk / "objects").put("kept", b"x")
        filler.write_bytes(b"")
        room = shutil.disk_usage(disk).free
        filler.write_bytes(bytes(room - free))
        try:
            assert promote() == 1
        except (StoreError, LedgerError) as error:
            assert "No space left" in str(error) or "no space" in str(error).lower()  # noqa: PT017 - it may get through
        filler.unlink()
        assert promote() == 1


def test_a_read_only_disk_is_read_and_not_written(disk: Path, tmp_path: Path, signer: Signer) -> None:
    store = FolderStore(disk / "objects")
    store.put("kept", b"old")
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "file").write_bytes(b"x")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert store.get("kept") == b"old"
    assert store.list("") == ["kept"]
    for attempt in (
        lambda: store.put("kept", b"new"), lambda: store.put_new("new", b"x"), lambda: store.delete("kept"),
        lambda: store.put_folder("f", tmp_path / "made"), lambda: FolderStore(disk / "elsewhere").put("k", b""),
    ):  # fmt: skip
        with pytest.raises(StoreError, match=r"Read-only file system.*NORIA_HOME"):
            attempt()
    for make in (lambda: make_bundle(disk / "b", signer), lambda: make_key(disk / "keys")):
        with pytest.raises(BundleError, match="Read-only file system"):
            make()


@contextmanager
def somebody_else() -> Iterator[None]:
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_folder_of_somebody_else_is_named_with_what_to_do() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        store = FolderStore(root / "objects")
        store.put("kept", b"old")
        (root / "objects" / "secret").write_bytes(b"x")
        (root / "objects" / "secret").chmod(0o600)
        attempts: tuple[Callable[[], object], ...] = (
            lambda: store.put("kept", b"new"),
            lambda: FolderStore(root / "objects").put_new("new", b"x"),
            lambda: store.get("secret"),
            lambda: store.delete("kept"),
            lambda: FolderStore(root / "mine").put("k", b""),
        )
        for attempt in attempts:
            with somebody_else(), pytest.raises(StoreError, match=r"Permission denied.*change the owner"):
                attempt()
        assert store.get("kept") == b"old"
        with somebody_else(), pytest.raises(NoriaError, match="Permission denied"):
            make_key(root / "keys")


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "objects").write_bytes(b"")
    with pytest.raises(StoreError, match="objects"):
        FolderStore(tmp_path / "objects").put("k", b"")
    store = FolderStore(tmp_path / "store")
    store.put("a", b"")
    with pytest.raises(StoreError, match="a/b"):
        store.put("a/b", b"")
    assert store.list("") == ["a"]
