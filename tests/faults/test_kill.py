"""SIGKILL in the middle: nothing half is visible, and doing it again succeeds.

The child kills itself before its n-th file operation, for every n until it gets through; Python's profiler counts them.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from noria.errors import NoriaError
from noria.ml.bundle import Calibration, Facts, open_bundle, write_bundle
from noria.ml.signature import TrustedKeys, make_key
from noria.schema import Column, Schema
from noria.stores.folder import FolderStore
from noria.stores.releases import Ledger

OPERATIONS = {
    "open", "write", "flush", "fsync", "link", "rename", "replace", "remove", "unlink", "rmdir", "mkdir", "truncate",
    "sendfile", "close",
}  # fmt: skip


def run_until_killed(action: Callable[[], object], at: int) -> bool:
    """Run the action in a child that kills itself before its operation number `at`; whether it got through before."""
    child = os.fork()
    if child == 0:
        left = at

        def count(_: object, event: str, function: object) -> None:
            nonlocal left
            if event == "c_call" and getattr(function, "__name__", "") in OPERATIONS:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.setprofile(count)
            action()
        except BaseException:  # noqa: BLE001 - a forked child must never return into pytest
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status == 0


def kill_everywhere(start: Path, work: Path, action: Callable[[], object], check: Callable[[], object]) -> int:
    """Try every moment, each from the state in `start`, copied to `work`; how many moments there were."""
    at, through = 0, False
    while not through:
        at += 1
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(start, work)
        through = run_until_killed(action, at)
        check()
    return at - 1


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory where there is one: the disk's speed is no part of what is tested."""
    shared = Path("/dev/shm")
    with TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture
def start(memory: Path) -> Path:
    start = memory / "start"
    store = FolderStore(start / "objects")
    store.put("kept", b"old")
    made = start / "made"
    (made / "below").mkdir(parents=True)
    (made / "below" / "b").write_bytes(b"b" * 3000)
    (made / "a").write_bytes(b"a" * 3000)
    make_key(start / "keys")
    return start


@pytest.fixture
def work(memory: Path) -> Path:
    return memory / "work"


def test_a_killed_put_leaves_the_old_object_or_the_new(start: Path, work: Path) -> None:
    def check() -> None:
        store = FolderStore(work / "objects")
        assert store.get("kept") in (b"old", b"new")
        assert store.list("") == ["kept"]
        store.put("kept", b"new")
        assert store.get("kept") == b"new"

    assert kill_everywhere(start, work, lambda: FolderStore(work / "objects").put("kept", b"new"), check) >= 3


def test_a_killed_put_new_leaves_nothing_or_the_whole_object(start: Path, work: Path) -> None:
    def check() -> None:
        store = FolderStore(work / "objects")
        if store.exists("deep/er/new"):
            assert store.get("deep/er/new") == b"new"
        else:
            assert store.list("") == ["kept"]
            store.put_new("deep/er/new", b"new")

    assert (
        kill_everywhere(start, work, lambda: FolderStore(work / "objects").put_new("deep/er/new", b"new"), check) >= 4
    )


def test_a_killed_put_folder_leaves_nothing_or_the_whole_folder(start: Path, work: Path) -> None:
    def check() -> None:
        store = FolderStore(work / "objects")
        there = ["x/one/a", "x/one/below/b"] if store.exists("x/one") else []
        assert store.list("x/") == there
        store.put_folder("x/one", work / "made")
        assert store.list("x/") == ["x/one/a", "x/one/below/b"]
        assert store.get("x/one/a") == b"a" * 3000

    assert (
        kill_everywhere(start, work, lambda: FolderStore(work / "objects").put_folder("x/one", work / "made"), check)
        >= 8
    )


def test_a_killed_fetch_leaves_nothing_or_the_whole_folder(start: Path, work: Path) -> None:
    FolderStore(start / "objects").put_folder("x/one", start / "made")

    def check() -> None:
        got = work / "got"
        if got.exists():
            assert (got / "below" / "b").read_bytes() == b"b" * 3000
        FolderStore(work / "objects").fetch_folder("x/one", got)
        assert (got / "a").read_bytes() == b"a" * 3000

    action = lambda: FolderStore(work / "objects").fetch_folder("x/one", work / "got")  # noqa: E731 - shorter than a def
    assert kill_everywhere(start, work, action, check) >= 8


def bundle_in(work: Path) -> str:
    schema = Schema(
        columns=(
            Column(name="id", type="string", role="id"),
            Column(name="time", type="timestamp", role="time"),
            Column(name="x", type="float32", role="feature"),
            Column(name="y", type="int64", role="label"),
        )
    )
    facts = Facts(
        task="t", schema=schema, classes=("a", "b"), costs=((0.0, 1.0), (1.0, 0.0)), temperature=1.0,
        calibration=Calibration(ece_before=0.1, ece_after=0.1), training_data="0" * 64, training_rows=1,
        training_start=datetime(2026, 1, 1, tzinfo=UTC), training_end=datetime(2026, 1, 2, tzinfo=UTC), parameters={},
        metrics={}, parity=0.0, code="1",
    )  # fmt: skip
    return write_bundle(work / "bundle", model=b"m" * 5000, facts=facts, profile=b"{}", signer=make_key(work / "keys"))


def test_a_killed_write_of_a_bundle_leaves_nothing_or_the_whole_bundle(start: Path, work: Path, tmp_path: Path) -> None:
    # The first signature imports model-signing, which opens a thousand files; they are no part of what is tested.
    shutil.copytree(start, tmp_path / "warm")
    bundle_in(tmp_path / "warm")

    def check() -> None:
        trusted = TrustedKeys(work / "keys" / "trusted")
        if (work / "bundle").exists():
            open_bundle(work / "bundle", trusted=trusted)
        assert open_bundle(work / "bundle", trusted=trusted, expected=bundle_in(work)).model == b"m" * 5000

    assert kill_everywhere(start, work, lambda: bundle_in(work), check) >= 10


def test_a_killed_making_of_a_key_is_repaired(start: Path, work: Path) -> None:
    def check() -> None:
        signer = make_key(work / "new" / "keys")
        trusted = TrustedKeys(work / "new" / "keys" / "trusted")
        trusted.verify_payload(key_id=signer.key_id, payload_type="t", payload=b"x", signature=signer.sign("t", b"x"))
        assert trusted.key_ids() == (signer.key_id,)

    assert kill_everywhere(start, work, lambda: make_key(work / "new" / "keys"), check) >= 6


def ledger_in(work: Path) -> Ledger:
    return Ledger(
        FolderStore(work / "objects"),
        "fashion",
        signer=make_key(work / "keys"),
        trusted=TrustedKeys(work / "keys" / "trusted"),
        anchors=work / "anchors",
        clock=lambda: datetime(2026, 1, 1, tzinfo=UTC),
    )


def promote_in(work: Path) -> object:
    ledger = ledger_in(work)
    plan = "1" * 64
    return ledger.promote(
        bundle="a" * 64, plan=plan, basis=ledger.plan_basis(plan), evidence=ledger.put_evidence(b"{}"), reason="r",
        actor="a", code="1",
    )  # fmt: skip


def test_a_killed_promotion_that_is_repeated_is_one_entry(start: Path, work: Path) -> None:
    def check() -> None:
        ledger = ledger_in(work)
        assert len(ledger.entries()) in (0, 1)
        promote_in(work)
        assert [entry.sequence for entry in ledger_in(work).entries()] == [1]
        assert ledger_in(work).verify() == ()

    assert kill_everywhere(start, work, lambda: promote_in(work), check) >= 15


def test_what_a_killed_writer_left_is_removed_a_day_later(start: Path, work: Path) -> None:
    kill_everywhere(start, work, lambda: None, lambda: None)
    staging = work / "objects" / ".staging"
    old, young = staging / ".staging-old", staging / ".staging-young"
    (old / "below").mkdir(parents=True)
    (old / "below" / "file").write_bytes(b"x")
    young.write_bytes(b"x")
    yesterday = time.time() - 90_000
    os.utime(old, (yesterday, yesterday))
    FolderStore(work / "objects").put("k", b"x")
    assert sorted(path.name for path in staging.iterdir()) == [".staging-young"]
    assert FolderStore(work / "objects").list("") == ["k", "kept"]


def test_a_refusal_in_the_child_would_be_seen(start: Path, work: Path) -> None:
    def refuse() -> None:
        raise NoriaError

    with pytest.raises(AssertionError):
        kill_everywhere(start, work, refuse, lambda: None)
