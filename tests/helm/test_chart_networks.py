"""Networks: everything is closed, and what has to talk to one another can, on both ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from rendered import CASES, Object, of_kind, pods, rendered

FOREIGN = {
    "step": ("kubeflow", {"pipelines.kubeflow.org/v2_component": "true"}),
    "prometheus": ("monitoring", {"app.kubernetes.io/name": "prometheus"}),
    "dns": ("kube-system", {"k8s-app": "kube-dns"}),
    "stranger": ("default", {"app": "stranger"}),
    "stranger in kubeflow": ("kubeflow", {"app": "ml-pipeline-ui"}),
    "stranger in monitoring": ("monitoring", {"app.kubernetes.io/name": "grafana"}),
}


def places(case: str) -> dict[str, tuple[str, Mapping[str, str]]]:
    """Everybody who may be at an end of a connection: namespace and labels, by role."""
    ours = {
        pod.labels.get("app.kubernetes.io/component", "predictor"): (pod.namespace, pod.labels) for pod in pods(case)
    }
    return {**ours, **FOREIGN}


def chosen(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    exists = [each["key"] for each in selector.get("matchExpressions", ())]
    return selector.get("matchLabels", {}).items() <= labels.items() and set(exists) <= set(labels)


def is_let(policies: list[Object], way: str, here: tuple[str, Any], there: tuple[str, Any], port: int) -> bool:
    """Whether a connection passes `here`'s policies; without any that selects it, everything does."""
    mine = [
        each["spec"]
        for each in policies
        if each["metadata"]["namespace"] == here[0]
        and chosen(each["spec"]["podSelector"], here[1])
        and way in each["spec"]["policyTypes"]
    ]
    if not mine:
        return True
    end = "from" if way == "Ingress" else "to"
    return any(
        port in [each["port"] for each in rule["ports"]] and any(is_peer(peer, there) for peer in rule[end])
        for spec in mine
        for rule in spec.get(way.lower()) or ()
    )


def is_peer(peer: Object, there: tuple[str, Any]) -> bool:
    if "ipBlock" in peer:
        return False
    space = {"kubernetes.io/metadata.name": there[0]}
    return chosen(peer["namespaceSelector"], space) and chosen(peer["podSelector"], there[1])


def connects(case: str, source: str, target: str, port: int) -> bool:
    policies, there = of_kind(case, "NetworkPolicy"), places(case)
    return is_let(policies, "Egress", there[source], there[target], port) and is_let(
        policies, "Ingress", there[target], there[source], port
    )


@pytest.mark.parametrize("case", CASES)
def test_both_namespaces_are_closed(case):
    denied = [each for each in of_kind(case, "NetworkPolicy") if each["spec"]["podSelector"] == {}]
    assert {each["metadata"]["namespace"] for each in denied} == {"noria", "noria-serving"}
    for each in denied:
        assert each["spec"]["policyTypes"] == ["Ingress", "Egress"]
        assert "ingress" not in each["spec"]


@pytest.mark.parametrize(
    ("source", "target", "port"),
    [
        ("predictor", "seaweedfs", 8333),
        ("predictor", "redis", 6379),
        ("materialize", "seaweedfs", 8333),
        ("materialize", "redis", 6379),
        ("materialize", "postgresql", 5432),
        ("step", "seaweedfs", 8333),
        ("step", "predictor", 8080),
        ("test", "predictor", 8080),
        ("prometheus", "predictor", 8080),
        *((each, "dns", 53) for each in ("predictor", "materialize", "test")),
    ],
)
def test_who_has_to_talk_can(source, target, port):
    assert connects("dev", source, target, port)


@pytest.mark.parametrize(
    ("source", "target", "port"),
    [
        ("stranger", "predictor", 8080),
        ("stranger", "redis", 6379),
        ("stranger", "seaweedfs", 8333),
        ("stranger", "postgresql", 5432),
        ("stranger in kubeflow", "predictor", 8080),
        ("stranger in kubeflow", "predictor", 9000),
        ("stranger in kubeflow", "seaweedfs", 8333),
        ("stranger in monitoring", "predictor", 8080),
        ("step", "redis", 6379),
        ("step", "postgresql", 5432),
        ("test", "redis", 6379),
        ("predictor", "postgresql", 5432),
        ("predictor", "stranger", 443),
        ("materialize", "stranger", 443),
        ("redis", "stranger", 443),
        ("seaweedfs", "predictor", 8080),
        ("prometheus", "predictor", 9000),
        ("step", "seaweedfs", 9333),
    ],
)
def test_who_need_not_talk_cannot(source, target, port):
    assert not connects("dev", source, target, port)


def test_a_dns_of_another_kind_can_be_named():
    """OpenShift's pods listen on another port than their Service, and a cache on each node has its own address."""
    openshift = {"namespace": "openshift-dns", "podLabels": {"dns.operator.openshift.io/daemonset-dns": "default"}}
    cache = {"cidr": "169.254.20.10/32"}
    dns = {"peers": [openshift, cache], "ports": [53, 5353]}
    policies = [each for each in rendered({"networkPolicy": {"dns": dns}}) if each["kind"] == "NetworkPolicy"]
    there = ("openshift-dns", openshift["podLabels"])
    for port in (53, 5353):
        assert is_let(policies, "Egress", ("noria", {}), there, port)
        assert not is_let(policies, "Egress", ("noria", {}), FOREIGN["dns"], port)
    for each in (each for each in policies if each["spec"]["podSelector"] == {}):
        (rule,) = each["spec"]["egress"]
        assert {"ipBlock": cache} in rule["to"]
        assert {(port["protocol"], port["port"]) for port in rule["ports"]} == {
            (protocol, port) for protocol in ("TCP", "UDP") for port in (53, 5353)
        }


def test_steps_and_prometheus_are_known_by_other_labels_where_values_say_so():
    labels = {"prometheusLabels": {"app.kubernetes.io/name": None, "app": "prometheus"}, "stepLabels": {"team": "a"}}
    policies = [each for each in rendered({"networkPolicy": labels}) if each["kind"] == "NetworkPolicy"]
    predictor = ("noria-serving", {"component": "predictor", "serving.kserve.io/inferenceservice": "fashion"})
    step = ("kubeflow", {**FOREIGN["step"][1], "team": "a"})
    assert is_let(policies, "Ingress", predictor, step, 8080)
    assert is_let(policies, "Ingress", predictor, ("monitoring", {"app": "prometheus"}), 8080)
    for former in ("step", "prometheus"):
        assert not is_let(policies, "Ingress", predictor, FOREIGN[former], 8080)


@pytest.mark.parametrize("case", ["qa", "prod"])
def test_an_environment_names_whom_it_brings_itself(case):
    policies, there = of_kind(case, "NetworkPolicy"), places(case)
    for source, target, port in (
        ("predictor", ("storage", {"app": "s3"}), 8333),
        ("predictor", ("storage", {"app": "redis"}), 6380),
        ("materialize", ("storage", {"app": "postgresql"}), 5432),
    ):
        assert is_let(policies, "Egress", there[source], target, port)
    client = ("apps", {"noria.dev/client": "true"})
    assert is_let(policies, "Ingress", there["predictor"], client, 8080)
    assert not is_let(policies, "Ingress", there["predictor"], ("apps", {}), 8080)


@pytest.mark.parametrize("case", CASES)
def test_the_pipelines_namespace_is_left_to_kubeflow(case):
    assert {each["metadata"]["namespace"] for each in of_kind(case, "NetworkPolicy")} == {"noria", "noria-serving"}
