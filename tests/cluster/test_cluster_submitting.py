"""A run on a cluster is followed to its end, and one that does not come to it is told with its page and its words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import submitting
from cluster_place import Spaces
from cluster_telling import Stuck
from kubeflow_api import KubeflowApi, all_done, frame
from submitting import end_former_runs, submit

SPACES = Spaces(pipelines="kubeflow", serving="noria-serving")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeflowApi]:
    monkeypatch.setattr("cluster_telling.KUBECTL", "false")  # no cluster, and so no pods
    monkeypatch.setattr(submitting, "LOOK_SECONDS", 0.1)
    with KubeflowApi() as server:
        yield server


@pytest.mark.parametrize("release", ["2.17.0", "2.18.0"])
def test_a_run_is_followed_to_its_end(api: KubeflowApi, tmp_path: Path, release: str) -> None:
    api.release = release
    api.frames = [all_done(ingest="cached")]
    told = submit(tmp_path, api.host, SPACES)
    assert (told["steps"]["ingest"]["state"], told["steps"]["deploy"]["state"]) == ("cached", "done")
    (run,) = api.runs.values()
    assert run["runtime_config"]["parameters"]["end"] == "2017-09-13"


def test_a_run_that_fails_is_told_with_its_page_and_what_its_steps_wrote(api: KubeflowApi, tmp_path: Path) -> None:
    api.frames = [frame("FAILED", settle="SUCCEEDED", ingest="FAILED")]
    api.logs["ingest"] = "no source here\n"
    with pytest.raises(AssertionError) as caught:
        submit(tmp_path, api.host, SPACES)
    (run,) = api.runs
    assert f"the run's page: {api.host}/#/runs/details/{run}" in str(caught.value)
    assert "== ingest (failed)\nno source here" in str(caught.value)


@pytest.mark.parametrize("fault", ["slow", "stuck"])
def test_a_run_that_gets_no_further_is_given_up_and_told(
    api: KubeflowApi, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def look(_: Stuck) -> None:
        if api.runs:
            monkeypatch.setattr(submitting, "RUN_SECONDS", 0)
            assert fault != "stuck", "kubeflow/train gets no further"

    monkeypatch.setattr(Stuck, "look", look)
    api.frames = [frame("RUNNING", settle="RUNNING")]
    with pytest.raises(AssertionError, match="gets no further" if fault == "stuck" else "takes longer than 0 s"):
        submit(tmp_path, api.host, SPACES)
    assert "/#/runs/details/" in capsys.readouterr().out


def test_runs_that_a_time_before_has_left_are_ended(api: KubeflowApi, tmp_path: Path) -> None:
    api.frames = [frame("RUNNING", settle="RUNNING")]
    api.experiments["e"] = {"experiment_id": "e", "display_name": "fashion"}
    left, over = (api.add_run("x", experiment_id="e") for _ in range(2))
    api.runs[over]["state"] = "FAILED"
    end_former_runs(tmp_path, api.host)
    assert (api.runs[left]["state"], api.runs[over]["state"]) == ("CANCELED", "FAILED")
