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

from noria.errors import LedgerError, ReleaseError

DRIVER = Path(__file__).with_name("deploying.py")


def start(
    cluster: Cluster, release: Release, environment: dict[str, str], tmp_path: Path, *, read: bool = False
) -> subprocess.Popen[str]:
    words = tmp_path / "words.json"
    words.write_text(json.dumps(release.words))
    return subprocess.Popen(
        [sys.executable, str(DRIVER), str(words), str(cluster.world.service.port)], cwd=ROOT, env=environment,
        text=True, stdout=subprocess.PIPE if read else subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, err = process.communicate(timeout=120)
    return process.returncode, err


class Killing:
    """Kills a process once the cluster has done the n-th request of a kind, before the process hears of that."""

    def __init__(self, cluster: Cluster, verb: str, resource: str, count: int = 1) -> None:
        self.cluster, self.verb, self.resource, self.left = cluster, verb, resource, count
        self.ready, self.process = threading.Event(), None
        self.only: Callable[[], bool] = lambda: True
        cluster.server.after = self.hear
        cluster.world.service.entered = lambda: self.count("enter", "service")

    def hear(self, asked: Asked) -> None:
        self.count(asked.verb, asked.resource)

    def count(self, verb: str, resource: str) -> None:
        if (verb, resource) == (self.verb, self.resource) and self.left and self.only():
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
        ("enter", "service", 1),  # tries it
        ("enter", "service", 2),  # tries its last rows
    ],
)
def test_a_killed_release_is_completed_by_the_next(
    cluster: Cluster, environment: dict[str, str], tmp_path: Path, verb: str, resource: str, count: int
) -> None:
    release = cluster.candidates.judged(1.0)
    killing = Killing(cluster, verb, resource, count)
    process = start(cluster, release, environment, tmp_path)
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
    process = start(cluster, release, environment, tmp_path)
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
    process = start(cluster, release, environment, tmp_path)
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
    process = start(cluster, release, environment, tmp_path)
    assert waits.wait(60)
    process.terminate()
    code, err = end(process)
    assert code == 128 + 15, err
    assert cluster.serves == cluster.candidates.champion == champion
    last = cluster.candidates.ledger.entries()[-1]
    assert (last.kind, last.bundle) == ("put-back", release.digest)
    assert "stopped" in last.reason


def test_one_whose_output_nobody_reads_any_more_puts_back_what_served(
    cluster: Cluster, champion: str, environment: dict[str, str], tmp_path: Path
) -> None:
    """As in a pod of Kubeflow Pipelines, whose launcher reads the step's output and hears SIGTERM before it."""
    release = cluster.candidates.judged(2.0)
    cluster.world.behaviours[release.digest] = "never ready"
    waits = threading.Event()
    cluster.server.after = lambda asked: waits.set() if asked.resource == "pods" else None
    process = start(cluster, release, environment, tmp_path, read=True)
    assert waits.wait(60)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    assert process.wait(60) == 128 + 15
    assert cluster.serves == cluster.candidates.champion == champion
    last = cluster.candidates.ledger.entries()[-1]
    assert (last.kind, last.bundle) == ("put-back", release.digest)


def test_one_that_is_told_to_end_while_it_puts_back_comes_to_the_end_of_that(
    cluster: Cluster, champion: str, environment: dict[str, str], tmp_path: Path
) -> None:
    release = cluster.candidates.judged(2.0)
    cluster.world.behaviours[release.digest] = "crash loop"
    started, processes = threading.Event(), []

    def tell(asked: Asked) -> None:
        if asked.verb == "patch" and cluster.serves == champion:
            assert started.wait(30)
            processes[0].terminate()

    cluster.server.after = tell
    processes.append(start(cluster, release, environment, tmp_path))
    started.set()
    code, err = end(processes[0])
    assert code == 128 + 15, err
    assert cluster.serves == cluster.candidates.champion == champion
    last = cluster.candidates.ledger.entries()[-1]
    assert (last.kind, last.bundle) == ("put-back", release.digest)


@pytest.fixture
def left(cluster: Cluster, champion: str, environment: dict[str, str], tmp_path: Path) -> Release:
    """A release that was killed once it had changed what serves."""
    release = cluster.candidates.judged(2.0)
    killing = Killing(cluster, "patch", "inferenceservices")
    process = start(cluster, release, environment, tmp_path)
    killing.watch(process)
    assert end(process)[0] == -9
    assert (cluster.serves, cluster.candidates.champion) == (release.digest, champion)
    cluster.server.after = lambda _: None
    return release


def test_what_a_killed_release_left_is_put_back_and_recorded_by_the_next_one(
    cluster: Cluster, champion: str, left: Release
) -> None:
    other = cluster.candidates.judged(3.0)
    cluster.candidates.deploy(other, cluster.stage())
    assert cluster.serves == cluster.candidates.champion == other.digest
    assert cluster.world.starts == [champion, left.digest, champion, other.digest]
    back, promoted = cluster.candidates.ledger.entries()[-2:]
    assert (back.kind, back.bundle, back.champion) == ("put-back", left.digest, champion)
    assert "without a word" in back.reason
    assert (promoted.kind, promoted.bundle) == ("promoted", other.digest)
    assert cluster.candidates.ledger.verify() == ()


def test_a_killed_release_that_came_too_late_does_not_stay_when_it_is_begun_again(
    cluster: Cluster, left: Release
) -> None:
    rival = cluster.candidates.judged(3.0)
    cluster.candidates.deploy(rival, None)
    with pytest.raises(LedgerError, match="the champion changed"):
        cluster.candidates.deploy(left, cluster.stage())
    assert cluster.serves == cluster.candidates.champion == rival.digest
    last = cluster.candidates.ledger.entries()[-1]
    assert (last.kind, last.bundle, last.champion) == ("put-back", left.digest, rival.digest)
