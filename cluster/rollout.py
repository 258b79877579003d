"""Rollout: whether all pods behind an InferenceService are of the bundle that it names, and ready."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from cluster.api import Api
from cluster.inference_service import OBJECT
from cluster.objects import Deployment, Pod, Pods, Service, read
from cluster.permissions import DEPLOYMENTS, PODS, SERVICES
from noria.errors import ReleaseError

# KServe writes the address that a pod's bundle is fetched from into the template of its Deployment.
SOURCE = "internal.serving.kserve.io/storage-initializer-sourceuri"
OF_SERVICE = "serving.kserve.io/inferenceservice"  # a label of the pods
RESTARTS = 3  # of a container that ends again and again; a bundle that cannot be loaded never will be


def wait_until_rolled_out(
    api: Api, name: str, uri: str, *, content: str = "", seconds: float, pause: float, hear: Callable[[str], None]
) -> None:
    """Wait until every pod of the service is of the bundle at `uri` and ready; `hear` gets what is missing, each time.

    With `content` the pods have to be of the object that comes to it, too: the same bundle may be asked to serve with
    other resources, and what is there was made before KServe looked at that.

    ReleaseError after `seconds`, or as soon as one of those pods' containers has ended again and again.
    """
    deadline = time.monotonic() + seconds
    while missing := _look(api, name, uri, content):
        hear(missing)
        _check_containers(name, pods_of(api, name, uri))
        if time.monotonic() + pause > deadline:
            raise ReleaseError(
                f"InferenceService {name} did not come up within {seconds:.0f} s: {missing}; set NORIA_SERVING_SECONDS "
                "where it only needs longer"
            )
        time.sleep(pause)


def _check_containers(name: str, pods: Iterable[Pod]) -> None:
    for pod in pods:
        for container in pod.failing:
            waiting = container.state.waiting
            if waiting is not None and waiting.reason == "CrashLoopBackOff" and container.restart_count >= RESTARTS:
                raise ReleaseError(
                    f"InferenceService {name} does not come up: container {container.name} of pod "
                    f"{pod.metadata.name} ended {container.restart_count + 1} times; its last lines say why"
                )


def read_service(api: Api, name: str) -> Service | None:
    found = api.get(SERVICES, name)
    return None if found is None else read(found, Service)


def pods_of(api: Api, name: str, uri: str) -> tuple[Pod, ...]:
    """The service's pods of the bundle at `uri`."""
    found = read(api.list(PODS, labels=f"{OF_SERVICE}={name}"), Pods)
    return tuple(pod for pod in found.items or () if pod.metadata.annotations.get(SOURCE) == uri)


def _look(api: Api, name: str, uri: str, content: str) -> str:
    """What is missing; "" where it serves. The Deployment is asked first: KServe's own conditions come after its."""
    found = api.get(DEPLOYMENTS, f"{name}-predictor")
    if found is None:
        return "KServe has made no Deployment"
    if missing := _missing_pods(read(found, Deployment), uri, content):
        return missing
    service = read_service(api, name)
    if service is None:
        return "it is gone"
    if service.metadata.deletion_timestamp:
        return "somebody has deleted it"
    ready = next((each for each in service.status.conditions if each.type == "Ready"), None)
    if ready is None or ready.status != "True":
        return f"it is not Ready ({ready.reason}: {ready.message})" if ready else "it does not say whether it is Ready"
    return ""


def _missing_pods(deployment: Deployment, uri: str, content: str) -> str:
    status, wanted = deployment.status, deployment.spec.replicas
    annotations = deployment.spec.template.metadata.annotations
    if (source := annotations.get(SOURCE, "")) != uri:
        return f"its Deployment still is of {source or 'no bundle'}"
    if content and annotations.get(OBJECT, "") != content:
        return "its Deployment still is of the object as it was before"
    if status.observed_generation < deployment.metadata.generation:
        return "its Deployment is not looked at yet"
    if not status.replicas == status.updated_replicas == status.available_replicas == wanted:
        return (
            f"of {wanted} pods {status.updated_replicas} are of this bundle, {status.replicas} are there and "
            f"{status.available_replicas} are available"
        )
    return ""
