"""What the tests on a cluster do and tell is tried here with a kubectl that answers what it is given."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_place import Place, Spaces, environment
from cluster_telling import Stuck, describe_cluster, why_not_ready
from kube import forwarded, wait_until

# Objects by namespace and kind; what is not there is an error, as of a cluster without that kind.
KUBECTL = """#!{python}
import json, sys
words = [word for word in sys.argv[1:] if not word.startswith("-")]
spaces = [word.partition("=")[2] for word in sys.argv if word.startswith("--namespace=")]
known = json.load(open({objects!r}))
if words[0] == "get" and "--output=json" in sys.argv:
    items = known.get(spaces[0] if spaces else "", {{}}).get(words[1])
    if items is None:
        sys.exit("error: the server doesn't have a resource type " + words[1])
    print(json.dumps({{"items": items}}))
else:
    print("kubectl", *sys.argv[1:])
"""
LISTENER = """#!{python}
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[-1].partition(":")[0]))) as server:
    server.accept()[0].close()
sys.exit("lost connection to pod")
"""


def state(name: str, *, ready: bool = False, restarts: int = 0, **told: Any) -> dict[str, Any]:
    return {"name": name, "ready": ready, "restartCount": restarts, "state": told}


def pod(name: str, *containers: dict[str, Any], phase: str = "Running", space: str = "noria", **more: Any) -> Any:
    labels = {"workflows.argoproj.io/workflow": "noria-training-x7"} if space == "team" else {}
    ready = all(one["ready"] for one in containers) and not more
    condition = {"type": "Ready", "status": str(ready), "reason": "" if ready else "ContainersNotReady"}
    status = {"phase": phase, "containerStatuses": list(containers), "conditions": [condition], **more}
    return {"metadata": {"name": name, "namespace": space, "labels": labels}, "status": status}


WELL = pod("seaweedfs", state("weed", ready=True, running={}))
PULLED = pod(
    "train", state("main", waiting={"reason": "ImagePullBackOff", "message": "noria/python-steps"}), space="team"
)
CRASHED = pod(
    "fashion-predictor", state("kserve-container", waiting={"reason": "PodInitializing"}), space="noria-serving",
    initContainerStatuses=[
        state("storage-initializer", restarts=3, waiting={"reason": "CrashLoopBackOff", "message": "back-off 40s"})
    ],
)  # fmt: skip
OTHER = pod("metadata-writer", state("main", waiting={"reason": "ImagePullBackOff"}), space="kubeflow")
ENDED = pod("settle", state("main", terminated={"exitCode": 0}), phase="Succeeded", space="team")


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The objects of a cluster that has these only; change it and call `know`."""
    objects = {
        "": {"services": [{"metadata": {"name": "ml-pipeline", "namespace": "kubeflow"}}]},
        "noria": {"pods": [WELL], "deployments": []},
        "kubeflow": {"pods": [OTHER]},
        "noria-serving": {
            "pods": [CRASHED],
            "inferenceservices": [
                {
                    "metadata": {"name": "fashion", "namespace": "noria-serving"},
                    "status": {"conditions": [{"type": "Ready", "status": "False", "message": "predictor not ready"}]},
                }
            ],
        },
        "team": {
            "pods": [ENDED, PULLED],
            "workflows.argoproj.io": [
                {
                    "metadata": {"name": "noria-training-x7", "namespace": "team"},
                    "status": {
                        "phase": "Running",
                        "nodes": {
                            "1": {"displayName": "train", "type": "Pod", "phase": "Pending", "message": "no image"},
                            "2": {"displayName": "settle", "type": "Pod", "phase": "Succeeded"},
                        },
                    },
                }
            ],
        },
    }
    (tmp_path / "objects.json").write_text(json.dumps(objects))
    command(KUBECTL, tmp_path, monkeypatch, objects=str(tmp_path / "objects.json"))
    return objects


def command(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **given: str) -> None:
    path = folder / "kubectl"
    path.write_text(text.format(python=sys.executable, **given))
    path.chmod(0o755)
    monkeypatch.setattr("kube.KUBECTL", str(path))
    monkeypatch.setattr("cluster_telling.KUBECTL", str(path))


def test_what_is_not_well_comes_first_with_what_to_do(known):
    told = describe_cluster(Spaces(pipelines="team", serving="noria-serving"))
    first = told.partition("\n\n")[0]
    assert first.startswith("=== What is not well\n")
    assert (
        "noria-serving/fashion-predictor: container storage-initializer waits: CrashLoopBackOff back-off 40s" in first
    )
    assert "team/train: container main waits: ImagePullBackOff noria/python-steps → `make images images-load`" in first
    assert "workflow team/noria-training-x7: Running\n  train (): Pending no image" in first
    assert "inferenceservices noria-serving/fashion:\n  Ready=False  predictor not ready" in first
    assert ("seaweedfs" in first, "settle" in first) == (False, False)


def test_logs_and_events_of_all_namespaces_concerned_follow(known):
    told = describe_cluster(Spaces(pipelines="team", serving="noria-serving"))
    logs = "kubectl logs fashion-predictor --container=storage-initializer --namespace=noria-serving --tail=40"
    assert f"{logs}\n" in told
    assert f"{logs} --previous\n" in told, "it began anew, so the one before has the reason"
    assert told.index("kubectl logs train --container=main") < told.index("kubectl logs seaweedfs"), "the unwell first"
    assert "kubectl logs settle" not in told
    for space in ("noria", "noria-serving", "team", "kubeflow"):
        assert f"kubectl get events --sort-by=.lastTimestamp --namespace={space}\n" in told
    assert "kubectl logs deployment/kserve-controller-manager" in told
    assert "kubectl describe nodes" in told


def test_a_cluster_that_answers_nothing_is_told_without_a_failure(tmp_path, monkeypatch):
    command("#!{python}\nimport sys; sys.exit('connection refused')\n", tmp_path, monkeypatch)
    spaces = Spaces(pipelines="kubeflow", serving="noria-serving")
    assert describe_cluster(spaces) == "The cluster of KUBECONFIG does not answer: connection refused"
    monkeypatch.setattr("cluster_telling.KUBECTL", str(tmp_path / "none"))
    assert "No such file" in describe_cluster(spaces)


def test_a_pod_that_waits_for_an_image_ends_the_wait_for_a_run(known):
    stuck = Stuck(spaces=Spaces(pipelines="team", serving="noria-serving"), seconds=3600)
    stuck.look()
    assert list(stuck.since) == ["team/train"]
    stuck.seconds = 0
    with pytest.raises(
        AssertionError, match=r"team/train gets no further: .*ImagePullBackOff.*make images images-load"
    ):
        stuck.look()
    Stuck(spaces=Spaces(pipelines="kubeflow", serving="noria-serving"), seconds=0).look()


@pytest.mark.parametrize(
    ("unwell", "words"),
    [
        (WELL, ""),
        (ENDED, ""),
        (pod("a", state("main", terminated={"exitCode": 137, "reason": "OOMKilled"})), "main ended with 137 OOMKilled"),
        (
            pod("b", phase="Pending", conditions=[
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient cpu"}
            ]),
            "Unschedulable Insufficient cpu → the node is too small",
        ),
        (pod("c", phase="Failed", reason="Evicted", message="low on memory"), "failed Evicted low on memory"),
        (pod("d", state("main", waiting={"reason": "CreateContainerConfigError"})), "make secrets ENV=dev"),
    ],
)  # fmt: skip
def test_a_pod_says_why_it_is_not_ready(unwell, words):
    found = why_not_ready(unwell)
    assert (words in found, bool(found)) == (True, bool(words))


def test_a_way_into_the_cluster_is_opened_anew_when_it_breaks(tmp_path, monkeypatch):
    command(LISTENER, tmp_path, monkeypatch)
    with forwarded("kubeflow", "service/ml-pipeline", 8888) as address:
        port = int(address.rpartition(":")[2])

        def taken() -> bool:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                return False
            return True

        wait_until(taken, "it is open again", 30)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def test_a_way_that_does_not_open_says_why(tmp_path, monkeypatch):
    command("#!{python}\nimport sys; sys.exit('services ml-pipeline not found')\n", tmp_path, monkeypatch)
    monkeypatch.setattr("kube.PATIENCE", 1.0)
    with pytest.raises(AssertionError, match="ml-pipeline not found"), forwarded("x", "service/ml-pipeline", 8888):
        pass


def test_a_wait_in_vain_says_what_was_there():
    with pytest.raises(AssertionError, match="waited 0 s in vain until it is there; there was one replica"):
        wait_until(lambda: False, "it is there", 0, lambda: "one replica")


def test_the_settings_say_where_the_runs_are_and_as_whom(tmp_path):
    usual = Place.named(tmp_path / "none", {"NORIA_KFP": "http://kfp", "NORIA_KFP_NAMESPACE": "kubeflow"})
    assert (usual.usual, usual.manifests.parts[-2:]) == (True, ("manifests", "dev"))
    assert not (tmp_path / "none").exists()
    place = Place.named(tmp_path, {"NORIA_KFP_NAMESPACE": "team", "NORIA_KFP_SERVICE_ACCOUNT": "default-editor"})
    objects = [one for path in tmp_path.iterdir() for one in yaml.safe_load_all(path.read_text())]
    assert place.spaces == Spaces(pipelines="team", serving="noria-serving")
    spaces = {one["metadata"].get("namespace") for one in objects if "metadata" in one}
    assert ("team" in spaces, "kubeflow" in spaces) == (True, False)
    (binding,) = (one for one in objects if one["kind"] == "RoleBinding")
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "default-editor", "namespace": "team"}]
    (head,) = (one for one in objects if one["kind"] == "Kustomization")
    assert {*head["resources"], "kustomization.yaml"} == {path.name for path in tmp_path.iterdir()}
    assert not [one for one in objects if "helm.sh/hook" in one.get("metadata", {}).get("annotations", {})]


@pytest.mark.parametrize(("default", "claims"), [("true", True), ("false", False)])
def test_a_place_of_its_own_asks_for_no_volumes_where_the_cluster_makes_none(default, claims, tmp_path, monkeypatch):
    annotations = {"storageclass.kubernetes.io/is-default-class": default}
    known = {"": {"storageclasses": [{"metadata": {"annotations": annotations}}, {"metadata": {}}]}}
    (tmp_path / "objects").write_text(json.dumps(known))
    command(KUBECTL, tmp_path, monkeypatch, objects=str(tmp_path / "objects"))
    monkeypatch.setattr("cluster_place.supply", lambda *_: 0)
    place = Place.named(tmp_path / "manifests", {"NORIA_KFP_NAMESPACE": "team"})
    place.bring(tmp_path)
    assert (place.manifests / "dev-volume-claims.yaml").exists() is claims
    volumes = (place.manifests / "dev-redis.yaml").read_text()
    assert ("persistentVolumeClaim" in volumes) is claims
    assert "namespace: team" in (place.manifests / "settings.yaml").read_text()


def test_nobody_is_asked_before_what_the_tests_made_is_taken_away(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("cluster_place.run", lambda *words, **more: asked.append((words[0].name, more["YES"])))
    monkeypatch.setattr("cluster_place.read", lambda *_: {"items": []})
    Place.named(tmp_path, {}).take_away(tmp_path)
    assert asked == [("undeploy", "1")]


def test_a_program_gets_what_says_where_the_cluster_is_and_no_other_setting(tmp_path, monkeypatch):
    given = {
        "NORIA_KFP_NAMESPACE": "team", "NORIA_KFP_TOKEN_FILE": "/token", "NORIA_IMAGE": "r.example/steps:7",
        "NORIA_OBJECTS": "s3://mine", "NORIA_HOME": "/mine", "AWS_PROFILE": "mine",
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    found = environment(tmp_path, NORIA_KFP="http://127.0.0.1:8888")
    kept = {name: value for name, value in found.items() if name.startswith(("NORIA_", "AWS_"))}
    assert kept == {
        "NORIA_KFP": "http://127.0.0.1:8888", "NORIA_KFP_NAMESPACE": "team", "NORIA_KFP_TOKEN_FILE": "/token",
        "NORIA_IMAGE": "r.example/steps:7", "NORIA_HOME": str(tmp_path),
    }  # fmt: skip
