"""Permissions: which verbs on which objects a release needs, in the namespace that serves and in no other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A kind of object, as the API server's addresses name it; `group` is "" for the core's own."""

    group: str
    version: str
    plural: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


SERVICES = Resource(group="serving.kserve.io", version="v1beta1", plural="inferenceservices")
DEPLOYMENTS = Resource(group="apps", version="v1", plural="deployments")
PODS = Resource(group="", version="v1", plural="pods")
EVENTS = Resource(group="", version="v1", plural="events")
LEASES = Resource(group="coordination.k8s.io", version="v1", plural="leases")

# (group, resource, verb), as a Role lists them. A server-side apply of an object that is not there yet is a patch for
# which the server asks for `create` as well.
VERBS = frozenset(
    {
        ("serving.kserve.io", "inferenceservices", "get"),
        ("serving.kserve.io", "inferenceservices", "create"),
        ("serving.kserve.io", "inferenceservices", "patch"),
        ("serving.kserve.io", "inferenceservices", "delete"),
        ("apps", "deployments", "get"),
        ("", "pods", "list"),
        ("", "pods/log", "get"),
        ("", "events", "list"),
        ("coordination.k8s.io", "leases", "get"),
        ("coordination.k8s.io", "leases", "create"),
        ("coordination.k8s.io", "leases", "update"),
    }
)
