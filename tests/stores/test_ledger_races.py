"""Many who write to one ledger at once: nothing is lost, and one promotion wins."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from ledgers import START, A, Place, digest, evaluate, promote

from noria.errors import LedgerError
from noria.stores.releases import Ledger


def open_at_noon(folder: Path, address: str) -> Ledger:
    """Open with a clock that stands: the clock of one that had to try again would be ahead of the others'."""
    place = Place(folder, address)
    place.clock = lambda: START + timedelta(hours=12)  # type: ignore[assignment]
    return place.open()


def race(folder: Path, address: str, bundle: str, barrier: object) -> str:
    ledger = open_at_noon(folder, address)
    basis = ledger.basis()
    barrier.wait()  # type: ignore[attr-defined]
    try:
        return promote(ledger, bundle, basis=basis).digest
    except LedgerError as error:
        assert "changed" in str(error)  # noqa: PT017 - in another process
        return ""


def crowd(folder: Path, address: str, number: int, barrier: object) -> str:
    ledger = open_at_noon(folder, address)
    ledger.entries()
    barrier.wait()  # type: ignore[attr-defined]
    return evaluate(ledger, digest(f"crowd {number // 2}")).digest


Together = Callable[[Callable[..., str], list[tuple[object, ...]]], list[str]]


@pytest.fixture
def together() -> Iterator[Together]:
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(6) as pool:
        barrier = manager.Barrier(6)
        yield lambda work, calls: pool.starmap(work, [(*call, barrier) for call in calls], chunksize=1)


def test_of_concurrent_promotions_exactly_one_wins(any_place: Place, tmp_path: Path, together: Together) -> None:
    promote(any_place.open(), A)
    any_place.clock.now = START
    wins = together(race, [(tmp_path, any_place.address, digest(f"racer {n}")) for n in range(6)])
    (winner,) = [win for win in wins if win]
    assert any_place.open().basis() == winner
    assert len(any_place.open().entries()) == 2
    assert any_place.open().verify() == ()


def test_concurrent_evaluations_all_find_a_place_and_twins_share_one(
    any_place: Place, tmp_path: Path, together: Together
) -> None:
    digests = together(crowd, [(tmp_path, any_place.address, n) for n in range(6)])
    assert digests[0::2] == digests[1::2]
    entries = any_place.open().entries()
    assert sorted(entry.digest for entry in entries) == sorted(set(digests))
    assert len(entries) == 3
