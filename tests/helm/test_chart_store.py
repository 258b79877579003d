"""The object store: who gets its keys, and how; a cluster that gives roles instead has none; data outlive their pod."""

from __future__ import annotations

import json

import pytest
from helm_python import Chart, HelmRenderError
from rendered import CASES, CHART, Object, named, of_kind, pods, rendered, settings

from helm.credentials import supply
from helm.render import merged_values

PARTS = {"noria-seaweedfs", "noria-redis", "noria-postgresql"}
ROLE = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/noria"}
STORES = {"s3Endpoint": "https://s3.storage.svc", "online": "redis://r/0", "registry": "postgresql+psycopg://n@p/feast"}


@pytest.mark.parametrize("case", CASES)
def test_no_program_of_ours_gets_keys_or_address_as_variables_that_others_read_too(case):
    for namespace in ("noria", "noria-serving", "kubeflow"):
        assert [name for name in settings(case, namespace) if name.startswith("AWS_")] == []
    for pod in pods(case):
        for container in (each for each in pod.containers if each["image"].startswith("noria/")):
            assert [each["name"] for each in container.get("env", ()) if each["name"].startswith("AWS_")] == [], pod


@pytest.mark.parametrize("case", CASES)
def test_who_has_the_settings_of_the_store_has_its_keys_mounted_and_nobody_else(case):
    holders = set()
    for pod in pods(case):
        volumes = {
            each["name"] for each in pod.spec["volumes"] if each.get("secret", {}).get("secretName") == "noria-s3"
        }
        for container in pod.containers:
            mounts = [each["mountPath"] for each in container["volumeMounts"] if each["name"] in volumes]
            wanted = [settings(case, pod.namespace)["NORIA_OBJECTS_KEYS"]] if container.get("envFrom") else []
            assert mounts == wanted, f"{pod} {container['name']}"
            holders |= {container["name"]} if mounts else set()
    assert holders == {"storage-initializer", "materialize", "registry"}


@pytest.fixture(scope="module")
def with_a_role() -> list[Object]:
    """A cluster whose service accounts have a role, as with IRSA."""
    return rendered(
        {
            "secrets": {"s3": ""},
            "serviceAccounts": {"annotations": ROLE},
            "materialize": {"enabled": True},
            "settings": STORES,
        }
    )


def test_where_a_role_stands_in_no_object_names_keys(with_a_role):
    assert "noria-s3" not in json.dumps(with_a_role)
    found = [each["data"] for each in with_a_role if each["metadata"]["name"] == "noria-settings"]
    assert len(found) == 3
    for data in found:
        assert "NORIA_OBJECTS_KEYS" not in data
        assert data["NORIA_OBJECTS_ENDPOINT"] == "https://s3.storage.svc"


def test_the_role_is_said_on_the_accounts_that_reach_the_store(with_a_role):
    accounts = {each["metadata"]["name"]: each["metadata"] for each in with_a_role if each["kind"] == "ServiceAccount"}
    assert {name for name, meta in accounts.items() if meta.get("annotations") == ROLE} == {
        "noria-predictor",
        "noria-materialize",
    }


def test_the_development_store_wants_keys():
    with Chart.load(CHART) as chart, pytest.raises(HelmRenderError, match=r"name their Secret in secrets\.s3"):
        chart.render({"secrets": {"s3": ""}, "devServices": {"enabled": True}}, name="noria", namespace="noria")


def test_make_secrets_asks_for_no_keys_where_a_role_stands_in(capsys):
    class Empty:
        def read(self, kind, name, namespace):
            return None

    values = merged_values("qa")
    assert supply(Empty(), {**values, "secrets": {**values["secrets"], "s3": ""}}) == 1
    told = capsys.readouterr().err
    assert "AWS_ACCESS_KEY_ID" not in told
    assert "missing: Secret noria-redis" in told


def dev_pods(objects: list[Object]) -> dict[str, Object]:
    return {each["metadata"]["name"]: each["spec"] for each in objects if each["kind"] == "Deployment"}


def claims(objects: list[Object]) -> dict[str, Object]:
    return {each["metadata"]["name"]: each["spec"] for each in objects if each["kind"] == "PersistentVolumeClaim"}


def data_of(spec: Object) -> Object:
    return next(each for each in spec["template"]["spec"]["volumes"] if each["name"] == "data")


def test_dev_keeps_its_data_on_volumes_of_the_default_class_and_no_two_pods_share_one():
    made = claims(of_kind("dev", "PersistentVolumeClaim"))
    assert set(made) == PARTS
    for claim in made.values():
        assert "storageClassName" not in claim  # set to "" it would mean none at all
        assert claim["accessModes"] == ["ReadWriteOnce"]
    deployments = dev_pods(of_kind("dev", "Deployment"))
    assert set(deployments) == PARTS
    for name, spec in deployments.items():
        assert data_of(spec)["persistentVolumeClaim"] == {"claimName": name}
        assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"}), name


def test_another_storage_class_can_be_named():
    objects = rendered({"devServices": {"enabled": True, "storage": {"size": "1Gi", "className": "fast"}}})
    for claim in claims(objects).values():
        assert claim["storageClassName"] == "fast"
        assert claim["resources"]["requests"] == {"storage": "1Gi"}


def test_a_cluster_that_makes_no_volumes_has_the_data_in_the_pods():
    objects = rendered({"devServices": {"enabled": True, "storage": {"size": ""}}})
    assert claims(objects) == {}
    for spec in dev_pods(objects).values():
        assert "emptyDir" in data_of(spec)


def notes(changes: Object) -> str:
    """What `helm install` says in the end."""
    with Chart.load(CHART) as chart:
        texts = chart.render(changes, name="noria", namespace="noria")
    return next(text for name, text in texts.items() if name.endswith("NOTES.txt"))


def test_whoever_installs_with_helm_is_told_of_secrets_volumes_and_the_way_back():
    said = notes({"devServices": {"enabled": True}})
    for name in ("noria-s3", "noria-signing", "noria-redis", "noria-postgresql", "noria-trusted-keys"):
        assert name in said
    assert "have no volumes" not in said
    assert said.index("kubectl delete inferenceservices -n noria-serving") < said.index("helm uninstall noria -n noria")
    assert "have no volumes" in notes({"devServices": {"enabled": True, "storage": {"size": ""}}})
    assert "noria-s3" not in notes({"secrets": {"s3": ""}})


@pytest.mark.parametrize("case", ["everything-hpa", "everything-keda"])
def test_the_address_of_mlflow_is_where_its_client_looks(case):
    """In a step the compiled pipeline hands it on, in a job all settings are variables."""
    for namespace in ("noria", "kubeflow"):
        assert settings(case, namespace)["MLFLOW_TRACKING_URI"] == "http://mlflow.tracking:5000"
    assert "MLFLOW_TRACKING_URI" not in settings("dev", "kubeflow")


def test_every_pod_that_the_chart_makes_can_pull_from_a_registry_that_wants_a_password():
    everything = {
        "devServices": {"enabled": True},
        "materialize": {"enabled": True},
        "images": {"pullSecrets": ["mine"]},
    }
    for each in rendered(everything):
        spec = each.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec).get("template", {}).get("spec", spec)
        if "containers" in spec:
            assert spec["imagePullSecrets"] == [{"name": "mine"}], named(each)
        if each["metadata"]["name"] == "noria-settings":
            overlay = json.loads(each["data"]["NORIA_SERVING_OBJECT"])
            assert overlay["spec"]["predictor"]["imagePullSecrets"] == [{"name": "mine"}]
