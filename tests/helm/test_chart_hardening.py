"""Hardening, object by object: the Pod Security Standard `restricted`, and what Noria asks beyond it."""

from __future__ import annotations

import pytest
from rendered import CASES, Pod, inference_service, named, objects, of_kind, pods, rendered

from helm.render import merged_values

# The volume types of the standard, less those that nothing of ours needs.
VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}
HOST = ("hostNetwork", "hostPID", "hostIPC", "hostUsers")
ALL_PODS = [pytest.param(pod, id=f"{case}-{pod.owner}") for case in CASES for pod in pods(case)]
CONTAINERS = [
    pytest.param(pod, each, id=f"{case}-{pod.owner}-{each['name']}")
    for case in CASES
    for pod in pods(case)
    for each in pod.containers
]


@pytest.mark.parametrize(("pod", "container"), CONTAINERS)
def test_a_container_meets_the_restricted_standard(pod: Pod, container):
    security = container["securityContext"]
    assert security["runAsNonRoot"] is True
    assert isinstance(security["runAsUser"], int)
    assert security["runAsUser"] > 0
    assert security["allowPrivilegeEscalation"] is False
    assert not security.get("privileged")
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not any("hostPort" in port for port in container.get("ports", ()))


@pytest.mark.parametrize("pod", ALL_PODS)
def test_a_pod_meets_the_restricted_standard(pod: Pod):
    assert not any(pod.spec.get(each) for each in HOST)
    for volume in pod.spec["volumes"]:
        assert set(volume) - {"name"} <= VOLUMES, volume
    assert "sysctls" not in pod.spec.get("securityContext", {})


@pytest.mark.parametrize(("pod", "container"), CONTAINERS)
def test_nobody_writes_to_the_root_file_system_and_tmp_is_a_volume(pod: Pod, container):
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volume = next(each for each in pod.spec["volumes"] if each["name"] == mounts["/tmp"])
    assert "emptyDir" in volume


@pytest.mark.parametrize(("pod", "container"), CONTAINERS)
def test_what_is_secret_or_configured_is_mounted_for_reading(pod: Pod, container):
    kinds = {each["name"]: set(each) - {"name"} for each in pod.spec["volumes"]}
    for mount in container["volumeMounts"]:
        if kinds[mount["name"]] & {"secret", "configMap"}:
            assert mount["readOnly"] is True, mount


@pytest.mark.parametrize("pod", ALL_PODS)
def test_no_pod_has_a_token_of_the_api_that_it_does_not_use(pod: Pod):
    assert pod.spec["automountServiceAccountToken"] is False
    # Services called noria-… would become environment variables that look like settings.
    assert pod.spec["enableServiceLinks"] is False


@pytest.mark.parametrize("case", CASES)
def test_no_service_account_hands_out_tokens_and_no_two_roles_share_one(case):
    for each in of_kind(case, "ServiceAccount"):
        assert each["automountServiceAccountToken"] is False, named(each)
    users: dict[tuple[str, str], set[str]] = {}
    for pod in pods(case):
        role = pod.labels.get("app.kubernetes.io/component", "predictor")
        users.setdefault((pod.namespace, pod.spec["serviceAccountName"]), set()).add(role)
    assert all(len(roles) == 1 for roles in users.values()), users


@pytest.mark.parametrize(("pod", "container"), CONTAINERS)
def test_a_container_asks_for_what_it_needs_and_is_held_to_a_limit(pod: Pod, container):
    for part in ("requests", "limits"):
        assert set(container["resources"][part]) == {"cpu", "memory"}, part
    asked, most = (size(container["resources"][part]["memory"]) for part in ("requests", "limits"))
    assert asked <= most


def size(text: str) -> float:
    return float(text[:-2]) * {"Ki": 1, "Mi": 2**10, "Gi": 2**20}[text[-2:]]


@pytest.mark.parametrize("case", CASES)
def test_what_serves_has_probes_and_what_ends_by_itself_has_none(case):
    for pod in pods(case):
        for container in pod.spec["containers"]:
            wanted = {"readinessProbe", "livenessProbe"} if pod.spec.get("restartPolicy") != "Never" else set()
            assert {name for name in container if name in {"readinessProbe", "livenessProbe"}} == wanted


@pytest.mark.parametrize("case", CASES)
def test_a_liveness_probe_is_more_patient_than_the_readiness_probe(case):
    for pod in pods(case):
        for container in pod.spec["containers"]:
            if live := container.get("livenessProbe"):
                ready = container["readinessProbe"]
                assert span(live) > span(ready)


def span(probe) -> int:
    return probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3)


@pytest.mark.parametrize("case", CASES)
def test_no_rights_are_given_by_wildcard_or_across_the_cluster(case):
    assert of_kind(case, "ClusterRole", "ClusterRoleBinding") == []
    for role in of_kind(case, "Role"):
        for rule in role["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert not {"secrets", "roles", "rolebindings", "pods/exec"} & set(rule["resources"])
            assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])


@pytest.mark.parametrize("case", CASES)
def test_the_api_server_enforces_the_standard_in_our_namespaces(case):
    spaces = of_kind(case, "Namespace")
    assert {each["metadata"]["name"] for each in spaces} == {"noria", "noria-serving"}
    for each in spaces:
        assert each["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("case", CASES)
def test_no_rendered_file_holds_a_secret(case):
    assert of_kind(case, "Secret") == []
    for pod in pods(case):
        for container in pod.containers:
            for variable in container.get("env", ()):
                if any(word in variable["name"] for word in ("PASSWORD", "SECRET", "KEY_ID", "TOKEN")):
                    is_path = variable["name"].endswith("_FILE") and variable["value"].startswith("/var/run/noria/")
                    assert is_path or set(variable["valueFrom"]) == {"secretKeyRef"}, variable


@pytest.mark.parametrize("case", CASES)
def test_images_are_named_by_what_does_not_move(case):
    for pod in pods(case):
        for container in pod.containers:
            image = container["image"]
            # A name without a registry would be Docker Hub's, where it is somebody else's.
            ours = image.startswith("noria/")
            assert container["imagePullPolicy"] == ("Never" if ours else "IfNotPresent"), image
            if case == "prod":
                assert "@sha256:" in image, image
            else:
                assert image.rpartition(":")[2] not in {"", "latest", image}, image


@pytest.mark.parametrize(
    ("repository", "said", "policy"),
    [
        ("noria/serving", "", "Never"),
        ("serving", "", "Never"),
        ("registry.example/noria/serving", "", "IfNotPresent"),
        ("localhost:5001/serving", "", "IfNotPresent"),
        ("localhost/serving", "", "IfNotPresent"),
        ("noria/serving", "IfNotPresent", "IfNotPresent"),
        ("registry.example/serving", "Always", "Always"),
    ],
)
def test_only_what_a_registry_of_one_s_own_has_is_fetched(repository, said, policy):
    from helm.demands import has_registry

    images = {"pullPolicy": said, "serving": {"repository": repository}}
    runtime = next(each for each in rendered({"images": images}) if each["kind"] == "ServingRuntime")
    assert runtime["spec"]["containers"][0]["imagePullPolicy"] == policy
    assert has_registry(repository) is ("." in repository or "localhost" in repository)


def test_prod_refuses_an_image_without_its_digest():
    assert merged_values("prod")["images"]["requireDigest"] is True


@pytest.mark.parametrize("case", CASES)
def test_a_predictor_has_the_time_to_end_politely(case):
    runtime = of_kind(case, "ServingRuntime")[0]
    container = runtime["spec"]["containers"][0]
    seconds = {
        name: float(text)
        for name, _, text in (each.partition("=") for each in container["args"])
        if name in ("--drain-seconds", "--grace-seconds")
    }
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    # Kubernetes kills after 30 s unless a pod says otherwise, as an InferenceService can and a ServingRuntime cannot.
    assert pause + sum(seconds.values()) < min(
        30, inference_service(case)["spec"]["predictor"].get("terminationGracePeriodSeconds", 30)
    )
    assert pause + seconds["--drain-seconds"] >= 10


@pytest.mark.parametrize("case", CASES)
def test_each_task_has_a_disruption_budget_whose_name_kserve_leaves_alone(case):
    budgets = of_kind(case, "PodDisruptionBudget")
    assert sorted(each["metadata"]["name"] for each in budgets) == ["noria-fashion", "noria-flights"]
    for each in budgets:
        assert each["spec"]["selector"]["matchLabels"] == {
            "serving.kserve.io/inferenceservice": each["metadata"]["name"].removeprefix("noria-"),
            "component": "predictor",
        }


def test_there_is_a_pod_of_every_role_in_these_tests():
    assert {pod.labels.get("app.kubernetes.io/component", "predictor") for pod in pods("dev")} == {
        "predictor",
        "materialize",
        "seaweedfs",
        "redis",
        "postgresql",
        "test",
    }
    assert len(objects("dev")) > 30
