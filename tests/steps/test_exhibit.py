"""The exhibit: what the gates saw, kept with the ledger and read back."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from noria.errors import LedgerError
from noria.gates.evidence import Evidence, ServingEvidence
from noria.gates.limits import Limits, departures
from noria.gates.results import GateResult, Verdict
from noria.gates.serving import bears_load, fits_into_memory
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


def test_one_from_before_throughput_and_memory_were_measured_is_read_and_lets_nothing_pass(ledger: Ledger) -> None:
    serving = {
        "bundle": "b" * 64, "requests": 200, "wrong": 0, "max_difference": 0.0, "p50_ms": 1.0, "p95_ms": 2.0,
        "errors": 0,
    }  # fmt: skip
    limits = {name: value for name, value in asdict(Limits()).items() if name not in ("rows_per_second", "memory_mib")}
    pieces = {"data": None, "evaluation": None, "parity": None, "serving": serving}
    shown = read_exhibit(ledger, ledger.put_evidence(msgspec.json.encode({"evidence": pieces, "limits": limits})))
    assert (shown.limits, shown.usual) == (Limits(), None)
    for gate in (bears_load, fits_into_memory):
        found = gate(shown.evidence, shown.limits)
        assert (found.passed, found.figure) == (False, "not measured")
        assert found.reason == "nobody measured it, and so nobody can say"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_figure_that_is_no_number_is_read_back_as_none_that_was_measured(ledger: Ledger, value: float) -> None:
    measured = ServingEvidence(
        bundle="b", requests=200, wrong=0, max_difference=0.0, p50_ms=1.0, p95_ms=2.0, errors=0, load_requests=200,
        rows_per_second=value, memory_mib=value,
    )  # fmt: skip
    kept = keep_exhibit(ledger, Exhibit(evidence=replace(NOTHING, serving=measured), limits=Limits()))
    read = read_exhibit(ledger, kept).evidence.serving
    assert read == replace(measured, rows_per_second=None, memory_mib=None)


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
