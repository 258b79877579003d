"""Diagnosis: what Kubernetes tells of a service that does not come up: conditions, events, the last lines of a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from cluster.api import Api
from cluster.objects import Container, Pod, read
from cluster.permissions import EVENTS
from cluster.rollout import pods_of, read_service
from noria.errors import ClusterError

LINES = 15
EVENTS_TOLD = 10
PODS_TOLD = 3


class _Object(msgspec.Struct, frozen=True):
    kind: str = ""
    name: str = ""


class _Event(msgspec.Struct, frozen=True, rename="camel"):
    involved_object: _Object = _Object()
    reason: str = ""
    message: str = ""
    count: int | None = None
    last_timestamp: str | None = None
    event_time: str | None = None


class _Events(msgspec.Struct, frozen=True):
    items: tuple[_Event, ...] | None = ()


def diagnose(api: Api, name: str, uri: str) -> str:
    """What there is to say, a line each; what cannot be read is said as well, and hides nothing else."""
    pieces: tuple[Callable[[], Iterator[str]], ...] = (
        lambda: _conditions(api, name),
        lambda: _warnings(api, name),
        lambda: _pods(api, name, uri),
    )
    lines: list[str] = []
    for piece in pieces:
        try:
            lines += piece()
        except ClusterError as error:
            lines.append(f"not told: {error}")
    return "\n".join(["Kubernetes says:", *(f"  {line}" for line in lines or ["nothing"])])


def _conditions(api: Api, name: str) -> Iterator[str]:
    service = read_service(api, name)
    if service is None:
        yield f"there is no InferenceService {name} in namespace {api.namespace}"
        return
    for each in service.status.conditions:
        if each.status != "True":
            yield f"condition {each.type} is {each.status}{_because(each.reason, each.message)}"


def _warnings(api: Api, name: str) -> Iterator[str]:
    found = read(api.list(EVENTS, fields="type=Warning"), _Events)
    own = [
        each
        for each in found.items or ()
        if each.involved_object.name == name or each.involved_object.name.startswith(f"{name}-predictor")
    ]
    own.sort(key=lambda each: each.last_timestamp or each.event_time or "")
    for each in own[-EVENTS_TOLD:]:
        times = f" ({each.count} times)" if each.count and each.count > 1 else ""
        where = f"{each.involved_object.kind} {each.involved_object.name}"
        yield f"event of {where}{times}{_because(each.reason, each.message)}"


def _pods(api: Api, name: str, uri: str) -> Iterator[str]:
    told = [pod for pod in pods_of(api, name, uri) if pod.failing or pod.status.phase != "Running"]
    if not told:
        yield "every pod of this bundle that there is runs and is ready"
    for pod in told[:PODS_TOLD]:
        yield f"pod {pod.metadata.name} is {pod.status.phase}{_because(pod.status.reason, pod.status.message)}"
        for condition in pod.status.conditions:
            if condition.type == "PodScheduled" and condition.status != "True":
                yield f"pod {pod.metadata.name} has no node{_because(condition.reason, condition.message)}"
        for container in pod.failing:
            yield from _container(api, pod, container)


def _container(api: Api, pod: Pod, container: Container) -> Iterator[str]:
    state = container.state.waiting or container.state.terminated
    if state is None:
        yield f"container {container.name} runs, and is not ready"
    else:
        yield f"container {container.name} is not ready{_because(state.reason, state.message)}"
    if container.state.waiting is not None and not container.restart_count:
        return  # it never ran, so there is no log
    previous = container.state.waiting is not None
    try:
        log = api.log(pod.metadata.name, container.name, lines=LINES, previous=previous)
    except ClusterError as error:
        log = f"its log is not told: {error}"
    for line in log.splitlines()[-LINES:]:
        yield f"  {container.name}: {line}"


def _because(reason: str, message: str) -> str:
    told = ": ".join(each for each in (reason, " ".join(message.split())) if each)
    return f": {told}" if told else ""
