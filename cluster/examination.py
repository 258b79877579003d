"""Examination: what a person's cluster has, and what may be done there and by whom, without changing anything in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from cluster.api import Api, MissingError, connect
from noria.errors import ClusterError

USUAL_KUBECONFIG = "~/.kube/config"
REVIEWS = ("authorization.k8s.io", "localsubjectaccessreviews", "create")
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


class _ConfigMap(msgspec.Struct, frozen=True):
    data: dict[str, str] = {}


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

    def lacking(self, verbs: Iterable[tuple[str, str, str]], account: tuple[str, str] | None = None) -> tuple[str, ...]:
        """Those of the (group, resource, verb) that may not be done in the namespace, each as words.

        Done by the `account`, the namespace and name of a service account, or by whoever asks. ClusterError where one
        may not ask for another; `may_ask` knows.
        """
        return tuple(
            f"{verb} {resource}{f'.{group}' if group else ''}"
            for group, resource, verb in sorted(verbs)
            if not self._may(group, resource, verb, account)
        )

    def may_ask(self) -> bool:
        """Whether whoever asks may ask what another may do in the namespace."""
        return self._may(*REVIEWS, None)

    def settings(self, name: str) -> Mapping[str, str]:
        """What a ConfigMap in the namespace holds; nothing where there is none, or where it may not be read."""
        try:
            text = self._send("GET", f"/api/v1/namespaces/{self.namespace}/configmaps/{name}")
        except ClusterError:
            return {}
        return msgspec.json.decode(text, type=_ConfigMap).data

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

    def _may(self, group: str, resource: str, verb: str, account: tuple[str, str] | None) -> bool:
        kind, _, part = resource.partition("/")
        asked = {"namespace": self.namespace, "group": group, "resource": kind, "subresource": part, "verb": verb}
        spec: dict[str, object] = {"resourceAttributes": {name: value for name, value in asked.items() if value}}
        root, where = "/apis/authorization.k8s.io/v1", "selfsubjectaccessreviews"
        body: dict[str, object] = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        if account:
            # The one of a namespace, because an administrator of that namespace alone may ask with it, too.
            where = f"namespaces/{self.namespace}/localsubjectaccessreviews"
            body |= {"kind": "LocalSubjectAccessReview", "metadata": {"namespace": self.namespace}}
            spec |= _as_server_knows(*account)
        text = self._send("POST", f"{root}/{where}", body=body | {"spec": spec})
        return msgspec.json.decode(text, type=_Review).status.allowed


def _as_server_knows(namespace: str, name: str) -> dict[str, object]:
    """A service account as the API server knows who comes with its token."""
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    return {"user": f"system:serviceaccount:{namespace}:{name}", "groups": groups}
