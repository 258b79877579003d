"""Demands: what an environment needs of its owner and of its cluster, looked at before anything is changed.

`python -m helm.demands dev` says which cluster answers and what is missing, and ends with 1 where something is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from helm.kubectl import Kubectl
from helm.reach import reach
from helm.render import MANIFESTS, merged_values
from noria.errors import ClusterError, NoriaError, UsageError

NO_DIGEST = "0" * 64
OURS = ("serving", "monitoring")
SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of objects; two versions of it are one kind."""

    group: str
    name: str

    def __str__(self) -> str:
        return f"{self.name} ({self.group or 'Kubernetes itself'})"


# What a release and a run make, and no manifest holds.
MADE_LATER = (Kind(group="serving.kserve.io", name="InferenceService"), Kind(group="argoproj.io", name="Workflow"))
METRICS = Kind(group="metrics.k8s.io", name="PodMetrics")
# Who brings a group, and what is set where nobody does.
BRINGS = {
    "serving.kserve.io": ("KServe 0.20 or later", "`make cluster CLUSTER=here` installs it"),
    "argoproj.io": ("Kubeflow Pipelines 2.15 or later", "`make cluster CLUSTER=here` installs it"),
    "keda.sh": ("KEDA", "without it set autoscaling.kind: hpa, or none"),
    "monitoring.coreos.com": (
        "the Prometheus operator", "without it set metrics.serviceMonitor.enabled: false and metrics.rules: false"
    ),
}  # fmt: skip


def main(arguments: list[str]) -> int:
    """Look at images, cluster and kinds, in this order; returns the exit code."""
    environment = arguments[0]
    try:
        check_images(environment, merged_values(environment))
        kubectl = Kubectl()
        found = reach(kubectl)
        sys.stdout.write(f"Cluster: context {found.context}, {found.server}\n")
        check_kinds(kubectl, environment)
    except NoriaError as error:
        sys.stderr.write(f"make deploy: {error}\n")
        return error.exit_code
    return 0


def check_images(environment: str, values: Mapping[str, Any]) -> None:
    """UsageError where an image of ours can come onto no node, or only from somebody else.

    In an environment of development parts, and where images.pullPolicy says so, images are loaded by hand.
    """
    images, where = values["images"], f"helm/environments/{environment}.yaml"
    if any(images[role]["digest"].endswith(NO_DIGEST) for role in OURS):
        raise UsageError(
            f"manifests/{environment} names images by digests that no image has: put yours into {where}, as "
            "`docker push` tells them, and run `make manifests`"
        )
    names = [images[role]["repository"] for role in OURS]
    strange = [name for name in names if not has_registry(name)]
    if strange and not values["devServices"]["enabled"] and not images["pullPolicy"]:
        raise UsageError(
            f"manifests/{environment} names {' and '.join(strange)} without a registry: expected registry/name, which "
            f"its nodes can fetch; set images.serving.repository and images.monitoring.repository in {where}, or "
            "images.pullPolicy: Never where you load images by hand, and run `make manifests`"
        )


def has_registry(repository: str) -> bool:
    """Whether an image's name begins with a host, as Docker reads it; without one it is Docker Hub's."""
    host, slash, _ = repository.partition("/")
    return bool(slash) and ("." in host or ":" in host or host == "localhost")


def check_kinds(kubectl: Kubectl, environment: str) -> None:
    """ClusterError for kinds of objects that the manifests hold, or runs make, and the cluster does not know."""
    # It ends with 1 where one API of many does not answer, and prints all others.
    asked = kubectl.ask(["api-resources", "--no-headers", f"--request-timeout={SECONDS}s"])
    known = set(_parse(asked.stdout))
    needed = set(kinds_of(MANIFESTS / environment))
    missing = sorted((needed | set(MADE_LATER)) - known, key=str)
    if missing:
        optional = any("without it" in _next(kind) for kind in missing)
        lines = [f"  {kind}: {_next(kind)}" for kind in missing]
        raise ClusterError(
            "\n".join([f"the cluster does not know what {environment} needs; nothing was changed:", *lines])
            + f"\nThe values are those of helm/environments/{environment}.yaml; then run `make manifests`" * optional
        )
    if any(kind.name == "HorizontalPodAutoscaler" for kind in needed) and METRICS not in known:
        sys.stderr.write(
            "make deploy: the cluster has no metrics-server: replicas do not follow the load until it has, or until "
            "autoscaling.kind says keda or none\n"
        )


def kinds_of(folder: Path) -> Iterator[Kind]:
    """The kinds of the objects in a folder of manifests."""
    for path in folder.glob("*.yaml"):
        if path.name != "kustomization.yaml":
            for each in yaml.safe_load_all(path.read_text()):
                yield Kind(group=each["apiVersion"].rpartition("/")[0], name=each["kind"])


def _parse(table: str) -> Iterator[Kind]:
    """Of the columns name, short names, version, whether of a namespace, and kind the second may be empty."""
    for line in table.splitlines():
        words = line.split()
        if len(words) >= len(("name", "version", "namespaced", "kind")):
            yield Kind(group=words[-3].rpartition("/")[0], name=words[-1])


def _next(kind: Kind) -> str:
    brought, then = BRINGS.get(kind.group, ("Kubernetes 1.32 or later", "bring the cluster up to date"))
    return f"it comes with {brought}; {then}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
