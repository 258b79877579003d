"""Fixtures of the releases on a cluster: an API server with KServe behind it, and candidates that passed the gates."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster_api.candidates import SCHEMA, TASK, Candidates
from cluster_api.kserve_world import KServe
from cluster_api.kube_objects import Objects
from cluster_api.kube_server import Kubernetes
from cluster_api.real_api_server import ApiServer, RealObjects, real_api_server, why_none
from cluster_api.surroundings import NAMESPACE, ROOT, Cluster

from noria.errors import ReleaseError
from noria.steps.release import take_back


def pytest_report_header() -> str:
    why = why_none()
    return f"Kubernetes' API server: {f'played, for {why}' if why else 'a real one'}"


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer | None]:
    """The real API server; None where there is none."""
    if why_none():
        yield None
        return
    with real_api_server(tmp_path_factory.mktemp("kubernetes"), NAMESPACE) as server:
        yield server


@pytest.fixture
def objects(api_server: ApiServer | None) -> Iterator[Objects | RealObjects]:
    """The objects of an empty namespace."""
    if api_server is None:
        yield Objects()
        return
    kept = RealObjects(api_server)
    yield kept
    kept.clear(NAMESPACE)


@pytest.fixture
def cluster(tmp_path: Path, s3_address: str, objects: Any) -> Iterator[Cluster]:
    candidates = Candidates(folder=tmp_path, objects=s3_address)
    with Kubernetes(objects=objects) as server:
        world = KServe(server.objects, NAMESPACE, TASK, SCHEMA, candidates.keys, tmp_path / "pods")
        server.world = world
        try:
            yield Cluster(server=server, world=world, candidates=candidates)
        finally:
            world.close()


@pytest.fixture
def champion(cluster: Cluster) -> str:
    """A first champion that serves; returns its digest."""
    release = cluster.candidates.judged(1.0)
    cluster.candidates.deploy(release, cluster.stage())
    assert cluster.serves == cluster.candidates.champion == release.digest
    cluster.server.asked.clear()
    return release.digest


@pytest.fixture
def environment(cluster: Cluster, tmp_path: Path) -> dict[str, str]:
    """The environment of another process that releases to this cluster."""
    file = tmp_path / "kubeconfig"
    file.write_text(
        f"""
apiVersion: v1
kind: Config
current-context: test
clusters: [{{name: test, cluster: {{server: "{cluster.server.url}"}}}}]
users: [{{name: test, user: {{token: {cluster.server.token}}}}}]
contexts: [{{name: test, context: {{cluster: test, user: test}}}}]
"""
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NORIA_")}
    settings = cluster.candidates.workspace.settings
    return {
        **kept,
        "KUBECONFIG": str(file),
        "NORIA_HOME": str(settings.home),
        "NORIA_OBJECTS": settings.objects,
        "NORIA_SERVING": "kserve",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]),
    }


@pytest.fixture
def recorded_verbs(cluster: Cluster) -> Callable[[], set[tuple[str, str, str]]]:
    """Release in every way there is, and return what a Role has to allow for that."""

    def release_in_every_way() -> set[tuple[str, str, str]]:
        candidates, stage = cluster.candidates, cluster.stage()
        first = candidates.judged(1.0)
        cluster.world.behaviours[first.digest] = "crash loop"
        with pytest.raises(ReleaseError):
            candidates.deploy(first, stage)  # which is removed again
        cluster.world.behaviours.clear()
        candidates.deploy(first, stage)
        second = candidates.judged(2.0)
        candidates.deploy(second, stage)
        take_back(stage, candidates.ledger, TASK, to=None, reason="complaints", actor="person")
        assert {each.namespace for each in cluster.server.asked} == {NAMESPACE}
        return cluster.server.verbs

    return release_in_every_way
