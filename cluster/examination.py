"""Examination: what a person's cluster has, and what they may do there, without changing anything in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from cluster.api import Api, MissingError, connect
from noria.errors import ClusterError

USUAL_KUBECONFIG = "~/.kube/config"
CONTROLLER = ("kserve", "kserve-controller-manager")  # namespace and Deployment, as KServe's own manifests name them


class _Container(msgspec.Struct, frozen=True):
    name: str
    image: str = ""


class _PodSpec(msgspec.Struct, frozen=True):
    containers: tuple[_Container, ...]


class _Template(msgspec.Struct, frozen=True):
    spec: _PodSpec


class _DeploymentSpec(msgspec.Struct, frozen=True):
    template: _Template


class _Deployment(msgspec.Struct, frozen=True):
    spec: _DeploymentSpec


class _ReviewStatus(msgspec.Struct, frozen=True):
    allowed: bool = False


class _Review(msgspec.Struct, frozen=True):
    status: _ReviewStatus = _ReviewStatus()


def is_configured() -> bool:
    """Whether a cluster is named here at all: by KUBECONFIG, by its usual file, or by being in one."""
    from kubernetes.config.incluster_config import SERVICE_TOKEN_FILENAME
    from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION

    said = str(KUBE_CONFIG_DEFAULT_LOCATION)  # a KUBECONFIG that leads nowhere is a fault, and no absence
    return said != USUAL_KUBECONFIG or Path(said).expanduser().exists() or Path(SERVICE_TOKEN_FILENAME).exists()


class Examination(Api):
    """Questions about one namespace, and about what the whole cluster has."""

    @classmethod
    def of(cls, namespace: str) -> Examination:
        """Of the cluster that KUBECONFIG names; ClusterError if there is none."""
        return cls(connect(namespace)._client, namespace, pause=0.05)

    def lacking(self, verbs: Iterable[tuple[str, str, str]]) -> tuple[str, ...]:
        """Those of the (group, resource, verb) that whoever asks may not do in the namespace, each as words."""
        return tuple(
            f"{verb} {resource}{f'.{group}' if group else ''}"
            for group, resource, verb in sorted(verbs)
            if not self._may(group, resource, verb)
        )

    def has_kserve(self) -> bool:
        """Whether the cluster knows InferenceServices."""
        try:
            return b'"inferenceservices"' in self._send("GET", "/apis/serving.kserve.io/v1beta1")
        except MissingError:
            return False

    def kserve_release(self) -> str:
        """KServe's release, by the tag of its controller's image; "" where that may not be looked at."""
        namespace, name = CONTROLLER
        try:
            text = self._send("GET", f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
        except ClusterError:
            return ""
        containers = msgspec.json.decode(text, type=_Deployment).spec.template.spec.containers
        image = next((one.image for one in containers if one.name == "manager"), containers[0].image)
        return image.rpartition("/")[2].partition("@")[0].partition(":")[2].removeprefix("v")

    def _may(self, group: str, resource: str, verb: str) -> bool:
        kind, _, part = resource.partition("/")
        asked = {"namespace": self.namespace, "group": group, "resource": kind, "subresource": part, "verb": verb}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {name: value for name, value in asked.items() if value}},
        }
        text = self._send("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=body)
        return msgspec.json.decode(text, type=_Review).status.allowed
