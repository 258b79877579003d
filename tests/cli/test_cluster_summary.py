"""What a run on a cluster tells at its end: verdict, bundle, figures where the ledger can be read, and what to type."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from kubeflow_api import STEPS, KubeflowApi, all_done, frame
from noria_command import Done, Noria

from noria.ml.progress import MARK, Message
from noria.steps.running import REFUSED, Event

PLAN = "plan " + "d" * 64 + ", 2017-09-01 to 2017-11-10, code cccc, against nobody: there is no champion yet"
CHAMPION = "04c394477921 is champion since 2026-11-21 18:22:13 UTC"
SERVED = "InferenceService fashion is to serve 04c394477921"
WAY = "kubectl port-forward -n noria-serving deploy/fashion-predictor 8080"


def told(step: str, *texts: str) -> str:
    return "".join(f"{MARK}{msgspec.json.encode(Message(step=step, text=text)).decode()}\n" for text in texts)


@pytest.fixture
def api() -> Iterator[KubeflowApi]:
    with KubeflowApi() as server:
        server.logs = {
            "settle": told("settle", PLAN), "judge": told("judge", "passed all 13 gates"),
            "deploy": told("deploy", SERVED, CHAMPION),
        }  # fmt: skip
        yield server


@pytest.fixture
def noria(tmp_path: Path, api: KubeflowApi) -> Noria:
    home, path = tmp_path / "home", f"{tmp_path}:{os.environ['PATH']}"
    (tmp_path / "noria").write_text("#!/bin/sh\n")
    (tmp_path / "noria").chmod(0o755)
    return Noria(home=home, site=tmp_path).with_settings(NORIA_KFP=api.host, PATH=path)


def after(word: str, done: Done) -> list[str]:
    """The lines below the one that is this word."""
    lines = done.out.splitlines()
    return lines[lines.index(word) + 1 :]


def test_a_promotion_tells_its_bundle_and_the_way_to_the_model(noria: Noria, api: KubeflowApi) -> None:
    done = noria("submit", "--wait", "--param", "seed=4", "--param", "epochs=3")
    assert done.code == 0, done.err
    assert "\n  Verdict  promoted: passed all 13 gates\n  Bundle   04c394477921\n" in done.out
    assert "\n  Report   the artifact `report` of the step judge, on that page\n" in done.out
    assert "no figures here: `make connect ENV=dev` opens the way to it\n" in done.out
    typed = [re.split(" {2,}", line.strip()) for line in after("Next", done)]
    assert typed == [
        [WAY, "a way to the model; keep it"],
        ["curl -s localhost:8080/v2/models/fashion", "its inputs and outputs"],
        ["noria runs --task fashion", "the runs on the cluster"],
        ["noria submit --task fashion --env dev --param epochs=3 --param seed=5 --wait", "challenge the champion"],
    ]
    assert max(len(line) for line in done.out.splitlines() if "epochs=3" not in line) <= 100


def test_where_predictors_follow_the_ledger_there_is_no_such_way(noria: Noria, api: KubeflowApi) -> None:
    api.logs["deploy"] = told("deploy", f"unchanged: {CHAMPION}")
    done = noria("submit", "--wait")
    assert "\n  Verdict  unchanged: passed all 13 gates\n  Bundle   04c394477921\n" in done.out
    assert "kubectl" not in done.out


def test_without_the_logs_the_way_is_told_all_the_same_in_the_namespace_that_is_set(
    noria: Noria, api: KubeflowApi
) -> None:
    api.logs.clear()
    done = noria.with_settings(NORIA_SERVING_NAMESPACE="models", NORIA_IMAGE="r.example/steps:7")("submit", "--wait")
    assert "kubectl port-forward -n models deploy/fashion-predictor 8080" in done.out
    assert "Bundle" not in done.out
    assert "--image" not in done.out
    done = noria("submit", "--wait", "--image", "r.example/steps:7", "--node", "pool=a", "--as-of", "2017-11-05")
    again = "--env dev --as-of 2017-11-05 --image r.example/steps:7 --node pool=a --param seed=2 --wait"
    assert f"noria submit --task fashion {again}" in done.out


def test_a_refusal_tells_where_its_report_is_and_what_to_try(noria: Noria, api: KubeflowApi) -> None:
    api.frames = [all_done(deploy="SKIPPED")]
    api.logs["judge"] = told("judge", "refused, because calibrated: its ECE is 0.04")
    done = noria("submit", "--wait")
    assert (done.code, "Verdict  refused, because calibrated: its ECE is 0.04" in done.out) == (3, True)
    assert "the artifact `report` of the step judge" in done.out
    assert [line.split("  ")[-1] for line in after("Next", done)] == ["the runs on the cluster", "another candidate"]
    api.frames = [frame("SUCCEEDED", **dict.fromkeys(STEPS[:4], "SUCCEEDED"))]
    event = Event(step="validate", error="ValidationError", message="12 rows break the schema", exit_code=3)
    api.logs["validate"] = f"{REFUSED}{msgspec.json.encode(event).decode()}\n"
    done = noria("submit", "--wait")
    assert (done.code, "the artifact `report` of the step validate" in done.out) == (3, True)


def test_a_run_that_fails_points_at_its_log_and_at_nothing_else(noria: Noria, api: KubeflowApi) -> None:
    api.frames = [frame("FAILED", settle="SUCCEEDED", ingest="FAILED")]
    done = noria("submit", "--wait")
    assert (done.code, "Next" in done.out, "Report" in done.out) == (1, False, False)
    assert re.search(r"\n  Log      noria logs [0-9a-f]{8}\n$", done.out)


def test_the_list_of_runs_tells_outcomes_in_a_hundred_columns(noria: Noria, api: KubeflowApi) -> None:
    noria("submit", "--wait")
    api.frames = [all_done(deploy="SKIPPED")]
    noria("submit", "--wait")
    listed = noria("runs").out.splitlines()
    assert [line.split()[1] for line in listed[1:]] == ["outcome", "refused", "passed"]
    assert all(len(line.rstrip()) <= 100 for line in listed), listed
    assert [run["outcome"] for run in noria("runs", "--json").told] == ["refused", "passed"]
    for run in api.runs.values():
        run.pop("run_details")
    listed = noria("runs").out.splitlines()
    assert [line.split()[1] for line in listed[1:4]] == ["outcome", "ended", "ended"]
    assert listed[4] == "ended: KFP's list does not tell what the gates said; `noria logs RUN --step judge` does"


@pytest.mark.xdist_group("s3 runs")
def test_figures_and_gates_come_from_the_clusters_ledger_where_it_can_be_read(
    wine: Noria, s3_address: str, api: KubeflowApi, noria: Noria
) -> None:
    there = wine.with_settings(NORIA_OBJECTS=s3_address)  # as the steps on the cluster would work
    run = there.run()
    assert run.code == 0, run.err
    plan, bundle = there.ledger()[0]["plan"], run.told["bundle"]
    api.logs["settle"] = told("settle", f"plan {plan}, 2026-01-01 to 2026-03-02")
    here = there.with_settings(**noria.settings)
    done = here("submit", "--task", "wine", "--wait")
    assert done.code == 0, done.err
    assert f"\n  Bundle   {bundle}\n" in done.out
    assert f"\n  Report   {run.told['report']}\n" in done.out
    for word in ("held-out rows", "cost a row", "candidate", "Gates", "  calibrated"):
        assert word in done.out, done.out
    assert "make connect" not in done.out
    as_json = here("submit", "--task", "wine", "--wait", "--json").told
    assert (as_json["bundle"], as_json["report"], as_json["ledger_error"]) == (bundle, run.told["report"], "")
    assert as_json["scores"]["candidate"] == run.told["scores"]["candidate"]
    strange = here.with_settings(NORIA_TRUSTED_KEYS=str(here.site / "nowhere"))
    done = strange("submit", "--task", "wine", "--wait")
    assert (done.code, "not read, so there are no figures here: " in done.out) == (0, True), done.err
