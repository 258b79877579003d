"""The rollout: nothing short of all pods of this bundle, seen by everybody concerned, counts as being there."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from cluster_api.kube_objects import Objects
from cluster_api.kube_server import Kubernetes
from cluster_api.surroundings import ROOT

from cluster.api import Api
from cluster.objects import OLDEST, read
from cluster.permissions import DEPLOYMENTS, LEASES, SERVICES
from cluster.rollout import SOURCE, wait_until_rolled_out
from noria.errors import ClusterError, ReleaseError

NAMESPACE, NAME, URI = "noria-serving", "fashion", "s3://models/bundles/one"
KEY = ("inferenceservices", NAMESPACE, NAME)
DEPLOYMENT: dict[str, Any] = {
    "metadata": {"name": "fashion-predictor", "generation": 4},
    "spec": {"replicas": 2, "template": {"metadata": {"annotations": {SOURCE: URI}}}},
    "status": {"observedGeneration": 4, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2},
}
READY = [{"type": "PredictorReady", "status": "True"}, {"type": "Ready", "status": "True"}]


class Still:
    """A world in which nothing happens."""

    def __init__(self, deployment: dict[str, Any] | None, pods: list[dict[str, Any]]) -> None:
        self.deployment, self.pods = deployment, pods

    def reconcile(self) -> None:
        pass

    def derived(self, resource: str, name: str, query: dict[str, str]) -> Any:
        return self.deployment if resource == "deployments" else {"items": self.pods or None}


def api_of(server: Kubernetes, token: str = "a-token") -> Api:
    from kubernetes import client

    settings = client.Configuration(host=server.url)
    settings.api_key = {"authorization": f"Bearer {token}"}
    return Api(client.ApiClient(settings), NAMESPACE, pause=0.001)


def wait(
    deployment: dict[str, Any] | None, conditions: list[dict[str, str]] | None, pods: list[dict[str, Any]] | None = None
) -> None:
    objects = Objects()
    if conditions is not None:
        objects.create(KEY, {"metadata": {"name": NAME}, "spec": {}})
        objects.set_status(KEY, {"conditions": conditions, "observedGeneration": 1})
    with Kubernetes(objects=objects, world=Still(deployment, pods or [])) as server:
        wait_until_rolled_out(api_of(server), NAME, URI, seconds=0.05, pause=0.01, hear=lambda _: None)


def changed(*keys: str, value: object) -> dict[str, Any]:
    made = copy.deepcopy(DEPLOYMENT)
    part = made
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    return made


def test_all_pods_of_the_bundle_are_enough() -> None:
    wait(DEPLOYMENT, READY)


@pytest.mark.parametrize(
    ("deployment", "said"),
    [
        (None, "has made no Deployment"),
        (
            changed("spec", "template", "metadata", "annotations", value={SOURCE: "s3://other"}),
            "still is of s3://other",
        ),
        (changed("spec", "template", "metadata", "annotations", value={}), "still is of no bundle"),
        (changed("metadata", "generation", value=5), "is not looked at yet"),
        (changed("status", "replicas", value=3), "3 are there"),
        (changed("status", "updatedReplicas", value=1), "1 are of this bundle"),
        (changed("status", "availableReplicas", value=1), "1 are available"),
        (changed("spec", "replicas", value=3), "of 3 pods"),
    ],
)
def test_a_deployment_that_is_not_done_is_not_enough(deployment: dict[str, Any] | None, said: str) -> None:
    with pytest.raises(ReleaseError, match=said):
        wait(deployment, READY)


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        (None, "it is gone"),
        ([], "does not say whether it is Ready"),
        ([{"type": "PredictorReady", "status": "True"}], "does not say whether it is Ready"),
        ([{"type": "Ready", "status": "False", "reason": "Stopped", "message": "by hand"}], "Stopped: by hand"),
        ([{"type": "Ready", "status": "Unknown"}], "is not Ready"),
    ],
)
def test_a_service_that_is_not_ready_is_not_enough(conditions: list[dict[str, str]] | None, said: str) -> None:
    with pytest.raises(ReleaseError, match=said):
        wait(DEPLOYMENT, conditions)


@pytest.mark.parametrize(("restarts", "said"), [(2, "did not come up within"), (3, "ended 4 times")])
def test_a_container_may_end_a_few_times(restarts: int, said: str) -> None:
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    container = {"name": "kserve-container", "ready": False, "restartCount": restarts, "state": state}
    pod = {"metadata": {"name": "p", "annotations": {SOURCE: URI}}, "status": {"containerStatuses": [container]}}
    former = {"metadata": {"name": "o", "annotations": {SOURCE: "s3://other"}}, "status": pod["status"]}
    with pytest.raises(ReleaseError, match=said):
        wait(None, READY, [former, pod])


def test_pods_of_another_bundle_are_not_what_fails() -> None:
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    container = {"name": "kserve-container", "ready": False, "restartCount": 9, "state": state}
    former = {
        "metadata": {"name": "o", "annotations": {SOURCE: "s3://other"}},
        "status": {"containerStatuses": [container]},
    }
    with pytest.raises(ReleaseError, match="did not come up within"):
        wait(None, READY, [former])


def test_what_is_in_no_known_form_is_told() -> None:
    with pytest.raises(ClusterError, match="what cannot be read"):
        wait({**DEPLOYMENT, "status": "fine"}, READY)


def test_the_oldest_kubernetes_is_the_same_wherever_it_is_told() -> None:
    with pytest.raises(ClusterError, match=f"Kubernetes {OLDEST} or later"):
        read(b"{", dict)
    assert f'kubeVersion: ">={OLDEST}.0-0"' in (ROOT / "helm" / "noria" / "Chart.yaml").read_text()
    assert f"Kubernetes {OLDEST} or later" in (ROOT / "docs" / "guides" / "kubernetes.md").read_text()


def test_a_cluster_that_goes_on_failing_is_told() -> None:
    with Kubernetes() as server:
        server.inject("500", times=100)
        with pytest.raises(ClusterError, match=r"refuses GET .*/fashion \(500: etcdserver: leader changed\)"):
            api_of(server).get(SERVICES, NAME)
        assert len([fault for fault in server.faults if fault.left == 95]) == 1


def test_one_that_does_not_answer_is_told() -> None:
    with Kubernetes() as server:
        api = api_of(server)
    with pytest.raises(ClusterError, match="does not answer"):
        api.get(SERVICES, NAME)


def test_a_token_that_is_not_believed_is_told_at_once() -> None:
    with Kubernetes() as server:
        with pytest.raises(ClusterError, match="401: Unauthorized"):
            api_of(server, token="stolen").get(LEASES, NAME)
        assert len(server.asked) == 1


def test_names_stay_within_their_place_in_an_address() -> None:
    with Kubernetes() as server, pytest.raises(ClusterError, match="404"):
        api_of(server).list(DEPLOYMENTS, labels="a=b&watch=true")
    assert [each.verb for each in server.asked] == ["list"]
