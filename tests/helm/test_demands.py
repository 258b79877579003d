"""Demands: each kind of objects is asked for before anything is applied, and each image can come onto a node."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from helm.demands import MADE_LATER, METRICS, Kind, check_images, check_kinds, kinds_of
from helm.render import MANIFESTS, environments, merged_values
from noria.errors import ClusterError, UsageError


class Cluster:
    """A cluster that knows these kinds; as `kubectl api-resources` tells them."""

    def __init__(self, *kinds: Kind) -> None:
        self._kinds = kinds

    def ask(self, words: list[str]) -> Any:
        assert words[0] == "api-resources"
        lines = [f"names {kind.group}{'/' * bool(kind.group)}v9 true {kind.name}" for kind in self._kinds]
        return SimpleNamespace(stdout="\n".join(lines), returncode=1)


def needed(environment: str) -> set[Kind]:
    return {*kinds_of(MANIFESTS / environment), *MADE_LATER}


@pytest.mark.parametrize("environment", environments())
def test_a_cluster_that_knows_every_kind_is_taken_and_one_that_lacks_any_is_not(environment):
    every = needed(environment)
    check_kinds(Cluster(*every, METRICS), environment)
    for lacking in every:
        with pytest.raises(ClusterError, match=rf"{lacking.name} \("):
            check_kinds(Cluster(*every - {lacking}), environment)


@pytest.mark.parametrize(
    ("environment", "group", "words"),
    [
        ("prod", "keda.sh", ("ScaledObject", "KEDA", "autoscaling.kind")),
        ("qa", "monitoring.coreos.com", ("PrometheusRule", "ServiceMonitor", "metrics.serviceMonitor.enabled: false")),
    ],
)
def test_what_others_bring_is_told_with_the_value_that_does_without(environment, group, words):
    with pytest.raises(ClusterError) as raised:
        check_kinds(Cluster(*(kind for kind in needed(environment) if kind.group != group)), environment)
    assert [word for word in (*words, f"helm/environments/{environment}.yaml") if word not in str(raised.value)] == []


def test_replicas_by_cpu_without_a_metrics_server_are_a_note_and_no_fault(capsys):
    check_kinds(Cluster(*needed("qa")), "qa")
    assert "no metrics-server" in capsys.readouterr().err
    check_kinds(Cluster(*needed("qa"), METRICS), "qa")
    check_kinds(Cluster(*needed("prod")), "prod")
    assert capsys.readouterr().err == ""


def of_images(environment: str, **changes: Any) -> dict[str, Any]:
    values = merged_values(environment)
    return {**values, "images": {**values["images"], **changes}}


def image(repository: str, digest: str = "") -> dict[str, str]:
    return {"repository": repository, "digest": digest}


def test_an_image_that_no_node_could_fetch_from_its_owner_is_refused_where_none_is_loaded_by_hand():
    own, strange = image("registry.example/serving"), image("noria/serving")
    with pytest.raises(UsageError, match=r"names noria/serving without a registry.*helm/environments/qa.yaml"):
        check_images("qa", of_images("qa", serving=strange, monitoring=own))
    check_images("qa", of_images("qa", serving=own, monitoring=own))
    check_images("qa", of_images("qa", serving=strange, monitoring=own, pullPolicy="Never"))
    check_images("dev", merged_values("dev"))


def test_a_digest_that_no_image_has_is_refused_and_a_digest_needs_its_registry_as_well():
    own = image("registry.example/serving", f"sha256:{'ab' * 32}")
    with pytest.raises(UsageError, match="digests that no image has"):
        check_images("prod", of_images("prod", serving=own))
    with pytest.raises(UsageError, match="without a registry"):
        check_images("prod", of_images("prod", serving=own, monitoring=image("noria/monitoring", own["digest"])))
