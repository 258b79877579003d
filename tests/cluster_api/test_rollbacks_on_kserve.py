"""Rollbacks where an InferenceService serves: it is changed as well, by the command, too."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from cluster_api.candidates import TASK
from cluster_api.surroundings import ROOT, Cluster

from noria.errors import LedgerError, ReleaseError
from noria.steps.release import take_back

COMMAND = Path(sys.executable).with_name("noria")


def noria(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(COMMAND), *words, "--task", TASK], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def second(cluster: Cluster, champion: str) -> str:
    """A second champion, which serves; returns its digest."""
    release = cluster.candidates.judged(2.0)
    cluster.candidates.deploy(release, cluster.stage())
    return release.digest


def test_a_rollback_lets_the_former_champion_serve(
    cluster: Cluster, champion: str, second: str, environment: dict[str, str]
) -> None:
    done = noria(environment, "rollback", "--reason", "complaints", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bundle"] == champion
    assert cluster.serves == cluster.candidates.champion == champion
    assert cluster.world.starts[-2:] == [second, champion]


def test_one_to_a_bundle_that_does_not_come_up_changes_nothing(
    cluster: Cluster, champion: str, second: str, environment: dict[str, str]
) -> None:
    before = cluster.live
    assert before is not None
    cluster.world.behaviours[champion] = "crash loop"
    with pytest.raises(ReleaseError, match=f"bundle {second[:12]} serves again"):
        take_back(cluster.stage(), cluster.candidates.ledger, TASK, to=None, reason="complaints", actor="person")
    assert cluster.serves == cluster.candidates.champion == second
    assert cluster.live is not None
    assert cluster.live["spec"] == before["spec"]
    last = cluster.candidates.ledger.entries()[-1]
    assert (last.kind, last.bundle, last.champion, last.actor) == ("put-back", champion, second, "person")
    assert cluster.candidates.ledger.verify() == ()
    listed = noria(environment, "releases")
    assert "did not come up" in listed.stdout, listed.stderr
    told = json.loads(noria(environment, "status", "--json").stdout)
    assert told["champion"]["digest"] == second
    assert told["verdicts"][0]["kind"] == "put-back"
    assert "did not come up" in noria(environment, "status").stdout
    assert second in noria(environment, "which").stdout


@pytest.fixture
def left(cluster: Cluster, champion: str) -> str:
    """What a release that was killed left serving; returns its digest."""
    release = cluster.candidates.judged(2.0)
    with cluster.stage().turn(TASK, "one that is killed") as turn:
        turn.bring_up(release.digest, plan=release.plan)
    assert cluster.serves == release.digest
    return release.digest


def test_the_champion_serves_again_where_a_killed_release_left_something_else(
    cluster: Cluster, champion: str, left: str, environment: dict[str, str]
) -> None:
    kinds = cluster.candidates.kinds
    done = noria(environment, "rollback", "--to", champion[:12], "--reason", "it serves what is not champion")
    assert done.returncode == 0, done.stderr
    assert cluster.serves == cluster.candidates.champion == champion
    assert cluster.candidates.kinds == [*kinds, "put-back"]
    last = cluster.candidates.ledger.entries()[-1]
    assert (last.bundle, last.champion, last.actor) == (left, champion, "person")


def test_a_champion_that_does_not_come_up_again_is_told_with_what_kubernetes_says(
    cluster: Cluster, champion: str, left: str
) -> None:
    cluster.world.behaviours[champion] = "crash loop"
    with pytest.raises(ReleaseError, match="CrashLoopBackOff") as told:
        take_back(cluster.stage(), cluster.candidates.ledger, TASK, to=champion, reason="it is", actor="person")
    assert "It is champion by the ledger" in str(told.value)
    assert cluster.serves == champion


def test_status_says_whether_the_champion_is_what_serves(
    cluster: Cluster, champion: str, environment: dict[str, str]
) -> None:
    told = json.loads(noria(environment, "status", "--json").stdout)["live"]
    assert (told["found"], told["bundle"]) == ("champion", champion)
    assert "InferenceService fashion in namespace noria-serving serves it" in noria(environment, "status").stdout
    alone = {**environment, "NORIA_SERVING": "ledger"}
    assert "live" not in json.loads(noria(alone, "status", "--json").stdout)


def test_status_says_what_a_killed_release_left_and_what_to_type(
    cluster: Cluster, champion: str, left: str, environment: dict[str, str]
) -> None:
    done = noria(environment, "status")
    assert done.returncode == 0, done.stderr
    assert f"serves bundle {left[:12]}, which is not the champion" in done.stdout
    assert f"`noria rollback --task fashion --to {champion[:12]} --reason" in done.stdout
    told = json.loads(noria(environment, "status", "--json").stdout)["live"]
    assert (told["found"], told["bundle"]) == ("another", left)


def test_status_of_a_cluster_that_cannot_be_reached_says_so_and_all_else(
    cluster: Cluster, champion: str, environment: dict[str, str]
) -> None:
    file = Path(environment["KUBECONFIG"])
    file.write_text(file.read_text().replace(cluster.server.url, f"http://127.0.0.1:{_free_port()}"))
    done = noria(environment, "status")
    assert done.returncode == 0, done.stderr
    assert "serves is not known: Kubernetes at http://127.0.0.1" in done.stdout
    assert champion in done.stdout
    assert json.loads(noria(environment, "status", "--json").stdout)["live"]["found"] == "unknown"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def test_one_without_a_former_champion_touches_nothing(cluster: Cluster, champion: str) -> None:
    before = cluster.live
    with pytest.raises(LedgerError, match="no champion below"):
        take_back(cluster.stage(), cluster.candidates.ledger, TASK, to=None, reason="complaints", actor="person")
    assert cluster.live == before


def test_it_changes_nothing_where_the_champion_changed_meanwhile(cluster: Cluster, champion: str, second: str) -> None:
    rival = cluster.candidates.judged(3.0)

    def overtake(_: object) -> None:
        if cluster.serves == champion and cluster.candidates.champion == second:
            cluster.candidates.deploy(rival, None)

    cluster.server.after = overtake
    with pytest.raises(LedgerError, match="the rollback was asked for"):
        take_back(cluster.stage(), cluster.candidates.ledger, TASK, to=None, reason="complaints", actor="person")
    assert cluster.serves == cluster.candidates.champion == rival.digest


def test_objects_that_no_pod_can_fetch_are_refused(
    cluster: Cluster, environment: dict[str, str], tmp_path: Path
) -> None:
    elsewhere = {**environment, "NORIA_OBJECTS": str(tmp_path / "objects"), "NORIA_HOME": str(tmp_path / "other")}
    done = noria(elsewhere, "rollback", "--reason", "complaints")
    assert done.returncode == 2
    assert "expected s3://bucket/prefix" in done.stderr


def test_no_cluster_is_a_clear_error(cluster: Cluster, environment: dict[str, str], tmp_path: Path) -> None:
    nowhere = {**environment, "KUBECONFIG": str(tmp_path / "none")}
    done = noria(nowhere, "rollback", "--reason", "complaints")
    assert done.returncode == 1
    assert "no cluster is known here" in done.stderr
    assert "Traceback" not in done.stderr
