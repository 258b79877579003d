"""The exhibit: what the gates saw, kept with the ledger and read back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from noria.errors import LedgerError
from noria.gates.evidence import Evidence
from noria.gates.limits import Limits, departures
from noria.gates.results import GateResult, Verdict
from noria.ml.signature import TrustedKeys
from noria.steps.exhibit import Exhibit, keep_exhibit, read_exhibit, summarise
from noria.stores.folder import FolderStore
from noria.stores.releases import Ledger

NOTHING = Evidence(data=None, evaluation=None, serving=None, parity=None)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(
        FolderStore(tmp_path / "objects"), "fashion", signer=None, trusted=TrustedKeys(tmp_path), anchors=None,
        clock=lambda: datetime.now(UTC),
    )  # fmt: skip


def verdict(*, passed: bool, limits: Limits) -> Verdict:
    gate = GateResult(name="calibrated", figure="", limit="", passed=passed, reason="too far apart")
    return Verdict(
        bundle="b", dataset="d", champion="", gates=(gate,), passed=passed, departures=departures(limits, Limits())
    )


def test_it_is_read_back_with_the_environments_limits(ledger: Ledger) -> None:
    exhibit = Exhibit(evidence=NOTHING, limits=Limits(ece=0.5), usual=Limits())
    assert read_exhibit(ledger, keep_exhibit(ledger, exhibit)) == exhibit


def test_one_from_before_the_environments_limits_were_kept_is_still_read(ledger: Ledger) -> None:
    old = msgspec.json.encode({"evidence": NOTHING, "limits": Limits()}, order="deterministic")
    assert read_exhibit(ledger, ledger.put_evidence(old)).usual is None


def test_one_of_another_version_is_a_fault_and_no_refusal_by_a_gate(ledger: Ledger) -> None:
    digest = ledger.put_evidence(b'{"evidence": {"data": null}}')
    with pytest.raises(LedgerError, match="written by another version of Noria") as raised:
        read_exhibit(ledger, digest)
    assert raised.value.exit_code == 1


def test_the_ledgers_sentence_names_limits_that_were_not_the_environments_own() -> None:
    said = "limits not the environment's own: ece 0.5 (looser than 0.03)"
    assert summarise(verdict(passed=True, limits=Limits(ece=0.5))) == f"passed all 1 gates; {said}"
    assert summarise(verdict(passed=False, limits=Limits(ece=0.5))) == f"calibrated: too far apart; {said}"
    assert summarise(verdict(passed=True, limits=Limits())) == "passed all 1 gates"
