"""Every object is one that an API server takes: of Kubernetes' own kinds, and of KServe's where their schemas are."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from rendered import CASES, CHART, ROOT, inference_service, named, objects, of_kind

KUBERNETES = "1.34"
SCHEMAS = ROOT.parent / "shared" / "crds"
KSERVE = ("ServingRuntime", "ClusterStorageContainer")
# Of these no schema is at hand; what is looked at of them stands in the tests below.
OPERATORS = ("PrometheusRule", "ScaledObject", "ServiceMonitor")


def is_of_kubernetes(kind: str) -> bool:
    return kind not in (*KSERVE, *OPERATORS)


@pytest.mark.parametrize("case", CASES)
def test_kubernetes_takes_every_object_of_its_own_kinds(case):
    own = [each for each in objects(case) if is_of_kubernetes(each["kind"])]
    assert {"ConfigMap", "CronJob", "NetworkPolicy", "Role"} <= {each["kind"] for each in own}
    for each in own:
        kubernetes_validate.validate(each, KUBERNETES, strict=True)


def test_the_check_refuses_a_field_that_kubernetes_does_not_know():
    service = json.loads(json.dumps(of_kind("dev", "Service")[0]))
    service["spec"]["ports"][0]["targtPort"] = 1
    with pytest.raises(kubernetes_validate.ValidationError, match="targtPort"):
        kubernetes_validate.validate(service, KUBERNETES, strict=True)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", KSERVE)
def test_kserve_takes_every_object_of_its_kinds(case, kind):
    found = of_kind(case, kind)
    assert found
    for each in found:
        strict_schema(each["apiVersion"], kind).validate(each)


@pytest.mark.parametrize("case", CASES)
def test_kserve_takes_what_a_release_makes_of_the_settings(case):
    service = inference_service(case)
    strict_schema(service["apiVersion"], "InferenceService").validate(service)


@pytest.mark.parametrize("kind", KSERVE)
def test_the_check_refuses_a_field_that_kserve_would_drop(kind):
    each = json.loads(json.dumps(of_kind("dev", kind)[0]))
    each["spec"]["colour"] = "green"
    with pytest.raises(jsonschema.ValidationError, match="colour"):
        strict_schema(each["apiVersion"], kind).validate(each)


@cache
def strict_schema(version: str, kind: str) -> jsonschema.Draft202012Validator:
    """The kind's schema, with unknown fields refused: the API server would drop them without a word."""
    path = SCHEMAS / f"{version.replace('/', '_')}_{kind}.json"
    if not path.exists():
        pytest.skip(f"no schema of KServe's {kind} at {SCHEMAS}: a cluster checks it")
    return jsonschema.Draft202012Validator(closed(json.loads(path.read_text())))


def closed(node: Any) -> Any:
    if isinstance(node, list):
        return [closed(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    made = {key: closed(inner) for key, inner in node.items()}
    if isinstance(made.get("properties"), dict) and "additionalProperties" not in made:
        made["additionalProperties"] = False
    if made.pop("x-kubernetes-int-or-string", False):
        made.pop("type", None)
    return made


@pytest.mark.parametrize("case", CASES)
def test_names_are_unique_and_every_object_says_where_it_belongs(case):
    found = [named(each) for each in objects(case)]
    assert len(set(found)) == len(found)
    for each in objects(case):
        is_cluster_wide = each["kind"] in {"Namespace", "ClusterStorageContainer"}
        assert is_cluster_wide != ("namespace" in each["metadata"]), named(each)
        assert each["metadata"]["labels"]["app.kubernetes.io/part-of"] == "noria", named(each)


def test_a_scaled_object_asks_prometheus_about_its_own_task():
    scaled = of_kind("everything-keda", "ScaledObject")
    assert sorted(each["metadata"]["name"] for each in scaled) == ["noria-fashion", "noria-flights"]
    for each in scaled:
        task = each["metadata"]["name"].removeprefix("noria-")
        trigger = each["spec"]["triggers"][0]
        assert each["spec"]["scaleTargetRef"]["name"] == f"{task}-predictor"
        assert f'model="{task}"' in trigger["metadata"]["query"]
        assert trigger["metadata"]["threshold"] == "4"  # a text, or the operator refuses it


@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool on this machine: Debian's package prometheus")
@pytest.mark.parametrize("path", sorted(CHART.glob("files/rules/*.yaml")), ids=lambda path: path.stem)
def test_prometheus_takes_the_rules(path: Path):
    subprocess.run(["promtool", "check", "rules", path], check=True, capture_output=True)


def test_every_file_of_rules_and_every_dashboard_becomes_an_object():
    rules = {each["metadata"]["name"]: each["spec"] for each in of_kind("prod", "PrometheusRule")}
    files = {f"noria-{path.stem}": yaml.safe_load(path.read_text()) for path in CHART.glob("files/rules/*.yaml")}
    assert rules == files
    boards = {}
    for each in of_kind("prod", "ConfigMap"):
        if "grafana_dashboard" in each["metadata"]["labels"]:
            boards.update({name: json.loads(text) for name, text in each["data"].items()})
    assert boards == {path.name: json.loads(path.read_text()) for path in CHART.glob("files/dashboards/*.json")}
