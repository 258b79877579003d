"""The whole way on a real cluster, in order: manifests, a run, load, caches, a bad bundle, scaling, and the end of it.

It is the cluster of KUBECONFIG, with the Kubeflow Pipelines that NORIA_KFP and its kin name, else that whose Service is
there. One node of two cores and 16 GB is enough. The images have to be there already: `make images images-load`. Run
again on the same cluster it finds runs, caches and versions of the pipeline of the time before, and a new object store.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_place import ROOT, Place, hooks, set_up
from kube import forwarded, kubectl, read, wait_until
from submitting import end_former_runs, submit
from under_load import Load, tell, under_load

from helm.render import render

pytestmark = [pytest.mark.timeout(7200), pytest.mark.xdist_group("cluster")]
REMEMBERED = ("ingest", "features", "validate", "train")
SERVE_SECONDS = 600
BAD_SECONDS = 240  # a bundle that is refused while it is fetched is refused again and again
SCALE_SECONDS = 900
FEWEST = 100  # requests that have to come to an answer before, and after, what happens meanwhile


def service(place: Place) -> dict[str, Any]:
    found: dict[str, Any] = read("inferenceservice", "fashion", f"--namespace={place.spaces.serving}")
    return found


def served_bundle(place: Place) -> str:
    return str(service(place)["metadata"]["annotations"]["noria.dev/bundle"])


def is_ready(place: Place) -> bool:
    conditions = service(place).get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def replicas(place: Place) -> dict[str, Any]:
    found = read("deployment", "fashion-predictor", f"--namespace={place.spaces.serving}")
    return {"asked": found["spec"].get("replicas"), "ready": found["status"].get("readyReplicas", 0)}


def ask(place: Place) -> str:
    """The answer of the served model to its own example."""
    with forwarded(place.spaces.serving, "deployment/fashion-predictor", 8080) as address:
        done = subprocess.run(
            [sys.executable, ROOT / "helm/noria/files/ask_endpoint.py", f"fashion={address}"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def nothing_was_lost(what: str, load: Load, bundle: str) -> None:
    """Hear some more answers, end, and print the figures; all of them are of that bundle."""
    load.hear(FEWEST)
    tally = load.end()
    tell(what, tally)
    assert (tally["lost"], tally["wrong"]) == (0, 0), tally["such_as"]
    assert all(bundle.startswith(version) or version.startswith(bundle[:12]) for version in tally["versions"]), tally


@pytest.fixture(scope="module")
def beside(place: Place) -> set[tuple[str, str]]:
    """What lay in the namespace of the runs before: it stays there."""
    return place.beside_pipelines()


def test_the_manifests_are_applied_and_everything_becomes_ready(home, place, beside):
    place.bring(home)
    for each in read("deployments", f"--namespace={place.spaces.own}")["items"]:
        assert each["status"].get("availableReplicas") == 1, each["metadata"]["name"]


def test_the_server_knows_every_field_of_every_object(place):
    words = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict")
    told = kubectl(*words, "--kustomize", str(place.manifests))
    wanted = sum(
        len([each for each in yaml.safe_load_all(path.read_text()) if each["kind"] != "Kustomization"])
        for path in place.manifests.iterdir()
    )
    assert len(told.splitlines()) == wanted, told


def test_the_server_turns_away_a_pod_that_is_not_hardened(place):
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "soft", "namespace": place.spaces.serving},
        "spec": {"containers": [{"name": "soft", "image": "noria/serving:none"}]},
    }
    with pytest.raises(AssertionError, match='violates PodSecurity "restricted'):
        kubectl("create", "--dry-run=server", "--filename=-", text=json.dumps(pod))


def test_the_pipeline_trains_a_model_and_releases_it(home, kfp, place):
    end_former_runs(home, kfp)
    told = submit(home, kfp, place.spaces)
    assert told["outcome"] == "promoted", told
    assert {step["state"] for name, step in told["steps"].items() if name != "deploy"} <= {"done", "cached"}, told
    assert told["steps"]["deploy"]["state"] == "done", told
    assert is_ready(place)


def test_the_released_model_answers(place):
    assert f"version {served_bundle(place)[:12]}" in ask(place)


def test_a_pod_of_the_cluster_is_answered_through_the_service(place):
    """What `helm test` does: through KServe's Service, the DNS and the network policies."""
    found = hooks({**place.values, "predictors": {"fashion": {"minReplicas": 1, "maxReplicas": 1}}})
    name = next(each["metadata"]["name"] for each in found if each["kind"] == "Pod")
    kubectl("delete", "pod", name, f"--namespace={place.spaces.own}", "--ignore-not-found")
    kubectl("apply", "--filename=-", text=yaml.safe_dump_all(found))
    pod = ("pod", name, f"--namespace={place.spaces.own}")
    wait_until(
        lambda: read(*pod)["status"]["phase"] in ("Succeeded", "Failed"), f"{name} ends", 300,
        lambda: read(*pod)["status"],
    )  # fmt: skip
    log = kubectl("logs", name, f"--namespace={place.spaces.own}")
    assert read(*pod)["status"]["phase"] == "Succeeded", log
    assert log.startswith("fashion: label")


def test_a_repeated_run_takes_its_steps_from_the_caches_and_no_request_is_lost_meanwhile(home, kfp, place):
    before = served_bundle(place)
    with under_load(place, "fashion") as load:
        load.hear(FEWEST)
        told = submit(home, kfp, place.spaces)
        assert told["outcome"] in ("unchanged", "promoted"), told
        cached = {name: told["steps"][name]["state"] for name in REMEMBERED}
        assert cached == dict.fromkeys(REMEMBERED, "cached"), told
        assert served_bundle(place) == before
        nothing_was_lost("a run meanwhile", load, before)


def secret(name: str, place: Place) -> dict[str, str]:
    data = read("secret", name, f"--namespace={place.spaces.pipelines}")["data"]
    return {key: base64.b64decode(text).decode() for key, text in data.items()}


def keep(folder: Path, files: dict[str, str]) -> Path:
    """The folder, with these files in it, as Kubernetes mounts a Secret or a ConfigMap."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@contextmanager
def as_the_step_sees_it(folder: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A workspace with the settings, keys and objects of the cluster's own step `deploy`."""
    from noria.steps.workspace import Workspace

    where = f"--namespace={place.spaces.pipelines}"
    settings = read("configmap", "noria-settings", where)["data"]
    trusted = read("configmap", "noria-trusted-keys", where)["data"]
    places = {
        "NORIA_HOME": folder,
        "NORIA_SIGNING_KEY": keep(folder / "signing", secret("noria-signing", place)) / "signing.pem",
        "NORIA_TRUSTED_KEYS": keep(folder / "trusted", trusted),
        "NORIA_OBJECTS_KEYS": keep(folder / "store", secret("noria-s3", place)),
        "NORIA_SERVING_SECONDS": BAD_SECONDS,
    }
    with forwarded(place.spaces.own, "service/noria-seaweedfs", 8333) as endpoint:
        set_up(folder, monkeypatch)
        for name, value in {**settings, **places, "NORIA_OBJECTS_ENDPOINT": endpoint}.items():
            monkeypatch.setenv(name, str(value))
        yield Workspace.from_environment()


def publish_altered(settings: Any, bundle: str) -> str:
    """Put a copy of the bundle beside it in which one byte of the model is another; returns its name."""
    from botocore.config import Config

    from noria.stores.s3_access import make_client

    bucket, _, prefix = settings.objects.removeprefix("s3://").partition("/")
    name = "bad0" * 16
    client = make_client(settings.access, bucket, Config())
    for found in client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/bundles/{bundle}/")["Contents"]:
        body = client.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()
        if found["Key"].endswith("/model.onnx"):
            body = body[:-1] + bytes([body[-1] ^ 1])
        client.put_object(Bucket=bucket, Key=found["Key"].replace(bundle, name), Body=body)
    return name


def test_a_bad_bundle_is_put_back_and_no_request_is_lost_meanwhile(tmp_path, place, monkeypatch):
    from cluster.stage import stage_of
    from noria.errors import ReleaseError
    from noria.steps.release import Claim, release

    champion = served_bundle(place)
    with under_load(place, "fashion") as load, as_the_step_sees_it(tmp_path, place, monkeypatch) as workspace:
        load.hear(FEWEST)
        bad = publish_altered(workspace.settings, champion)
        ledger = workspace.ledger("fashion", writable=True)
        claim = Claim(
            bundle=bad, plan="", basis=ledger.basis(), evidence="", reason="a test", actor="tests/cluster", code="test"
        )
        stage = stage_of(workspace, lambda *_: None)
        with pytest.raises(ReleaseError, match=r"(?s)d(oes|id) not come up.*serves again"):
            release(stage, ledger, "fashion", claim, attempt=lambda _: None)
        assert ledger.entries()[-1].kind == "put-back"
        assert ledger.champion().bundle == champion
        wait_until(
            lambda: served_bundle(place) == champion and is_ready(place), "the champion serves again", SERVE_SECONDS,
            lambda: service(place).get("status"),
        )  # fmt: skip
        nothing_was_lost("a bad bundle, and the champion put back", load, champion)
    assert f"version {champion[:12]}" in ask(place)


def test_load_raises_replicas_and_idleness_lowers_them(place):
    try:
        kubectl("get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes")
    except AssertionError:
        pytest.skip("no metrics-server in this cluster, by which Kubernetes scales: nothing raises replicas here")
    champion, where = served_bundle(place), f"--namespace={place.spaces.serving}"
    # As in a cluster whose values say hpa from the start; what applies the object next takes it back.
    words = ("serving.kserve.io/autoscalerClass=external", "--overwrite", where)
    kubectl("annotate", "inferenceservice", "fashion", *words)
    kubectl("apply", "--filename=-", text=yaml.safe_dump(scaler(place)))
    with under_load(place, "fashion", rate=0, clients=8) as load:
        wait_until(
            lambda: replicas(place)["ready"] == 2, "load has raised replicas", SCALE_SECONDS, lambda: seen(place)
        )
        nothing_was_lost("one replica, then two", load, champion)
    wait_until(
        lambda: replicas(place) == {"asked": 1, "ready": 1}, "idleness has lowered them", SCALE_SECONDS,
        lambda: seen(place),
    )  # fmt: skip
    kubectl("delete", "hpa", "noria-fashion", where)


def scaler(place: Place) -> dict[str, Any]:
    """The chart's HorizontalPodAutoscaler, which here waits a minute, and not five, before it lowers replicas."""
    scaled = {"autoscaling": {"kind": "hpa"}, "predictors": {"fashion": {"minReplicas": 1, "maxReplicas": 2}}}
    found = [each for objects in render({**place.values, **scaled}).values() for each in objects]
    (made,) = (each for each in found if each["kind"] == "HorizontalPodAutoscaler")
    return {**made, "spec": {**made["spec"], "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}}}


def seen(place: Place) -> str:
    where = f"--namespace={place.spaces.serving}"
    return f"{replicas(place)}\n{kubectl('describe', 'hpa', 'noria-fashion', where)}"


def test_all_of_it_is_taken_away_again(home, place, beside):
    place.take_away(home)
    assert kubectl("get", "clusterstoragecontainer", "noria", "--ignore-not-found") == ""
    pipelines = place.spaces.pipelines
    left = place.beside_pipelines() - beside
    # `make undeploy` leaves keys there, of which there may be no copy; those of these tests open nothing any more.
    assert {name for _, name in left} <= {"noria-s3", "noria-signing", "noria-trusted-keys"}
    for kind, name in sorted(left):
        kubectl("delete", kind, name, f"--namespace={pipelines}")
    assert place.beside_pipelines() == beside
