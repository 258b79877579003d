"""Objects: what is read of the objects that Kubernetes and KServe keep; the rest of them is let be."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from noria.errors import ClusterError

T = TypeVar("T")
OLDEST = "1.32"  # of Kubernetes, because KServe asks for it; what a release itself asks for is older


def read(data: bytes, kind: type[T]) -> T:
    """Read an object; ClusterError where it has another form than Kubernetes gives it."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise ClusterError(
            f"Kubernetes tells of a {kind.__name__} what cannot be read ({error}): expected KServe 0.20 or later, on "
            f"Kubernetes {OLDEST} or later; `noria doctor` says which KServe there is"
        ) from error


class Condition(msgspec.Struct, frozen=True):
    type: str
    status: str
    reason: str = ""
    message: str = ""


class _ServiceStatus(msgspec.Struct, frozen=True):
    conditions: tuple[Condition, ...] = ()


class _ServiceMeta(msgspec.Struct, frozen=True, rename="camel"):
    deletion_timestamp: str = ""


class Service(msgspec.Struct, frozen=True):
    """An InferenceService, as far as it matters here.

    Its observedGeneration does not: in Standard mode KServe copies that of the Deployment there.
    """

    metadata: _ServiceMeta = _ServiceMeta()
    status: _ServiceStatus = _ServiceStatus()


class _Meta(msgspec.Struct, frozen=True):
    name: str = ""
    generation: int = 0
    annotations: dict[str, str] = msgspec.field(default_factory=dict)


class _Template(msgspec.Struct, frozen=True):
    metadata: _Meta = _Meta()


class _DeploymentSpec(msgspec.Struct, frozen=True):
    template: _Template = _Template()
    replicas: int = 1


class _DeploymentStatus(msgspec.Struct, frozen=True, rename="camel"):
    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    available_replicas: int = 0


class Deployment(msgspec.Struct, frozen=True):
    metadata: _Meta
    spec: _DeploymentSpec = _DeploymentSpec()
    status: _DeploymentStatus = _DeploymentStatus()


class Ended(msgspec.Struct, frozen=True, rename="camel"):
    reason: str = ""
    message: str = ""
    exit_code: int = 0


class Waiting(msgspec.Struct, frozen=True):
    reason: str = ""
    message: str = ""


class State(msgspec.Struct, frozen=True):
    waiting: Waiting | None = None
    terminated: Ended | None = None


class Container(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    ready: bool = False
    restart_count: int = 0
    state: State = State()

    @property
    def done(self) -> bool:
        return self.state.terminated is not None and self.state.terminated.exit_code == 0


class _PodStatus(msgspec.Struct, frozen=True, rename="camel"):
    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: tuple[Condition, ...] = ()
    init_container_statuses: tuple[Container, ...] = ()
    container_statuses: tuple[Container, ...] = ()


class Pod(msgspec.Struct, frozen=True):
    metadata: _Meta
    status: _PodStatus = _PodStatus()

    @property
    def failing(self) -> tuple[Container, ...]:
        """The containers that are neither done nor ready."""
        unfinished = (each for each in self.status.init_container_statuses if not each.done)
        return (*unfinished, *(each for each in self.status.container_statuses if not each.ready))


class Pods(msgspec.Struct, frozen=True):
    items: tuple[Pod, ...] | None = ()
