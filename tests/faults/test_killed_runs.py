"""SIGKILL at each step's start, middle and end: nothing stays behind, and the next run comes to the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from faults.disturbed import Fault, disturb, processes_of, wait_until
from noria_command import RUN, Noria

START, END = "line:noria-started", "line:noria-finished"

# Of a step that is tried again by itself only the run is killed: another try would take ten seconds each time.
KILLS = {
    "data": (
        Fault(step="ingest", moment=START, kind="run"),
        Fault(step="ingest", moment="publish:1", kind="run"),
        Fault(step="ingest", moment=END, kind="run"),
        Fault(step="validate", moment=START, kind="both"),
        Fault(step="validate", moment="publish:1", kind="both"),
        Fault(step="validate", moment=END, kind="both"),
    ),
    "training": (
        Fault(step="train", moment=START, kind="run"),
        Fault(step="train", moment="publish:6", kind="run"),
        Fault(step="train", moment="line:exporting", kind="run"),
        Fault(step="train", moment=END, kind="run"),
    ),
    # evaluate and rehearse wait for the same steps, and either may come first: so neither stands behind the other here
    "evaluation": (
        Fault(step="evaluate", moment=START, kind="run"),
        Fault(step="evaluate", moment="line:resampling", kind="run"),
        Fault(step="evaluate", moment=END, kind="run"),
    ),
    "rehearsal": (
        Fault(step="rehearse", moment=START, kind="run"),
        Fault(step="rehearse", moment="line:requests", kind="run"),
        Fault(step="rehearse", moment=END, kind="run"),
    ),
    "gates and ledger": (
        Fault(step="judge", moment=START, kind="both"),
        Fault(step="judge", moment="publish:2", kind="both"),
        Fault(step="judge", moment=END, kind="both"),
        Fault(step="deploy", moment=START, kind="step"),
        Fault(step="deploy", moment="publish:1", kind="step"),
        Fault(step="deploy", moment=END, kind="step"),
    ),
}


@pytest.fixture(scope="module")
def undisturbed(wine_site: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    done = Noria(home=tmp_path_factory.mktemp("undisturbed") / "home", site=wine_site).run()
    assert done.code == 0, done.err
    told: dict[str, Any] = done.told
    return told


def check_end(noria: Noria, undisturbed: dict[str, Any]) -> None:
    """The run goes on to the same end, and has left each entry once."""
    done = noria.run()
    assert done.code == 0, done.err
    assert done.told["bundle"] == undisturbed["bundle"]
    assert done.told["dataset"] == undisturbed["dataset"]
    assert [entry["kind"] for entry in noria.ledger()] == ["evaluated", "promoted"]
    assert noria("releases", "verify", "--task", "wine").code == 0
    assert noria.run().told["outcome"] == "unchanged"


@pytest.mark.parametrize("kills", KILLS.values(), ids=KILLS)
def test_a_run_that_is_killed_again_and_again_comes_to_the_same_end(
    wine: Noria, undisturbed: dict[str, Any], tmp_path: Path, kills: tuple[Fault, ...]
) -> None:
    for number, fault in enumerate(kills):
        mark = tmp_path / f"mark-{number}"
        done = disturb(wine, fault, mark).run()
        assert mark.exists(), f"{fault} did not happen: {done.err}"
        if fault.kind in ("run", "both"):
            assert done.code == -9, f"{fault}: {done.err}"
            wait_until(lambda mark=mark: not list(processes_of(mark)), f"the end of all processes after {fault}", 15)
        else:
            assert done.code == 1, f"{fault}: {done.err}"
            assert f"step {fault.step} ended without a word: it was killed" in done.err
            assert "run again" in done.err
    check_end(wine, undisturbed)


@pytest.mark.parametrize(
    ("step", "moment"), [("ingest", "publish:1"), ("validate", "publish:1"), ("judge", "publish:2")]
)
def test_a_step_that_may_be_tried_again_is_and_the_run_ends_well(
    wine: Noria, undisturbed: dict[str, Any], tmp_path: Path, step: str, moment: str
) -> None:
    done = disturb(wine, Fault(step=step, moment=moment, kind="step"), tmp_path / "mark").run()
    assert (tmp_path / "mark").exists()
    assert (done.code, done.told["bundle"]) == (0, undisturbed["bundle"]), done.err
    assert [entry["kind"] for entry in wine.ledger()] == ["evaluated", "promoted"]


def test_of_two_runs_at_once_the_second_ends_and_names_the_first(wine: Noria, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    held = disturb(wine, Fault(step="validate", moment=START, kind="hold"), mark)
    first = held.start(*RUN)
    try:
        wait_until(mark.exists, "the first run reaches its second step")
        second = wine.run()
        assert second.code == 1
        assert f"another run of wine is under way here (process {first.pid}, since" in second.err
        assert second.told["exit_code"] == 1
    finally:
        mark.unlink(missing_ok=True)
        out, err = first.communicate(timeout=120)
    assert first.returncode == 0, err
    assert '"outcome": "promoted"' in out
