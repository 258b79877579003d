"""Ledgers in places of their own, with champions that are real bundles, small ones."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from noria.errors import LedgerError
from noria.ml.bundle import Calibration, Facts, write_bundle
from noria.ml.manifest import digest_of, encode_manifest
from noria.ml.signature import Signer, TrustedKeys, make_key
from noria.schema import Column, Schema
from noria.stores.folder import FolderStore
from noria.stores.ledger_entry import Entry
from noria.stores.opening import open_store
from noria.stores.releases import Ledger

START = datetime(2026, 1, 1, tzinfo=UTC)
SCHEMA = Schema(
    columns=(
        Column(name="id", type="string", role="id"),
        Column(name="time", type="timestamp", role="time"),
        Column(name="size", type="float32", role="feature"),
        Column(name="label", type="int64", role="label"),
    )
)


def digest(name: str) -> str:
    return sha256(name.encode()).hexdigest()


def facts_of(task: str = "fashion") -> Facts:
    return Facts(
        task=task, schema=SCHEMA, classes=("a", "b"), costs=((0.0, 1.0), (1.0, 0.0)), temperature=1.0,
        calibration=Calibration(ece_before=0.1, ece_after=0.01), training_data="0" * 64, training_rows=10,
        training_start=START, training_end=START + timedelta(days=1), parameters={}, metrics={}, parity=0.0, code="1",
    )  # fmt: skip


def bundle_digest(name: str) -> str:
    """The digest of the bundle that `Place.publish` makes under this name, whoever signs it."""
    facts = msgspec.json.encode(facts_of(), order="deterministic")
    files = {"model.onnx": name.encode(), "bundle.json": facts, "profile.json": b"{}"}
    return digest_of(encode_manifest(files))


A, B, C, D = (bundle_digest(name) for name in "ABCD")


class Clock:
    """A clock that goes on by an hour each time that somebody looks at it."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        self.now += timedelta(hours=1)
        return self.now


class Place:
    """A ledger's surroundings in a folder of their own."""

    def __init__(self, folder: Path, address: str) -> None:
        self.address, self.anchors, self.keys = address, folder / "anchors", folder / "keys"
        self.signer = make_key(self.keys)
        self.clock = Clock()

    def open(self, *, signer: Signer | None = None, anchors: bool = True, reader: bool = False) -> Ledger:
        return Ledger(
            open_store(self.address),
            "fashion",
            signer=None if reader else signer or self.signer,
            trusted=TrustedKeys(self.keys / "trusted"),
            anchors=self.anchors if anchors else None,
            clock=self.clock,
        )

    def publish(self, *names: str, task: str = "fashion", signer: Signer | None = None) -> str:
        """Put a bundle of each name into the store; returns the digest of the last."""
        made = ""
        for name in names:
            with tempfile.TemporaryDirectory() as folder:
                path, key = Path(folder) / "bundle", signer or self.signer
                made = write_bundle(path, model=name.encode(), facts=facts_of(task), profile=b"{}", signer=key)
                open_store(self.address).put_folder(f"bundles/{made}", path)
        return made

    def file(self, sequence: int) -> Path:
        return Path(self.address) / "releases" / "fashion" / f"{sequence:08}.json"


def promote(ledger: Ledger, bundle: str, plan: str = "", basis: str | None = None) -> Entry:
    return ledger.promote(
        bundle=bundle, plan=digest(plan or bundle), basis=ledger.basis() if basis is None else basis,
        evidence=ledger.put_evidence(b'{"about":"%s"}' % bundle.encode()), reason="not worse", actor="anna", code="1",
    )  # fmt: skip


def evaluate(ledger: Ledger, bundle: str, *, passed: bool = False, reason: str = "worse") -> Entry:
    champion = ledger.champion()
    return ledger.record_evaluation(
        bundle=bundle, champion=champion.bundle if champion else "", plan=digest(bundle), basis=ledger.basis(),
        evidence=ledger.put_evidence(b"{}"), passed=passed, reason=reason, actor="anna", code="1",
    )  # fmt: skip


class Overtaken(FolderStore):
    """A store in which somebody else writes just before an entry."""

    def __init__(self, root: Path, rival: Callable[[], object]) -> None:
        super().__init__(root)
        self.rival: Callable[[], object] | None = rival

    def put_new(self, key: str, data: bytes) -> None:
        if key.startswith("releases/") and self.rival is not None:
            rival, self.rival = self.rival, None
            rival()
        super().put_new(key, data)


def overtaken(place: Place, rival: Callable[[], object]) -> Ledger:
    trusted = TrustedKeys(place.keys / "trusted")
    store = Overtaken(Path(place.address), rival)
    return Ledger(store, "fashion", signer=place.signer, trusted=trusted, anchors=place.anchors, clock=place.clock)


def refusals(place: Place) -> list[str]:
    """What a fresh verification finds; and reading has to refuse as well, exactly if something was found."""
    found = [str(problem) for problem in place.open().verify()]
    if found:
        with pytest.raises(LedgerError, match="releases verify"):
            place.open().champion()
        with pytest.raises(LedgerError, match="releases verify"):
            promote(place.open(), D, basis="")
    else:
        place.open().champion()
    return found
