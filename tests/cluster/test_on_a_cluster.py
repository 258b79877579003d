"""The whole way on a real cluster, in order: manifests, a run, a prediction, caches, a bad bundle, and the end of it.

One node of two cores and 16 GB is enough. The images have to be there already: `make images images-load`.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from kube import KUBECTL, forwarded, kubectl, read, wait_until

from helm.render import HOOK, render, values_of

pytestmark = [pytest.mark.timeout(3600), pytest.mark.xdist_group("cluster")]
ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests" / "dev"
# Twelve of the seventy days, which pass the gates after three epochs.
WINDOW = {
    "start": "2017-09-01",
    "end": "2017-09-13",
    "validation_days": 2,
    "holdout_days": 3,
    "epochs": 3,
    "threads": 1,
}
REMEMBERED = ("ingest", "features", "validate", "train")
RUN_SECONDS = 2700


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noria's home on this machine, with the key that the cluster comes to sign with."""
    return tmp_path_factory.mktemp("home")


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NORIA_", "AWS_"))}
    path = f"{Path(KUBECTL).parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "BIN": str(Path(sys.executable).parent), "NORIA_HOME": str(home), **more}


def run(*words: str | Path, home: Path, seconds: float, **more: str) -> str:
    """Run a program of the project in its root; an assertion with what it said where it fails."""
    done = subprocess.run(
        list(map(str, words)), cwd=ROOT, env=environment(home, **more), capture_output=True, text=True,
        timeout=seconds, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (
        f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stderr}{done.stdout}"
    )
    return done.stdout


def submit(home: Path, kfp: str) -> dict[str, Any]:
    noria = Path(sys.executable).with_name("noria")
    given = [word for name, value in WINDOW.items() for word in ("--param", f"{name}={value}")]
    words = (noria, "submit", "--task", "fashion", *given, "--wait", "--json")
    told: dict[str, Any] = json.loads(run(*words, home=home, seconds=RUN_SECONDS, NORIA_KFP=kfp))
    return told


def service() -> dict[str, Any]:
    found: dict[str, Any] = read("inferenceservice", "fashion", "--namespace=noria-serving")
    return found


def served_bundle() -> str:
    return str(service()["metadata"]["annotations"]["noria.dev/bundle"])


def is_ready() -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in service()["status"]["conditions"])


def ask() -> str:
    """The answer of the served model to its own example."""
    with forwarded("noria-serving", "deployment/fashion-predictor", 8080) as address:
        done = subprocess.run(
            [sys.executable, ROOT / "helm/noria/files/ask_endpoint.py", f"fashion={address}"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_manifests_are_applied_and_everything_becomes_ready(home):
    run(ROOT / "helm" / "deploy", "dev", home=home, seconds=900)
    for each in read("deployments", "--namespace=noria")["items"]:
        assert each["status"].get("availableReplicas") == 1, each["metadata"]["name"]


def test_the_server_knows_every_field_of_every_object():
    words = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict")
    told = kubectl(*words, "--kustomize", str(MANIFESTS))
    wanted = sum(
        len([each for each in yaml.safe_load_all(path.read_text()) if each["kind"] != "Kustomization"])
        for path in MANIFESTS.iterdir()
    )
    assert len(told.splitlines()) == wanted, told


def test_the_server_turns_away_a_pod_that_is_not_hardened():
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "soft", "namespace": "noria-serving"},
        "spec": {"containers": [{"name": "soft", "image": "noria/serving:none"}]},
    }
    with pytest.raises(AssertionError, match='violates PodSecurity "restricted'):
        kubectl("create", "--dry-run=server", "--filename=-", text=json.dumps(pod))


def test_the_pipeline_trains_a_model_and_releases_it(home, kfp):
    told = submit(home, kfp)
    assert told["outcome"] == "promoted", told
    assert {step["state"] for name, step in told["steps"].items() if name != "deploy"} <= {"done", "cached"}, told
    assert told["steps"]["deploy"]["state"] == "done", told
    assert is_ready()


def test_the_released_model_answers():
    assert f"version {served_bundle()[:12]}" in ask()


def test_a_pod_of_the_cluster_is_answered_through_the_service():
    """What `helm test` does: through KServe's Service, the DNS and the network policies."""
    values = {**values_of("dev"), "predictors": {"fashion": {"minReplicas": 1, "maxReplicas": 1}}}
    found = [each for objects in render(values).values() for each in objects]
    hooks = [each for each in found if HOOK in each["metadata"].get("annotations", {})]
    name = next(each["metadata"]["name"] for each in hooks if each["kind"] == "Pod")
    kubectl("delete", "pod", name, "--namespace=noria", "--ignore-not-found")
    kubectl("apply", "--filename=-", text=yaml.safe_dump_all(hooks))
    pod = ("pod", name, "--namespace=noria")
    wait_until(lambda: read(*pod)["status"]["phase"] in ("Succeeded", "Failed"), f"{name} ends", 180)
    log = kubectl("logs", name, "--namespace=noria")
    assert read(*pod)["status"]["phase"] == "Succeeded", log
    assert log.startswith("fashion: label")


def test_a_repeated_run_takes_its_steps_from_the_caches(home, kfp):
    before = served_bundle()
    told = submit(home, kfp)
    assert told["outcome"] in ("unchanged", "promoted"), told
    assert {name: told["steps"][name]["state"] for name in REMEMBERED} == dict.fromkeys(REMEMBERED, "cached"), told
    assert served_bundle() == before


def secret(name: str) -> dict[str, str]:
    data = read("secret", name, "--namespace=kubeflow")["data"]
    return {key: base64.b64decode(text).decode() for key, text in data.items()}


@contextmanager
def as_the_step_sees_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A workspace with the settings, keys and objects of the cluster's own step `deploy`."""
    from noria.steps.workspace import Workspace

    settings = read("configmap", "noria-settings", "--namespace=kubeflow")["data"]
    private = home / "keys" / "signing.pem"
    private.parent.mkdir(exist_ok=True)
    private.write_text(secret("noria-signing")["signing.pem"])
    trusted = home / "trusted"
    trusted.mkdir(exist_ok=True)
    for name, text in read("configmap", "noria-trusted-keys", "--namespace=kubeflow")["data"].items():
        (trusted / name).write_text(text)
    places = {"NORIA_HOME": home, "NORIA_SIGNING_KEY": private, "NORIA_TRUSTED_KEYS": trusted}
    with forwarded("noria", "service/noria-seaweedfs", 8333) as endpoint:
        for name, value in {**settings, **places, **secret("noria-s3"), "AWS_ENDPOINT_URL": endpoint}.items():
            monkeypatch.setenv(name, str(value))
        yield Workspace.from_environment()


def publish_altered(objects: str, bundle: str) -> str:
    """Put a copy of the bundle beside it in which one byte of the model is another; returns its name."""
    import boto3

    bucket, _, prefix = objects.removeprefix("s3://").partition("/")
    name = "bad0" * 16
    client = boto3.session.Session().client("s3")
    for found in client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/bundles/{bundle}/")["Contents"]:
        body = client.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()
        if found["Key"].endswith("/model.onnx"):
            body = body[:-1] + bytes([body[-1] ^ 1])
        client.put_object(Bucket=bucket, Key=found["Key"].replace(bundle, name), Body=body)
    return name


def test_a_bad_bundle_is_put_back_and_the_ledger_says_so(home, monkeypatch):
    from cluster.stage import stage_of
    from noria.errors import ReleaseError
    from noria.steps.release import Claim, release

    champion = served_bundle()
    with as_the_step_sees_it(home, monkeypatch) as workspace:
        bad = publish_altered(workspace.settings.objects, champion)
        ledger = workspace.ledger("fashion", writable=True)
        claim = Claim(
            bundle=bad, plan="", basis=ledger.basis(), evidence="", reason="a test", actor="tests/cluster", code="test"
        )
        stage = stage_of(workspace, lambda *_: None)
        with pytest.raises(ReleaseError, match=r"(?s)does not come up.*serves again"):
            release(stage, ledger, "fashion", claim, attempt=lambda _: None)
        assert ledger.entries()[-1].kind == "put-back"
        assert ledger.champion().bundle == champion
    wait_until(lambda: served_bundle() == champion and is_ready(), "the champion serves again", 300)
    assert f"version {champion[:12]}" in ask()


def test_all_of_it_is_taken_away_again(home):
    run(ROOT / "helm" / "undeploy", "dev", home=home, seconds=900)
    gone = {"noria", "noria-serving"}
    wait_until(
        lambda: not gone & {each["metadata"]["name"] for each in read("namespaces")["items"]}, "they are gone", 300
    )
    assert kubectl("get", "clusterstoragecontainer", "noria", "--ignore-not-found") == ""
    assert kubectl("get", "configmap", "noria-settings", "--namespace=kubeflow", "--ignore-not-found") == ""
