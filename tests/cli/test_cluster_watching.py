"""Watching a run on a cluster: its steps are told as they go, and it ends as the same run here would have ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
import pytest
from kubeflow_api import STEPS, Fault, Frame, KubeflowApi, all_done, frame

from noria.cli.failing import FailedError
from noria.cli.kubeflow import Connected
from noria.cli.watching import PATIENCE, Watched, follow
from noria.errors import ClusterError
from noria.ml.progress import MARK, Message
from noria.settings import KfpSettings, Settings
from noria.steps.running import FAILED, REFUSED, Event
from pipelines.cluster import Kubeflow
from pipelines.kfp_errors import UnreachableError

PLAN = "plan " + "d" * 64 + ", 2017-09-01 to 2017-11-10, code cccc, against nobody: there is no champion yet"


def told(step: str, text: str) -> str:
    return f"{MARK}{msgspec.json.encode(Message(step=step, text=text)).decode()}\n"


def failure(step: str, error: str, message: str, code: int) -> str:
    event = Event(step=step, error=error, message=message, exit_code=code)
    return f"Traceback …\n{FAILED}{msgspec.json.encode(event).decode()}\n"


@dataclass(kw_only=True)
class Watcher:
    api: KubeflowApi
    run: str = ""
    pauses: list[float] = field(default_factory=list)

    def follow(self, *frames: Frame, logs: dict[str, str] | None = None) -> Watched:
        self.api.frames = list(frames)
        self.api.logs = logs or {}
        self.run = self.api.add_run("fashion seed 1")
        kubeflow = Kubeflow(KfpSettings(host=self.api.host), steps=STEPS, read_seconds=2)
        connected = Connected(settings=Settings.from_environment({}), kubeflow=kubeflow, steps=STEPS)
        return follow(connected, self.run, as_json=False, pause=self.pauses.append)


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    with KubeflowApi() as api:
        yield Watcher(api=api)


def test_steps_are_told_as_they_go(watcher: Watcher, capsys: pytest.CaptureFixture[str]) -> None:
    watched = watcher.follow(
        frame("PENDING"),
        frame("RUNNING", settle="RUNNING"),
        frame("RUNNING", settle="SUCCEEDED", ingest="cached", features="cached", validate="RUNNING"),
        all_done(ingest="cached", features="cached"),
        logs={"settle": told("settle", PLAN), "judge": told("judge", "passed all 13 gates")},
    )
    assert (watched.outcome, watched.reason, watched.exit_code) == ("promoted", "passed all 13 gates", 0)
    assert watched.plan == "d" * 64
    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == [
        "settle: started", "settle: done in 12.0 s", "ingest: cached", "features: cached", "validate: started"
    ]  # fmt: skip
    assert lines[-1] == "deploy: done in 12.0 s"
    assert len(watcher.pauses) == 3
    assert watcher.pauses == sorted(watcher.pauses)


def test_a_refusal_says_why_and_the_deployment_is_skipped(watcher: Watcher, capsys: pytest.CaptureFixture[str]) -> None:
    why = "calibrated: its ECE is 0.04"
    watched = watcher.follow(all_done(deploy="SKIPPED"), logs={"judge": told("judge", f"refused, because {why}")})
    assert (watched.outcome, watched.reason, watched.exit_code) == ("refused", why, 3)
    assert capsys.readouterr().out.splitlines()[-1] == "deploy: skipped"


def test_a_repeated_run_changes_nothing(watcher: Watcher) -> None:
    same = told("deploy", "unchanged: 04c394477921 is champion since 2026-11-21 18:22:13 UTC")
    watched = watcher.follow(
        all_done(**dict.fromkeys(STEPS[1:-1], "cached")),
        logs={"settle": told("settle", PLAN), "judge": "not asked", "deploy": same},
    )
    assert (watched.outcome, watched.exit_code, watched.plan) == ("unchanged", 0, "d" * 64)
    assert "taken from the cache" in watched.reason


@pytest.mark.parametrize("before", [False, True])
def test_data_that_break_the_schema_end_it_as_a_gate_does(watcher: Watcher, before: bool) -> None:
    event = Event(step="validate", error="ValidationError", message="12 rows break the schema", exit_code=3)
    done = {**dict.fromkeys(STEPS[:3], "SUCCEEDED"), "validate": "cached" if before else "SUCCEEDED"}
    log = "" if before else f"{REFUSED}{msgspec.json.encode(event).decode()}\n"
    watched = watcher.follow(frame("SUCCEEDED", **done), logs={"validate": log})
    assert (watched.outcome, watched.exit_code) == ("refused", 3)
    assert watched.reason.startswith("the data are invalid" if before else "validate: 12 rows break the schema")


@pytest.mark.parametrize(
    ("step", "log", "outcome", "reason", "code"),
    [
        ("features", failure("features", "DatasetError", "12 rows were lost", 1), "failed",
         "features: 12 rows were lost", 1),
        ("deploy", failure("deploy", "TakenBackError", "bundle 3f was champion, and a person took it back", 3),
         "refused", "deploy: bundle 3f was champion, and a person took it back", 3),
        ("train", "epoch 1\nKilled\n", "failed", "train: it ended without a word: it was killed", 1),
        ("train", None, "failed", "train: it ended without a word: it was killed", 1),
    ],
)  # fmt: skip
def test_a_step_that_fails_ends_it_as_it_would_here(
    watcher: Watcher, step: str, log: str | None, outcome: str, reason: str, code: int
) -> None:
    done = dict.fromkeys(STEPS[: STEPS.index(step)], "SUCCEEDED")
    watched = watcher.follow(frame("FAILED", **done, **{step: "FAILED"}), logs={step: log} if log else {})
    assert (watched.outcome, watched.exit_code) == (outcome, code)
    assert watched.reason.startswith(reason)
    if "without a word" in reason:
        assert f"`noria logs {watcher.run[:8]} --step train`" in watched.reason


def test_a_run_that_fails_before_its_first_step_says_what_kfp_says(watcher: Watcher) -> None:
    watched = watcher.follow(frame("FAILED"))
    assert (watched.outcome, watched.reason, watched.exit_code) == ("failed", "KFP says FAILED", 1)


def test_a_cancelled_run_is_told_as_one(watcher: Watcher) -> None:
    watched = watcher.follow(frame("RUNNING", settle="RUNNING"), frame("CANCELED", settle="FAILED"))
    assert (watched.outcome, watched.exit_code) == ("cancelled", 1)


def test_a_way_that_is_cut_for_a_while_is_no_end(watcher: Watcher) -> None:
    watcher.api.faults.append(Fault(path="/runs/", what="reset", times=6))
    assert watcher.follow(all_done()).outcome == "promoted"


def test_a_way_that_stays_cut_is_told_and_that_the_run_goes_on(watcher: Watcher) -> None:
    watcher.api.faults.append(Fault(path="/runs/", what="reset", times=1000))
    with pytest.raises(UnreachableError) as caught:
        watcher.follow(all_done())
    assert caught.value.__notes__ == [f"the run goes on: `noria runs` shows it, as {watcher.run[:8]}"]
    assert len(watcher.pauses) == PATIENCE - 1


def test_a_token_that_expires_while_it_is_watched_is_told_at_once(watcher: Watcher) -> None:
    watcher.api.faults.append(Fault(path="/runs/", what=401))
    with pytest.raises(ClusterError, match="answers 401"):
        watcher.follow(all_done())
    assert watcher.pauses == []


def test_an_interruption_leaves_the_run_alone(watcher: Watcher) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    watcher.api.frames = [frame("RUNNING", settle="RUNNING")]
    run = watcher.api.add_run("x")
    kubeflow = Kubeflow(KfpSettings(host=watcher.api.host), steps=STEPS)
    connected = Connected(settings=Settings.from_environment({}), kubeflow=kubeflow, steps=STEPS)
    with pytest.raises(FailedError, match=f"the run goes on: `noria cancel {run[:8]}` ends it") as caught:
        follow(connected, run, as_json=False, pause=interrupt)
    assert caught.value.exit_code == 130
    assert not any(path.endswith(":terminate") for _, path in watcher.api.asked)
