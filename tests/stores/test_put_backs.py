"""Put-backs: the ledger says that a bundle did not come up, and who is champion stays so."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ledgers import A, B, C, Place, digest, evaluate, promote, refusals

from noria.errors import LedgerError
from noria.stores.ledger_entry import Entry, encode_entry, sign_entry
from noria.stores.releases import Ledger


def put_back(ledger: Ledger, bundle: str, *, reason: str = "no node has room for it", evidence: str = "") -> Entry:
    return ledger.record_put_back(
        bundle=bundle, plan=digest("plan"), basis=ledger.basis(), evidence=evidence, reason=reason, actor="pipeline",
        code="1",
    )  # fmt: skip


def test_who_is_champion_stays_so(any_place: Place) -> None:
    ledger = any_place.open()
    promote(ledger, A)
    basis = ledger.basis()
    entry = put_back(ledger, B)
    assert (entry.kind, entry.bundle, entry.champion, entry.passed) == ("put-back", B, A, False)
    found = any_place.open()
    champion = found.champion()
    assert champion is not None
    assert champion.bundle == A
    assert found.basis() == basis
    last = found.champion_at(entry.time)
    assert last is not None
    assert last.bundle == A
    assert found.verify() == ()


def test_before_the_first_champion_there_is_none_to_stay(place: Place) -> None:
    ledger = place.open()
    assert put_back(ledger, A).champion == ""
    assert ledger.champion() is None
    assert ledger.verify() == ()


def test_every_try_is_an_entry_of_its_own_and_the_bundle_may_still_be_promoted(place: Place) -> None:
    ledger = place.open()
    promote(ledger, A)
    put_back(ledger, B)
    put_back(ledger, B)
    promote(ledger, B)
    assert [entry.kind for entry in ledger.entries()] == ["promoted", "put-back", "put-back", "promoted"]
    place.publish("A")
    assert ledger.rollback(to=None, reason="complaints", actor="person").bundle == A
    assert ledger.verify() == ()


def test_it_does_not_make_a_bundle_one_that_can_be_gone_back_to(place: Place) -> None:
    place.publish("A", "B", "C")
    ledger = place.open()
    promote(ledger, A)
    put_back(ledger, B)
    with pytest.raises(LedgerError, match="never was champion"):
        ledger.rollback(to=B, reason="complaints", actor="person")
    promote(ledger, C)
    assert ledger.rollback(to=None, reason="complaints", actor="person").bundle == A


def test_a_run_that_is_repeated_keeps_its_basis(place: Place) -> None:
    ledger = place.open()
    first = promote(ledger, A, plan="a")
    put_back(ledger, B)
    assert ledger.plan_basis(first.plan) == first.basis


def test_its_evidence_is_kept_to_where_it_has_some(place: Place) -> None:
    ledger = place.open()
    kept = ledger.put_evidence(b"{}")
    assert put_back(ledger, A, evidence=kept).evidence == kept
    with pytest.raises(LedgerError, match="is missing"):
        put_back(ledger, A, evidence="e" * 64)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"champion": B}, "the champion that stays"),
        ({"champion": ""}, "the champion that stays"),
        ({"passed": True}, "passed"),
    ],
)
def test_one_that_contradicts_those_before_it_is_found(place: Place, changes: dict[str, object], found: str) -> None:
    ledger = place.open()
    promote(ledger, A)
    last = put_back(ledger, B)
    forged = replace(last, **changes, signature="")  # type: ignore[arg-type]
    place.file(2).write_bytes(encode_entry(sign_entry(forged, place.signer)))
    for anchor in place.anchors.glob("*.json"):
        anchor.unlink()
    assert [found in each for each in refusals(place)] == [True]


def test_a_promotion_that_would_be_refused_is_known_before(place: Place) -> None:
    ledger = place.open()
    first = promote(ledger, A, plan="a")
    ledger.check_promotion(bundle=A, plan=first.plan, basis=first.basis)
    ledger.check_promotion(bundle=B, plan=digest("b"), basis=ledger.basis())
    with pytest.raises(LedgerError, match=f"the champion changed from none to {A}"):
        ledger.check_promotion(bundle=B, plan=digest("b"), basis="")
    assert [entry.kind for entry in ledger.entries()] == ["promoted"]


def test_a_rollback_from_another_basis_is_refused(place: Place) -> None:
    place.publish("A", "B")
    ledger = place.open()
    promote(ledger, A)
    basis = ledger.basis()
    promote(ledger, B)
    with pytest.raises(LedgerError, match="the champion changed"):
        ledger.rollback(to=A, reason="complaints", actor="person", basis=basis)
    evaluate(ledger, C)
    assert ledger.rollback(to=A, reason="complaints", actor="person", basis=ledger.basis()).bundle == A
