"""Rollbacks: to a former champion, and only to one that could serve."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ledgers import A, B, C, Place, overtaken, promote

from noria.errors import BundleError, LedgerError, StoreError
from noria.ml.signature import make_key
from noria.stores.opening import open_store
from noria.stores.standing import taken_back


def test_an_old_promotion_is_not_repeated_after_a_rollback(place: Place) -> None:
    place.publish("A")
    ledger = place.open()
    promote(ledger, A)
    basis = ledger.basis()
    promote(ledger, B, basis=basis)
    ledger.rollback(to=None, reason="complaints", actor="bert")
    with pytest.raises(LedgerError, match="changed"):
        promote(ledger, B, basis=basis)


def test_a_rollback_goes_down_the_line_of_champions(place: Place) -> None:
    place.publish("A", "B", "C")
    ledger = place.open()
    for bundle in (A, B, C):
        promote(ledger, bundle)
    assert ledger.rollback(to=None, reason="r", actor="a").bundle == B
    assert ledger.rollback(to=None, reason="r", actor="a").bundle == A
    with pytest.raises(LedgerError, match="no champion below the present one: name one with --to, "):
        ledger.rollback(to=None, reason="r", actor="a")
    assert ledger.rollback(to=C, reason="r", actor="a").champion == A
    assert ledger.rollback(to=None, reason="r", actor="a").bundle == A
    assert [entry.kind for entry in ledger.entries()] == ["promoted"] * 3 + ["rolled-back"] * 4
    assert ledger.verify() == ()


def test_a_rollback_speaks_against_those_above_and_not_against_one_that_an_undone_rollback_had_brought_back(
    place: Place,
) -> None:
    place.publish("A", "B", "C")
    ledger = place.open()
    for bundle in (A, B, C):
        promote(ledger, bundle)

    def against() -> list[str]:
        return [bundle for bundle in (A, B, C) if taken_back(ledger.entries(), bundle) is not None]

    assert against() == []
    word = ledger.rollback(to=A, reason="r", actor="a")
    assert against() == [B, C]
    assert taken_back(ledger.entries(), B) == word
    ledger.rollback(to=C, reason="back", actor="a")
    assert against() == [B]
    ledger.rollback(to=None, reason="again", actor="a")
    assert against() == [B, C]


def test_a_rollback_to_what_never_served_or_serves_is_refused(place: Place) -> None:
    ledger = place.open()
    with pytest.raises(LedgerError, match="no champion below the present one: nothing was promoted yet"):
        ledger.rollback(to=None, reason="r", actor="a")
    promote(ledger, A)
    with pytest.raises(LedgerError, match="it is the first one; another has to be promoted"):
        ledger.rollback(to=None, reason="r", actor="a")
    with pytest.raises(LedgerError, match="never was champion"):
        ledger.rollback(to=B, reason="r", actor="a")
    with pytest.raises(LedgerError, match="already"):
        ledger.rollback(to=A, reason="r", actor="a")
    with pytest.raises(LedgerError, match=f"abc never was champion.*{A}"):
        ledger.rollback(to="abc", reason="r", actor="a")
    assert len(ledger.entries()) == 1


def test_a_rollback_that_a_promotion_overtakes_is_refused(place: Place) -> None:
    place.publish("A")
    for bundle in (A, B):
        promote(place.open(), bundle)
    with pytest.raises(LedgerError, match=f"changed from {B} to {C} while the rollback"):
        overtaken(place, lambda: promote(place.open(), C)).rollback(to=None, reason="r", actor="a")
    assert place.open().champion().bundle == C  # type: ignore[union-attr]


def lose_it(_: Place) -> str:
    return A  # which nobody published


def lose_the_model(place: Place) -> str:
    made = place.publish("former")
    open_store(place.address).delete(f"bundles/{made}/model.onnx")
    return made


def alter_the_model(place: Place) -> str:
    made = place.publish("former")
    open_store(place.address).put(f"bundles/{made}/model.onnx", b"altered")
    return made


def alter_the_facts(place: Place) -> str:
    made = place.publish("former")
    key = f"bundles/{made}/bundle.json"
    store = open_store(place.address)
    store.put(key, store.get(key).replace(b"fashion", b"flights"))
    return made


def sign_as_a_stranger(place: Place) -> str:
    return place.publish("former", signer=make_key(place.keys.parent / "stranger"))


def make_it_for_another_task(place: Place) -> str:
    return place.publish("former", task="flights")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lose_it, "is gone: expected it at .*restore it"),
        (lose_the_model, "model.onnx|is gone"),
        (alter_the_model, "altered|holds other files"),
        (alter_the_facts, "altered|holds other files"),
        (sign_as_a_stranger, "signature of bundle .* is refused"),
        (make_it_for_another_task, "is of task flights: expected one of fashion"),
    ],
)
def test_a_rollback_to_a_bundle_that_could_not_serve_is_refused(
    any_place: Place, spoil: Callable[[Place], str], said: str
) -> None:
    ledger, target = any_place.open(), spoil(any_place)
    promote(ledger, target)
    promote(ledger, B)
    for to in (None, target):
        with pytest.raises((BundleError, StoreError), match=said):
            ledger.rollback(to=to, reason="complaints", actor="bert")
    assert [entry.kind for entry in any_place.open().entries()] == ["promoted", "promoted"]
    assert any_place.open().champion().bundle == B  # type: ignore[union-attr]


def test_a_rollback_leaves_nothing_behind_but_its_entry(
    any_place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    any_place.publish("A")
    ledger = any_place.open()
    promote(ledger, A)
    promote(ledger, B)
    before = set(open_store(any_place.address).list(""))
    ledger.rollback(to=None, reason="complaints", actor="bert")
    assert set(open_store(any_place.address).list("")) - before == {"releases/fashion/00000003.json"}
    assert list((tmp_path / "scratch").iterdir()) == []
