"""Surroundings of a release: an API server, the KServe behind it, and the candidates of one task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster_api.candidates import TASK, Candidates
from cluster_api.kserve_world import KServe
from cluster_api.kube_server import Kubernetes

from cluster.api import Api
from cluster.doors import Doors
from cluster.lease import Pace
from cluster.stage import KServe as Stage

ROOT = Path(__file__).parents[2]
NAMESPACE = "noria-serving"
PACE = Pace(lasts=3.0, renew=0.3, look=0.05)


def door(port: int) -> Doors:
    """The way to a Service whose name nobody resolves here."""
    return Doors(host="127.0.0.1", ports=(port,))


@dataclass(kw_only=True)
class Cluster:
    """A server, the world behind it, and the candidates of one task."""

    server: Kubernetes
    world: KServe
    candidates: Candidates

    @property
    def live(self) -> dict[str, Any] | None:
        return self.server.objects.get(("inferenceservices", NAMESPACE, TASK))

    @property
    def serves(self) -> str:
        """The digest that the object names, "" without an object."""
        return "" if self.live is None else str(self.live["metadata"]["annotations"]["noria.dev/bundle"])

    def stage(self, *, seconds: float = 20.0, overlay: dict[str, Any] | None = None) -> Stage:
        from kubernetes import client

        settings = client.Configuration(host=self.server.url)
        settings.api_key = {"authorization": f"Bearer {self.server.token}"}
        store = self.candidates.workspace.store
        return Stage(
            api=Api(client.ApiClient(settings), NAMESPACE, pause=0.01),
            address_of=lambda digest: store.uri(f"bundles/{digest}"), doors=lambda *_: door(self.world.service.port),
            overlay=overlay or {}, seconds=seconds, progress=lambda *_: None, pace=PACE, look=0.02,
        )  # fmt: skip

    def changes(self) -> list[str]:
        """The writes to the InferenceService, in their order."""
        return [verb for verb, resource, _ in self.server.objects.history if resource == "inferenceservices"]
