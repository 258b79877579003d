"""The ledger through its front door, over a real folder store and a real S3 server: who is champion, and since when."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from ledgers import START, A, B, C, D, Place, digest, evaluate, overtaken, promote

from noria.errors import LedgerError, UsageError
from noria.ml.signature import TrustedKeys
from noria.stores.folder import FolderStore
from noria.stores.ledger_entry import Entry, encode_entry
from noria.stores.releases import Ledger


def test_an_empty_ledger_has_no_champion(any_place: Place) -> None:
    ledger = any_place.open()
    assert ledger.entries() == ()
    assert ledger.champion() is None
    assert ledger.champion_at(START) is None
    assert ledger.basis() == ""
    assert ledger.verify() == ()


def test_a_promotion_makes_a_champion_that_another_process_reads(any_place: Place) -> None:
    ledger = any_place.open()
    refused = evaluate(ledger, B)
    entry = promote(ledger, A)
    reader = any_place.open(reader=True)
    champion = reader.champion()
    assert champion is not None
    assert (champion.bundle, champion.entry, champion.since) == (A, entry.digest, entry.time)
    assert reader.entries() == (refused, entry)
    assert (refused.sequence, refused.previous, entry.previous) == (1, "", refused.digest)
    assert reader.read_evidence(entry.evidence) == b'{"about":"%s"}' % A.encode()
    assert reader.verify() == ()


def test_which_model_served_at_a_time_is_answered_from_the_entries(place: Place) -> None:
    place.publish("A")
    ledger = place.open()
    first, second = promote(ledger, A), promote(ledger, B)
    back = ledger.rollback(to=None, reason="complaints", actor="bert")
    assert ledger.champion_at(first.time - timedelta(microseconds=1)) is None
    assert ledger.champion_at(first.time) == first
    assert ledger.champion_at(second.time - timedelta(microseconds=1)) == first
    assert ledger.champion_at(second.time) == second
    served = ledger.champion_at(datetime(2030, 1, 1, tzinfo=UTC))
    assert served == back
    assert (served.bundle, served.reason, served.actor) == (A, "complaints", "bert")
    with pytest.raises(UsageError, match="time zone"):
        ledger.champion_at(datetime(2026, 1, 1))  # noqa: DTZ001 - the naive time is the point


def test_a_repeated_promotion_changes_nothing(place: Place) -> None:
    ledger = place.open()
    first = promote(ledger, A, basis="")
    assert promote(place.open(), A, basis="") == first
    assert len(ledger.entries()) == 1


def test_a_repeated_evaluation_is_recorded_once_but_one_on_another_basis_anew(place: Place) -> None:
    ledger = place.open()
    first = evaluate(ledger, B)
    assert evaluate(place.open(), B, reason="told otherwise") == first
    promote(ledger, A)
    assert evaluate(ledger, B) != first
    assert [entry.kind for entry in ledger.entries()] == ["evaluated", "promoted", "evaluated"]


def test_a_promotion_on_an_old_basis_is_refused(place: Place) -> None:
    ledger = place.open()
    promote(ledger, A)
    basis = ledger.basis()
    promote(place.open(), B)
    with pytest.raises(LedgerError, match=f"changed from {A} to {B}.*run again"):
        promote(ledger, C, basis=basis)
    assert ledger.champion().bundle == B  # type: ignore[union-attr]


def test_a_plan_that_made_the_champion_keeps_its_own_basis(place: Place) -> None:
    place.publish("A")
    ledger = place.open()
    promote(ledger, A, "plan 1")
    before = ledger.basis()
    promote(ledger, B, "plan 2")
    assert ledger.plan_basis(digest("plan 2")) == before
    assert ledger.plan_basis(digest("plan 1")) == ledger.basis()
    ledger.rollback(to=None, reason="complaints", actor="bert")
    assert ledger.plan_basis(digest("plan 2")) == ledger.basis()


def test_the_champion_itself_is_not_promoted_over_itself(place: Place) -> None:
    ledger = place.open()
    first = promote(ledger, A, "plan 1")
    assert promote(ledger, A, "plan 2") == first
    assert len(ledger.entries()) == 1


def test_a_promotion_that_an_evaluation_overtakes_is_the_next_entry(place: Place) -> None:
    promote(place.open(), A)
    entry = promote(overtaken(place, lambda: evaluate(place.open(), C)), B)
    assert entry.sequence == 3
    assert place.open().verify() == ()


def test_a_decision_without_its_evidence_is_refused(place: Place) -> None:
    with pytest.raises(LedgerError, match="is missing: expected the evidence"):
        place.open().promote(bundle=A, plan=A, basis="", evidence=D, reason="", actor="", code="")
    with pytest.raises(LedgerError, match="evidence '' is not a digest"):
        place.open().promote(bundle=A, plan=A, basis="", evidence="", reason="", actor="", code="")


def test_one_without_a_key_reads_but_does_not_write(place: Place) -> None:
    promote(place.open(), A)
    with pytest.raises(LedgerError, match="no signing key"):
        promote(place.open(reader=True), B)


def test_a_clock_that_went_back_keeps_the_order_or_is_refused(place: Place) -> None:
    ledger = place.open()
    first = promote(ledger, A)
    place.clock.now = first.time - timedelta(hours=1, minutes=3)
    assert promote(ledger, B).time == first.time
    place.clock.now = first.time - timedelta(days=2)
    with pytest.raises(LedgerError, match="set the clock"):
        promote(ledger, C)


def test_two_tasks_and_two_stores_do_not_disturb_each_other(place: Place, tmp_path: Path) -> None:
    promote(place.open(), A)
    with pytest.raises(UsageError, match="not a task's name"):
        Ledger(
            FolderStore(tmp_path), "../x", signer=None, trusted=TrustedKeys(tmp_path), anchors=None, clock=place.clock
        )
    elsewhere = Place(tmp_path, str(tmp_path / "other"))
    assert elsewhere.open().champion() is None


def test_reading_again_asks_only_for_what_is_new(full: Place) -> None:
    class Counting(FolderStore):
        gets = 0

        def get(self, key: str) -> bytes:
            self.gets += 1
            return super().get(key)

    store = Counting(Path(full.address))
    ledger = Ledger(
        store, "fashion", signer=full.signer, trusted=TrustedKeys(full.keys / "trusted"), anchors=None, clock=full.clock
    )
    ledger.champion()
    assert store.gets == 5
    ledger.champion()
    ledger.basis()
    assert store.gets == 5
    promote(full.open(), C)
    assert ledger.champion().bundle == C  # type: ignore[union-attr]
    assert store.gets == 6


def test_the_ledger_loads_quickly_and_without_heavy_libraries() -> None:
    heavy = ["torch", "pyarrow", "pandas", "kfp", "model_signing", "sigstore", "boto3"]
    code = f"import sys; import noria.stores.releases; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_an_entry_reads_back_as_it_was(full: Place) -> None:
    for entry in full.open().entries():
        assert msgspec.json.decode(encode_entry(entry), type=Entry) == entry
        assert full.file(entry.sequence).read_bytes() == encode_entry(entry)
