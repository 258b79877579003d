"""Placement: what the compiled file says of each step's pod, and that nothing of one installation stands in it."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

import pytest
import yaml

from noria.settings import KNOWN
from noria.steps.settle import Settled
from pipelines import placement
from pipelines.compiling import COMPILED
from pipelines.parameters import Parameters

STEPS = sorted(placement.PLACES)


@pytest.fixture(scope="module")
def compiled() -> tuple[dict[str, Any], dict[str, Any]]:
    spec, platforms = yaml.safe_load_all(COMPILED.read_text())
    return spec, platforms["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


@pytest.mark.parametrize("step", STEPS)
def test_each_pod_is_nobody_and_gets_settings_and_store_by_reference(
    step: str, compiled: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    pod = compiled[1][f"exec-{step}"]
    assert pod["imagePullPolicy"] == "IfNotPresent"
    assert pod["securityContext"] == {"runAsUser": "65532", "runAsGroup": "65532", "runAsNonRoot": True}
    needed, others = pod["configMapAsEnv"]
    assert (needed["configMapName"], needed["optional"], others["optional"]) == ("noria-settings", False, True)
    assert {one["envVar"] for one in needed["keyToEnv"]} == set(placement.NEEDED_SETTINGS)
    store = pod["secretAsVolume"][0]
    assert (store["secretName"], store["mountPath"]) == ("noria-s3", "/var/run/noria/store")
    assert store["optional"] is True  # a cluster may give a role in place of keys
    place = placement.PLACES[step]
    assert {one["mountPath"]: one["sizeLimit"] for one in pod["emptyDirMounts"]} == {
        "/var/run/noria/home": place.disk, "/tmp": place.scratch,  # all that the image's programs write to
    }  # fmt: skip
    assert pod["configMapAsVolume"][0]["mountPath"] == "/var/run/noria/trusted"


@pytest.mark.parametrize("step", STEPS)
def test_kfps_launcher_in_the_same_container_sees_nothing_of_our_object_store(
    step: str, compiled: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    """It reads AWS_* for the bucket of KFP's own."""
    pod = compiled[1][f"exec-{step}"]
    assert "secretAsEnv" not in pod
    names = {key["envVar"] for source in pod["configMapAsEnv"] for key in source["keyToEnv"]}
    assert names >= {"NORIA_OBJECTS_ENDPOINT", "NORIA_OBJECTS_KEYS", "NORIA_OBJECTS_REGION"}
    assert [name for name in names if name.startswith("AWS_")] == []


def test_only_the_steps_that_sign_get_the_private_key(compiled: tuple[dict[str, Any], dict[str, Any]]) -> None:
    secrets = {name: {one["secretName"] for one in pod["secretAsVolume"]} for name, pod in compiled[1].items()}
    assert {name for name, held in secrets.items() if "noria-signing" in held} == {
        "exec-train", "exec-judge", "exec-deploy",
    }  # fmt: skip
    assert set().union(*secrets.values()) == {"noria-s3", "noria-signing"}


def test_a_tasks_own_code_finds_the_mlflow_that_the_chart_names(
    compiled: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    for pod in compiled[1].values():
        others = next(source for source in pod["configMapAsEnv"] if source["optional"])
        assert {"envVar": "MLFLOW_TRACKING_URI", "configMapKey": "MLFLOW_TRACKING_URI"} in others["keyToEnv"]


def test_every_setting_that_a_pod_gets_is_one_that_the_code_knows() -> None:
    named = {*placement.NEEDED_SETTINGS, *placement.OTHER_SETTINGS}
    assert {name for name in named if name.startswith("NORIA_")} <= KNOWN


def test_the_step_that_tells_a_person_is_not_tried_again(compiled: tuple[dict[str, Any], dict[str, Any]]) -> None:
    dags = [compiled[0]["root"]["dag"], *(one["dag"] for one in compiled[0]["components"].values() if "dag" in one)]
    tasks = {name: task for dag in dags for name, task in dag["tasks"].items()}
    retried = {name: task["retryPolicy"] for name, task in tasks.items() if "retryPolicy" in task}
    assert set(retried) == set(STEPS) - {"deploy"}
    for policy in retried.values():
        assert (policy["backoffDuration"], policy["backoffFactor"]) == ("10s", 2.0)
    cached = {name for name, task in tasks.items() if task.get("cachingOptions") == {"enableCache": True}}
    assert cached == set(STEPS) - {"settle", "deploy"}


def test_the_compiled_file_holds_nothing_of_one_installation() -> None:
    text = COMPILED.read_text()
    assert not re.search(r"s3://|https?://|/home/|/work/|127\.0\.0\.1|localhost", text)


def test_kfps_page_gets_figures_matrix_report_and_verdict(compiled: tuple[dict[str, Any], dict[str, Any]]) -> None:
    def kinds(step: str) -> dict[str, str]:
        outputs = compiled[0]["components"][f"comp-{step}"]["outputDefinitions"]["artifacts"]
        return {name: one["artifactType"]["schemaTitle"] for name, one in outputs.items()}

    assert kinds("evaluate")["metrics"] == "system.Metrics"
    assert kinds("evaluate")["confusion"] == "system.ClassificationMetrics"
    assert (kinds("judge")["report"], kinds("judge")["summary"]) == ("system.HTML", "system.Markdown")


def test_what_is_settled_is_what_the_steps_go_by(compiled: tuple[dict[str, Any], dict[str, Any]]) -> None:
    spec = compiled[0]
    settle = spec["components"]["comp-settle"]
    assert set(settle["outputDefinitions"]["parameters"]) == {field.name for field in fields(Settled)}
    asked = {field.name for field in fields(Parameters)} | {"days", "at"}
    assert set(settle["inputDefinitions"]["parameters"]) == asked == set(spec["root"]["inputDefinitions"]["parameters"])
    for name, task in spec["root"]["dag"]["tasks"].items():
        given = task["inputs"].get("parameters", {}) if name not in ("settle", "condition-1") else {}
        for key, source in given.items():
            if key in Settled.__dataclass_fields__:
                assert source["taskOutputParameter"]["producerTask"] == "settle", (name, key)
