"""The chart as it is rendered for each environment, and what its objects say of one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from helm.render import environments, render, values_of

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "noria"
MANIFESTS = ROOT / "manifests"
# All that the chart can make at once; dev, qa and prod each leave something out.
EVERYTHING: dict[str, Any] = {
    "namespaces": {"createRelease": True},
    "devServices": {"enabled": True, "storage": {"size": "5Gi", "className": "fast"}},
    "settings": {"mlflow": "http://mlflow.tracking:5000"},
    "materialize": {"enabled": True},
    "predictors": {"fashion": {"minReplicas": 1, "maxReplicas": 2}, "flights": {"minReplicas": 1, "maxReplicas": 2}},
    "metrics": {"serviceMonitor": {"enabled": True}, "rules": True, "dashboards": True},
    "networkPolicy": {
        "clients": [{"namespace": "shop", "podLabels": {"app": "web"}}, {"cidr": "10.1.0.0/16"}],
        "s3": [{"cidr": "10.2.0.0/16", "port": 443}],
        "online": [{"namespace": "storage", "podLabels": {"app": "redis"}, "port": 6380}],
        "registry": [{"namespace": "storage", "port": 5432}],
    },
}
Object = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Pod:
    """A pod that some object describes: where, from which object, its spec and its labels."""

    owner: str
    namespace: str
    spec: Object
    labels: Mapping[str, str]

    @property
    def containers(self) -> list[Object]:
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]

    def __str__(self) -> str:
        return self.owner


def values(case: str) -> dict[str, Any]:
    """The values of an environment, or of all parts at once with a way of scaling."""
    if case in environments():
        return values_of(case)
    return {**EVERYTHING, "autoscaling": {"kind": case.removeprefix("everything-")}}


CASES = (*environments(), "everything-hpa", "everything-keda")


@cache
def objects(case: str) -> tuple[Object, ...]:
    """All objects of the case, hooks too."""
    return tuple(each for found in render(values(case)).values() for each in found)


def rendered(changes: Mapping[str, Any]) -> list[Object]:
    """All objects of the chart's defaults with these changes."""
    return [each for found in render(changes).values() for each in found]


def of_kind(case: str, *kinds: str) -> list[Object]:
    return [each for each in objects(case) if each["kind"] in kinds]


def named(each: Object) -> str:
    """A name for messages."""
    meta = each["metadata"]
    return f"{each['kind']} {meta.get('namespace', '')}/{meta['name']}"


def pods(case: str) -> Iterator[Pod]:
    """The pods of the chart itself, and those that KServe will make of its ServingRuntime and storage container."""
    for each in objects(case):
        spec, labels = _template(each)
        if spec:
            yield Pod(owner=named(each), namespace=each["metadata"]["namespace"], spec=spec, labels=labels)
    yield predictor_pod(case)


def _template(each: Object) -> tuple[Object | None, Mapping[str, str]]:
    if each["kind"] == "Pod":
        return each["spec"], each["metadata"]["labels"]
    if each["kind"] == "Deployment":
        template = each["spec"]["template"]
        return template["spec"], template["metadata"]["labels"]
    if each["kind"] == "CronJob":
        template = each["spec"]["jobTemplate"]["spec"]["template"]
        return template["spec"], template["metadata"]["labels"]
    return None, {}


def predictor_pod(case: str) -> Pod:
    """As KServe puts it together: what the step `deploy` asks for, the runtime's container, the storage container."""
    runtime = of_kind(case, "ServingRuntime")[0]["spec"]
    storage = of_kind(case, "ClusterStorageContainer")[0]["spec"]["container"]
    service = inference_service(case)
    asked = service["spec"]["predictor"]
    model = asked["model"]
    assert (model["runtime"], asked["storageContainerName"]) == ("noria", "noria")
    place = {"name": "kserve-provision-location", "mountPath": "/mnt/models"}
    container = {**runtime["containers"][0], "resources": model["resources"]}
    spec = {
        **{key: value for key, value in asked.items() if key not in {"model", "storageContainerName"}},
        "initContainers": [{**storage, "volumeMounts": [*storage["volumeMounts"], place]}],
        "containers": [{**container, "volumeMounts": [*container["volumeMounts"], {**place, "readOnly": True}]}],
        "volumes": [*runtime["volumes"], {"name": place["name"], "emptyDir": {}}],
    }
    labels = {"serving.kserve.io/inferenceservice": "fashion", "component": "predictor"}
    return Pod(owner=named(service), namespace=service["metadata"]["namespace"], spec=spec, labels=labels)


def settings(case: str, namespace: str) -> dict[str, str]:
    """The settings of a namespace."""
    found = [each for each in of_kind(case, "ConfigMap") if each["metadata"]["name"] == "noria-settings"]
    data: dict[str, str] = next(each["data"] for each in found if each["metadata"]["namespace"] == namespace)
    return data


def inference_service(case: str) -> Object:
    """The InferenceService of a release in this environment."""
    return service_of(settings(case, "kubeflow"))


def service_of(data: Mapping[str, str]) -> Object:
    """The InferenceService of a release, as the step `deploy` makes it of the settings."""
    from cluster.inference_service import parse_overlay
    from cluster.inference_service import render as render_service

    overlay = parse_overlay(data["NORIA_SERVING_OBJECT"])
    digest = "ab" * 32
    uri = f"{data['NORIA_OBJECTS']}/bundles/{digest}"
    return render_service("fashion", data["NORIA_SERVING_NAMESPACE"], digest, uri, "cd" * 32, overlay)
