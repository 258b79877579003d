"""What one object names is there: in another object, in the code, or in the short list of what a cluster brings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from helm_python import HelmError
from rendered import (
    CASES,
    ROOT,
    Pod,
    inference_service,
    named,
    objects,
    of_kind,
    pods,
    rendered,
    service_of,
    settings,
)

from noria.settings import Settings
from pipelines import placement

NAMESPACES = {"noria", "noria-serving", "kubeflow"}
# Made by `make secrets`, or by whoever owns the cluster: (namespace, kind, name) and the keys that are read.
BROUGHT = {
    ("noria", "Secret", "noria-s3"): {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
    ("noria-serving", "Secret", "noria-s3"): {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
    ("noria", "Secret", "noria-redis"): {"password"},
    ("noria-serving", "Secret", "noria-redis"): {"password"},
    ("noria", "Secret", "noria-postgresql"): {"password"},
    ("noria-serving", "ConfigMap", "noria-trusted-keys"): set(),
}
# What Kubeflow Pipelines, KServe, the cluster and its monitoring bring.
FOREIGN_NAMESPACES = {"kubeflow", "kube-system", "monitoring"}
FOREIGN_ACCOUNTS = {("kubeflow", "pipeline-runner")}
OURS = {"noria/serving", "noria/monitoring"}
PREDICTOR = {"serving.kserve.io/inferenceservice": "fashion", "component": "predictor"}


def references(pod: Pod) -> Iterator[tuple[str, str, str]]:
    """Kind, name and key ("" for the whole) of all that the pod takes from elsewhere."""
    for container in pod.containers:
        for source in container.get("envFrom", ()):
            yield "ConfigMap", source["configMapRef"]["name"], ""
        for variable in container.get("env", ()):
            if found := variable.get("valueFrom", {}).get("secretKeyRef"):
                yield "Secret", found["name"], found["key"]
    for volume in pod.spec["volumes"]:
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"], ""
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"], ""
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"], ""


@pytest.mark.parametrize("case", CASES)
def test_every_secret_config_map_and_claim_that_a_pod_names_is_there(case):
    made = {(each["metadata"].get("namespace"), each["kind"], each["metadata"]["name"]) for each in objects(case)}
    for pod in pods(case):
        for kind, name, key in references(pod):
            place = (pod.namespace, kind, name)
            assert place in made or place in BROUGHT, f"{pod}: {place}"
            assert not key or key in BROUGHT[place], f"{pod}: {place} has no key {key}"


def test_nothing_is_asked_of_a_cluster_that_nobody_reads():
    read = {(pod.namespace, kind, name) for case in CASES for pod in pods(case) for kind, name, _ in references(pod)}
    assert set(BROUGHT) <= read


@pytest.mark.parametrize("case", CASES)
def test_every_service_account_that_is_named_is_there(case):
    made = {
        (each["metadata"]["namespace"], each["metadata"]["name"]) for each in of_kind(case, "ServiceAccount")
    } | FOREIGN_ACCOUNTS
    wanted = {(pod.namespace, pod.spec["serviceAccountName"]) for pod in pods(case)}
    for binding in of_kind(case, "RoleBinding"):
        wanted |= {(subject["namespace"], subject["name"]) for subject in binding["subjects"]}
        place = (binding["roleRef"]["kind"], binding["metadata"]["namespace"], binding["roleRef"]["name"])
        assert place in {
            ("Role", each["metadata"]["namespace"], each["metadata"]["name"]) for each in of_kind(case, "Role")
        }
    assert wanted == made


@pytest.mark.parametrize("case", CASES)
def test_every_image_is_one_of_ours_or_a_development_part_s(case):
    images = {container["image"] for pod in pods(case) for container in pod.containers}
    foreign = {image for image in images if image.partition("@")[0].rpartition(":")[0] not in OURS}
    foreign -= {image for image in images if image.partition("@")[0] in OURS}
    parts = {"chrislusf/seaweedfs", "redis", "postgres"} if case not in ("qa", "prod") else set()
    assert {image.rpartition(":")[0] for image in foreign} == parts


def test_the_images_of_the_chart_are_targets_of_the_dockerfile():
    path = ROOT / "Dockerfile"
    stages = [line.split()[-1] for line in path.read_text().splitlines() if line.startswith("FROM ")]
    assert {image.rpartition("/")[2] for image in OURS} <= set(stages)


@pytest.mark.parametrize("case", CASES)
def test_ports_that_are_named_are_ports_of_the_container(case):
    for pod in pods(case):
        for container in pod.containers:
            there = {port["name"] for port in container.get("ports", ())}
            probes = (container.get(f"{name}Probe", {}) for name in ("startup", "readiness", "liveness"))
            assert {probe["httpGet"]["port"] for probe in probes if "httpGet" in probe} <= there, pod
    for service in of_kind(case, "Service"):
        chosen = [pod for pod in pods(case) if matches(service["spec"]["selector"], pod.labels)]
        assert len(chosen) == 1, named(service)
        ports = {port["name"]: port["containerPort"] for port in chosen[0].spec["containers"][0]["ports"]}
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"]
    for monitor in of_kind(case, "ServiceMonitor"):
        runtime = of_kind(case, "ServingRuntime")[0]["spec"]["containers"][0]
        # KServe names the Service's port as the container's first one.
        assert monitor["spec"]["endpoints"][0]["port"] == runtime["ports"][0]["name"]
        assert chooses(monitor["spec"]["selector"], PREDICTOR)


def matches(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return selector.items() <= labels.items()


def chooses(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    exists = [each["key"] for each in selector.get("matchExpressions", ()) if each["operator"] == "Exists"]
    return matches(selector.get("matchLabels", {}), labels) and set(exists) <= set(labels)


@pytest.mark.parametrize("case", CASES)
def test_every_selector_chooses_a_pod(case):
    everybody = list(pods(case))
    for each in objects(case):
        selector = each.get("spec", {}).get("selector", {}) or {}
        if each["kind"] in {"Deployment", "PodDisruptionBudget"}:
            wanted = selector["matchLabels"]
            labels = [{**pod.labels, **selectable(wanted)} for pod in everybody]
            assert any(matches(wanted, found) for found in labels), named(each)
        if each["kind"] == "NetworkPolicy":
            here = [pod for pod in everybody if pod.namespace == each["metadata"]["namespace"]]
            assert any(chooses(each["spec"]["podSelector"], pod.labels) for pod in here), named(each)


def selectable(wanted: Mapping[str, str]) -> Mapping[str, str]:
    """A predictor's pod stands for those of every task."""
    task = wanted.get("serving.kserve.io/inferenceservice")
    return {"serving.kserve.io/inferenceservice": task} if task else {}


@pytest.mark.parametrize("case", CASES)
def test_namespaces_that_are_named_are_there_or_foreign(case):
    made = {each["metadata"]["name"] for each in of_kind(case, "Namespace")}
    for each in objects(case):
        assert each["metadata"].get("namespace", "noria") in made | {"kubeflow"}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("namespace", sorted(NAMESPACES))
def test_the_settings_are_ones_that_the_code_knows(case, namespace):
    data = settings(case, namespace)
    found = Settings.from_environment({name: text for name, text in data.items() if name.startswith("NORIA_")})
    assert found.objects.startswith("s3://")
    assert (found.serving.way, found.serving.namespace) == ("kserve", "noria-serving")
    assert set(data) <= {*placement.NEEDED_SETTINGS, *placement.OTHER_SETTINGS}


@pytest.mark.parametrize("case", CASES)
def test_every_pod_has_settings_that_the_code_knows(case):
    containers = [container for pod in pods(case) for container in pod.containers]
    assert containers
    for container in containers:
        said = {each["name"]: each.get("value", "x") for each in container.get("env", ())}
        Settings.from_environment({name: text for name, text in said.items() if name.startswith("NORIA_")})


@pytest.mark.parametrize("case", CASES)
def test_what_the_compiled_pipeline_mounts_is_called_as_the_chart_calls_it(case):
    assert placement.SETTINGS == "noria-settings"
    assert set(placement.NEEDED_SETTINGS) <= set(settings(case, "kubeflow"))
    assert ("noria", "Secret", placement.STORE_SECRET) in BROUGHT
    assert BROUGHT["noria", "Secret", placement.STORE_SECRET] == set(placement.STORE_KEYS)
    assert ("noria-serving", "ConfigMap", placement.TRUSTED_KEYS) in BROUGHT


def test_the_paths_of_the_steps_settings_are_those_that_the_pipeline_mounts():
    data = settings("dev", "kubeflow")
    assert data["NORIA_HOME"] == placement.HOME_MOUNT
    assert os.path.dirname(data["NORIA_SIGNING_KEY"]) == placement.SIGNING_MOUNT  # noqa: PTH120
    assert data["NORIA_TRUSTED_KEYS"] == placement.TRUSTED_MOUNT
    assert data["NORIA_OBJECTS_KEYS"] == placement.STORE_MOUNT


def test_the_users_of_our_images_are_the_pipeline_s_user():
    for pod in pods("dev"):
        for container in pod.containers:
            if container["image"].startswith("noria/"):
                assert container["securityContext"]["runAsUser"] == placement.USER


@pytest.mark.parametrize("case", CASES)
def test_a_release_finds_the_runtime_and_the_storage_container_that_it_names(case):
    asked = inference_service(case)["spec"]["predictor"]
    runtime, storage = of_kind(case, "ServingRuntime")[0], of_kind(case, "ClusterStorageContainer")[0]
    assert asked["model"]["runtime"] == runtime["metadata"]["name"]
    assert asked["model"]["modelFormat"] in runtime["spec"]["supportedModelFormats"]
    assert asked["storageContainerName"] == storage["metadata"]["name"]
    assert asked["model"]["storageUri"].startswith(storage["spec"]["supportedUriFormats"][0]["prefix"])
    # With arguments of its own the storage container would never hear of the address.
    assert "args" not in storage["spec"]["container"]


def test_a_release_finds_them_by_other_names_too():
    changes = {
        "predictor": {"runtime": "acme", "serviceAccount": "acme-predictor"},
        "storageContainer": {"name": "acme-fetch"},
    }
    made = rendered(changes)
    data = next(each["data"] for each in made if each["metadata"]["name"] == placement.SETTINGS)
    predictor = service_of(data)["spec"]["predictor"]
    for kind, said in (
        ("ServingRuntime", predictor["model"]["runtime"]),
        ("ClusterStorageContainer", predictor["storageContainerName"]),
        ("ServiceAccount", predictor["serviceAccountName"]),
    ):
        names = {each["metadata"]["name"] for each in made if each["kind"] == kind}
        assert said.startswith("acme"), kind
        assert said in names, kind


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("settings.configMap", placement.SETTINGS),
        ("secrets.s3", placement.STORE_SECRET),
        ("secrets.signing", placement.SIGNING_SECRET),
        ("secrets.trustedKeys", placement.TRUSTED_KEYS),
    ],
)
def test_what_the_compiled_pipeline_names_has_no_other_name(value, name):
    part, key = value.split(".")
    assert rendered({part: {key: name}}) == rendered({})
    with pytest.raises(HelmError, match=key):
        rendered({part: {key: "acme"}})


def test_keys_of_the_object_store_may_be_none():
    assert placement.STORE_SECRET not in str(rendered({"secrets": {"s3": ""}}))


@pytest.mark.parametrize("case", CASES)
def test_kserve_scales_nothing_that_the_chart_scales(case):
    said = inference_service(case)["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"]
    scalers = of_kind(case, "HorizontalPodAutoscaler", "ScaledObject")
    assert said == ("external" if scalers else "none")
    # By these KServe would set the number of replicas with each release.
    assert not {"minReplicas", "maxReplicas"} & set(inference_service(case)["spec"]["predictor"])
    for each in scalers:
        assert each["spec"]["scaleTargetRef"]["name"] == each["metadata"]["name"].removeprefix("noria-") + "-predictor"


@pytest.mark.parametrize("case", CASES)
def test_the_role_of_the_step_that_deploys_has_the_verbs_of_the_code_and_no_other(case):
    from cluster.permissions import VERBS

    given = {
        (group, resource, verb)
        for role in of_kind(case, "Role")
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert given == set(VERBS)
    assert {role["metadata"]["namespace"] for role in of_kind(case, "Role")} == {"noria-serving"}
