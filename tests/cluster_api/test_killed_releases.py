"""A release that is killed at any point: the same one, begun again, completes it, and changes nothing twice."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cluster_api.candidates import Release
from cluster_api.kube_server import Asked
from cluster_api.surroundings import ROOT, Cluster

from noria.errors import ReleaseError

DRIVER = Path(__file__).with_name("deploying.py")


def start(release: Release, environment: dict[str, str], tmp_path: Path) -> subprocess.Popen[str]:
    words = tmp_path / "words.json"
    words.write_text(json.dumps(release.words))
    return subprocess.Popen(
        [sys.executable, str(DRIVER), str(words)], cwd=ROOT, env=environment, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, err = process.communicate(timeout=120)
    return process.returncode, err


class Killing:
    """Kills a process once the cluster has done the n-th request of a kind, before it hears of that."""

    def __init__(self, cluster: Cluster, verb: str, resource: str, count: int = 1) -> None:
        self.cluster, self.verb, self.resource, self.left = cluster, verb, resource, count
        self.ready, self.process = threading.Event(), None
        self.only: Callable[[], bool] = lambda: True
        cluster.server.after = self

    def __call__(self, asked: Asked) -> None:
        if (asked.verb, asked.resource) == (self.verb, self.resource) and self.left and self.only():
            self.left -= 1
            if not self.left:
                self.ready.wait(30)
                assert self.process is not None
                self.process.kill()
                self.process.wait(30)

    def watch(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.ready.set()


@pytest.mark.parametrize(
    ("verb", "resource", "count"),
    [
        ("create", "leases", 1),  # has the turn
        ("patch", "inferenceservices", 1),  # has changed what serves
        ("get", "deployments", 2),  # waits
        ("get", "inferenceservices", 4),  # tries it
        ("get", "inferenceservices", 11),  # tries its last rows
    ],
)
def test_a_killed_release_is_completed_by_the_next(
    cluster: Cluster, environment: dict[str, str], tmp_path: Path, verb: str, resource: str, count: int
) -> None:
    release = cluster.candidates.judged(1.0)
    killing = Killing(cluster, verb, resource, count)
    process = start(release, environment, tmp_path)
    killing.watch(process)
    code, err = end(process)
    assert code == -9, err
    assert cluster.candidates.champion == ""
    cluster.server.after = lambda _: None
    cluster.candidates.deploy(release, cluster.stage())
    assert cluster.serves == cluster.candidates.champion == release.digest
    assert cluster.changes() == ["create"]
    assert cluster.world.starts == [release.digest]
    assert cluster.candidates.kinds == ["evaluated", "promoted"]


def test_one_that_is_killed_after_its_entry_has_nothing_left_to_do(
    cluster: Cluster, environment: dict[str, str], tmp_path: Path
) -> None:
    release = cluster.candidates.judged(1.0)
    killing = Killing(cluster, "update", "leases")
    killing.only = lambda: cluster.candidates.champion == release.digest
    process = start(release, environment, tmp_path)
    killing.watch(process)
    code, err = end(process)
    assert code == -9, err
    assert cluster.candidates.champion == release.digest
    cluster.server.after = lambda _: None
    cluster.candidates.deploy(release, cluster.stage())
    assert cluster.changes() == ["create"]
    assert cluster.candidates.kinds == ["evaluated", "promoted"]


def test_one_that_is_killed_and_then_does_not_come_up_gives_way_to_the_champion(
    cluster: Cluster, champion: str, environment: dict[str, str], tmp_path: Path
) -> None:
    before, release = cluster.live, cluster.candidates.judged(2.0)
    assert before is not None
    killing = Killing(cluster, "patch", "inferenceservices")
    process = start(release, environment, tmp_path)
    killing.watch(process)
    assert end(process)[0] == -9
    assert cluster.serves == release.digest
    cluster.server.after = lambda _: None
    cluster.world.behaviours[release.digest] = "crash loop"
    with pytest.raises(ReleaseError):
        cluster.candidates.deploy(release, cluster.stage())
    assert cluster.serves == cluster.candidates.champion == champion
    assert cluster.live is not None
    assert cluster.live["spec"] == before["spec"]
    assert cluster.live["metadata"]["annotations"] == before["metadata"]["annotations"]
    assert cluster.candidates.kinds[-1] == "put-back"


def test_one_that_is_told_to_end_puts_back_what_served(
    cluster: Cluster, champion: str, environment: dict[str, str], tmp_path: Path
) -> None:
    release = cluster.candidates.judged(2.0)
    cluster.world.behaviours[release.digest] = "never ready"
    waits = threading.Event()
    cluster.server.after = lambda asked: waits.set() if asked.resource == "pods" else None
    process = start(release, environment, tmp_path)
    assert waits.wait(60)
    process.terminate()
    code, err = end(process)
    assert code == 128 + 15, err
    assert cluster.serves == cluster.candidates.champion == champion
    last = cluster.candidates.ledger.entries()[-1]
    assert (last.kind, last.bundle) == ("put-back", release.digest)
    assert "stopped" in last.reason
