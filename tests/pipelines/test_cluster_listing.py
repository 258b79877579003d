"""A list of runs says what each came to, which is more than KFP's own state says, as far as its steps are told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from kubeflow_api import STEPS, Frame, KubeflowApi, all_done, frame

from noria.settings import KfpSettings
from pipelines.cluster import Kubeflow
from pipelines.run_view import RunView, StepView

INVALID = {**dict.fromkeys(STEPS[:4], "SUCCEEDED")}


@pytest.fixture
def api() -> Iterator[KubeflowApi]:
    with KubeflowApi() as server:
        yield server


def list_after(api: KubeflowApi, *frames: Frame, steps: bool = True) -> list[RunView]:
    """The runs, oldest first, after each of them came to its frame."""
    kubeflow = Kubeflow(KfpSettings(host=api.host), steps=STEPS)
    for each in frames:
        api.frames = [each]
        kubeflow.run(api.add_run("x"))
    return list(kubeflow.runs(steps=steps))[::-1]


@pytest.mark.parametrize("release", ["2.15.0", "2.17.0", "2.18.0"])
def test_what_the_gates_refused_is_no_success(api: KubeflowApi, release: str) -> None:
    api.release = release
    found = list_after(
        api,
        all_done(),
        all_done(deploy="cached"),
        all_done(deploy="SKIPPED"),
        frame("SUCCEEDED", **INVALID),
        frame("FAILED", settle="SUCCEEDED", ingest="FAILED"),
        frame("RUNNING", settle="RUNNING"),
        frame("CANCELED", settle="RUNNING"),
    )
    outcomes = ["passed", "passed", "refused", "refused", "failed", "running", "cancelled"]
    assert [run.outcome for run in found] == outcomes


def test_all_pages_of_a_list_that_comes_in_shorter_ones_are_read(api: KubeflowApi) -> None:
    api.release = "2.18.0"
    assert [run.outcome for run in list_after(api, *[all_done()] * 5)] == ["passed"] * 5
    kubeflow = Kubeflow(KfpSettings(host=api.host), steps=STEPS)
    assert len(kubeflow.runs(steps=True, count=3)) == 3


def test_a_list_without_steps_does_not_pretend_to_know(api: KubeflowApi) -> None:
    (run,) = list_after(api, all_done(deploy="SKIPPED"), steps=False)
    assert (run.state, run.steps, run.outcome) == ("SUCCEEDED", (), "ended")


def test_a_step_that_is_told_counts_and_one_that_is_not_does_not() -> None:
    run = RunView(
        id="r", name="x", state="SUCCEEDED", experiment="", created=datetime.now(UTC), finished=None, error="",
        steps=(StepView(name="judge", state="done"),),
    )  # fmt: skip
    assert run.outcome == "ended"
    assert replace(run, steps=(StepView(name="deploy", state="done"),)).outcome == "passed"
    assert replace(run, state="PENDING").outcome == "pending"
