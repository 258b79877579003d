"""The chart's values: each is in the schema and in use, and no other is taken."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import yaml
from helm_python import Chart, HelmRenderError, HelmValuesError, lint
from rendered import CASES, CHART, rendered, values

import noria

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
# Their keys are whatever a cluster calls its tasks and labels.
OPEN = ("predictors", "podLabels", "stepLabels", "prometheusLabels", "labels", "dashboardLabels", "annotations")


def walk(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value, with the path to it; an open mapping counts as one value."""
    if isinstance(node, dict) and not (path and path[-1] in OPEN):
        for key, inner in node.items():
            yield from walk(inner, (*path, key))
    else:
        yield path, node


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    return SCHEMA["definitions"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node


def schema_leaves(node: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    node = resolved(node)
    if "properties" in node:
        for key, inner in node["properties"].items():
            yield from schema_leaves(inner, (*path, key))
    else:
        yield path


def objects_of_schema(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if node.get("type") == "object":
            yield node
        for inner in node.values():
            yield from objects_of_schema(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from objects_of_schema(inner)


def with_value(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """The defaults with one value replaced or added."""
    changed = deepcopy(VALUES)
    node = changed
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return changed


LEAVES = [path for path, _ in walk(VALUES)]
BRANCHES = sorted({path[:length] for path in LEAVES for length in range(len(path))})


@pytest.fixture(scope="module")
def chart() -> Iterator[Chart]:
    with Chart.load(CHART) as loaded:
        yield loaded


def test_the_schema_has_every_value_and_no_other():
    assert set(schema_leaves(SCHEMA)) - {("global",)} == set(LEAVES)


def test_no_object_of_the_schema_takes_keys_that_it_does_not_name():
    for node in objects_of_schema(SCHEMA):
        if "properties" in node:
            assert node["additionalProperties"] is False, node
        else:
            assert "propertyNames" in node or node.get("maxProperties") == 0, node


@pytest.mark.parametrize("path", BRANCHES, ids=".".join)
def test_an_unknown_value_is_refused(chart, path):
    with pytest.raises(HelmValuesError, match="colour"):
        chart.validate_schema(with_value((*path, "colour"), "green"))


@pytest.mark.parametrize("path", LEAVES, ids=".".join)
def test_a_value_of_another_type_is_refused(chart, path):
    chart.validate_schema(VALUES)
    with pytest.raises(HelmValuesError, match=re.escape(path[-1])):
        chart.validate_schema(with_value(path, [["not", {"this": "type"}]]))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("settings.online", "redis://:secret@redis:6379/0"),
        ("settings.registry", "postgresql+psycopg://noria:secret@db/feast"),
        ("settings.s3Endpoint", "https://key:secret@s3"),
        ("settings.objects", "/somewhere"),
        ("images.serving.digest", "sha256:short"),
        ("images.serving.tag", "no tag"),
        ("images.serving.tag", "latest"),
        ("images.monitoring.tag", "latest"),
        ("images.serving.repository", "registry.example:5000/noria/serving:latest"),
        ("devServices.redis.image", "redis:latest"),
        ("devServices.redis.image", "localhost:5000/redis"),  # which means latest
        ("networkPolicy.stepLabels", {"pipelines.kubeflow.org/v2_component": None}),  # which would be every pod
        ("predictor.drainSeconds", 60),
        ("networkPolicy.s3", [{"cidr": "10.0.0.0/8"}]),
        ("networkPolicy.dns.peers", []),
        ("networkPolicy.dns.ports", [0]),
        ("devServices.storage.size", "much"),
        ("networkPolicy.s3", [{"cidr": "10.0.0.0/8", "namespace": "storage", "port": 443}]),
        ("predictors", {"Fashion": {"minReplicas": 1, "maxReplicas": 1}}),
        ("predictors", {"wine": {"minReplicas": 1}}),
    ],
)
def test_what_cannot_work_or_holds_a_password_is_refused(chart, path, value):
    with pytest.raises(HelmValuesError):
        chart.validate_schema(with_value(tuple(path.split(".")), value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("images.serving.tag", "0.1.0-latest"),
        ("images.serving.repository", "registry.example:5000/noria/serving"),
        ("devServices.redis.image", "localhost:5000/redis:7.2.7-alpine"),
        ("devServices.redis.image", f"docker.io/redis@sha256:{'a' * 64}"),
    ],
)
def test_an_image_that_does_not_move_is_taken_wherever_it_is(chart, path, value):
    chart.validate_schema(with_value(tuple(path.split(".")), value))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"predictors": {"wine": {"minReplicas": 3, "maxReplicas": 2}}},
            "predictors.wine.minReplicas is 3, and maxReplicas 2: expected no more than that",
        ),
        ({"namespaces": {"serving": "noria"}}, "are noria, noria, kubeflow: expected three namespaces"),
        ({"namespaces": {"serving": "kubeflow"}}, "are noria, kubeflow, kubeflow: expected three namespaces"),
    ],
)
def test_values_that_do_not_go_together_are_refused_with_what_to_do(chart, changes, words):
    with pytest.raises(HelmRenderError, match=words):
        chart.render(changes, name="noria", namespace="noria")


def test_a_task_is_added_to_those_that_are_there_and_null_drops_one():
    wine = {"wine": {"minReplicas": 1, "maxReplicas": 1}}
    assert served({"predictors": wine}) == {"noria-fashion", "noria-wine"}
    assert served({"predictors": {**wine, "fashion": None}}) == {"noria-wine"}


def served(changes: dict[str, Any]) -> set[str]:
    return {each["metadata"]["name"] for each in rendered(changes) if each["kind"] == "PodDisruptionBudget"}


def test_every_value_is_used_by_a_template():
    text = "\n".join(path.read_text() for path in (CHART / "templates").rglob("*") if path.is_file())
    for path in LEAVES:
        # A part may be handed on whole, or by a name in a variable.
        whole = [".".join(path[:length]) for length in range(1, len(path) + 1)]
        used = [each for each in whole if re.search(rf"\.Values\.{re.escape(each)}\b(?!\.)", text)]
        handed_on = (path[0] == "devServices" and path[-1] in {"image", "resources"}) or path[-1] in ("cpu", "memory")
        assert used or handed_on, ".".join(path)


@pytest.mark.parametrize("case", CASES)
def test_helm_has_nothing_to_say_against_the_chart(case):
    report = lint(CHART, values(case), strict=True, namespace="noria")
    told = [each for each in report["messages"] if "icon" not in each["error"]]
    assert told == []
    assert report["errors"] == []


def test_the_chart_has_the_project_s_version():
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert about["version"] == about["appVersion"] == noria.__version__


def test_an_image_without_its_digest_is_refused_where_digests_are_asked_for(chart):
    with pytest.raises(HelmRenderError, match=r"noria/(serving|monitoring) has no digest.*set it as your registry"):
        chart.render({"images": {"requireDigest": True}}, name="noria", namespace="noria")
