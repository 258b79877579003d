"""Settle: a finished plan is handed on, and a run without one finds its own in the ledger as it is at that moment."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from noria.code import code_digest
from noria.errors import UsageError
from noria.settings import Settings
from noria.steps.settle import RESOLVED, SCHEDULED, Settled, outputs, plan_digest, settle
from noria.steps.workspace import Workspace
from noria.stores.identity import store_id
from noria.task import load_task

ROOT = Path(__file__).parents[2]
A, B = ("a" * 64, "b" * 64)
AT = "2026-01-31T02:00:00Z"
PARAMETERS: dict[str, Any] = {
    "task": "fashion", "start": "2017-09-01", "end": "2017-09-15", "as_of": "2017-09-15", "seed": 1,
    "learning_rate": 0.5, "rules": {"min_rows": 1000}, "limits": {"ece": 0.03}, "training": {},
    "source": "", "code": "", "champion": "", "basis": "", "plan": "",
}  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(settings=Settings.from_environment({"NORIA_HOME": str(tmp_path / "home")}))


def ask(workspace: Workspace, *, days: int = 0, at: str = AT, **changed: Any) -> tuple[Settled, list[str]]:
    heard: list[str] = []
    how = {"days": days, "at": at, "project": ROOT, "progress": lambda text, _: heard.append(text)}
    return settle(workspace, {**PARAMETERS, **changed}, **how), heard


def promote(workspace: Workspace, bundle: str, plan: str, basis: str) -> str:
    ledger = workspace.ledger("fashion", writable=True)
    evidence = ledger.put_evidence(b"{}")
    made = ledger.promote(
        bundle=bundle, plan=plan, basis=basis, evidence=evidence, reason="-", actor="pipeline", code="c" * 64
    )
    return made.digest


def test_a_finished_plan_is_handed_on_with_the_name_of_the_store(workspace: Workspace) -> None:
    given = {"source": "s" * 64, "code": "c" * 64, "champion": A, "basis": B}
    plan = plan_digest({**PARAMETERS, **given})
    settled, heard = ask(workspace, at="", **given, plan=plan)
    assert settled == Settled(
        start="2017-09-01", end="2017-09-15", as_of="2017-09-15", source="s" * 64, code="c" * 64, champion=A, basis=B,
        plan=plan, store=store_id(workspace.store),
    )  # fmt: skip
    assert heard == []


def test_a_plan_is_the_same_however_kfp_writes_its_numbers() -> None:
    by_kfp = json.loads(json.dumps({**PARAMETERS, "seed": 1.0, "rules": {"min_rows": 1000.0}}))
    assert plan_digest(by_kfp) == plan_digest(PARAMETERS)
    assert plan_digest({**PARAMETERS, **dict.fromkeys(RESOLVED, "x")}) == plan_digest(PARAMETERS)
    assert plan_digest({**PARAMETERS, "rules": {"min_rows": 1001}}) != plan_digest(PARAMETERS)


def test_without_a_plan_source_code_and_champion_are_those_found_there(workspace: Workspace) -> None:
    settled, heard = ask(workspace)
    task = load_task("fashion")
    assert (settled.code, settled.source) == (code_digest(task, ROOT), task.fingerprint(workspace.source_of(task)))
    assert (settled.champion, settled.basis) == ("", "")
    found = {"code": settled.code, "source": settled.source}
    assert settled.plan == plan_digest({**PARAMETERS, **found})
    assert heard == [
        f"plan {settled.plan}, 2017-09-01 to 2017-09-15, code {settled.code[:12]}, against nobody: there is no "
        "champion yet"
    ]
    basis = promote(workspace, A, plan="d" * 64, basis="")
    settled, heard = ask(workspace)
    assert (settled.champion, settled.basis) == (A, basis)
    assert heard[0].endswith(f"against champion {A[:12]}")


def test_a_run_that_made_the_champion_finds_its_own_results_again(workspace: Workspace) -> None:
    first = promote(workspace, A, plan="d" * 64, basis="")
    settled, _ = ask(workspace)
    promote(workspace, B, plan=settled.plan, basis=first)
    again, _ = ask(workspace)
    assert again == settled
    other, _ = ask(workspace, seed=2)
    assert (other.champion, other.plan == settled.plan) == (B, False)


def test_a_parameter_that_was_changed_after_the_plan_makes_a_new_one(workspace: Workspace) -> None:
    stale = plan_digest(PARAMETERS)
    settled, _ = ask(workspace, seed=2, plan=stale, champion=A, basis=B)
    assert settled.plan != stale
    assert (settled.champion, settled.basis) == ("", "")


def test_days_count_back_from_the_last_midnight_before_the_moment(workspace: Workspace) -> None:
    for at in (AT, "20260131020000", "2026-01-31", "2026-01-31T03:30:00+01:00", "2026-01-31T00:30:00.5Z"):
        settled, _ = ask(workspace, days=30, at=at, start="", end="", as_of="")
        assert (settled.start, settled.end, settled.as_of) == ("2026-01-01", "2026-01-31", "2026-01-31"), at


@pytest.mark.parametrize("at", ["", SCHEDULED])
def test_where_nobody_says_the_moment_or_kfp_leaves_its_word_for_it_it_is_now(workspace: Workspace, at: str) -> None:
    settled, _ = ask(workspace, days=1, at=at, start="", end="", as_of="")
    assert 0 <= (datetime.now(UTC) - datetime.fromisoformat(settled.end).replace(tzinfo=UTC)).days <= 1


def test_a_moment_that_is_none_does_not_begin_a_run(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="at is 'soon'"):
        ask(workspace, at="soon")


def test_the_values_are_handed_on_in_the_order_of_their_names(workspace: Workspace) -> None:
    settled, _ = ask(workspace)
    assert dict(zip(Settled.__dataclass_fields__, outputs(settled), strict=True))["plan"] == settled.plan
