"""The predictor that the ServingRuntime starts: its command line, its probes, and the question of `helm test`."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rendered import CASES, CHART, ROOT, Pod, of_kind, pods, predictor_pod, settings
from test_chart_references import BROUGHT

from noria.stores.opening import open_store
from serving.options import parse_options

pytestmark = pytest.mark.xdist_group("chart-predictor")  # who share one
ASK = CHART / "files" / "ask_endpoint.py"


def arguments(case: str) -> list[str]:
    found: list[str] = of_kind(case, "ServingRuntime")[0]["spec"]["containers"][0]["args"]
    return [each.replace("{{.Name}}", "fashion") for each in found]


@pytest.mark.parametrize("case", CASES)
def test_the_predictor_takes_the_arguments(case, monkeypatch, tmp_path):
    options = parse_options(arguments(case))
    assert (options.name, options.host, options.bundle) == ("fashion", "0.0.0.0", Path("/mnt/models"))
    assert options.admin_port is None
    assert options.online is not None
    ports = predictor_pod(case).spec["containers"][0]["ports"]
    assert [each["containerPort"] for each in ports] == [options.port, options.grpc_port]


@pytest.mark.parametrize("case", CASES)
def test_every_path_in_an_argument_is_mounted(case):
    pod = predictor_pod(case)
    for container in pod.containers:
        mounts = [each["mountPath"] for each in container["volumeMounts"]]
        said = [each.partition("=")[2] for each in container.get("args", ())]
        said += [each["value"] for each in container.get("env", ()) if "value" in each]
        for path in (each for each in said if each.startswith("/")):
            assert any(path == mount or path.startswith(f"{mount}/") for mount in mounts), path


def test_the_storage_container_brings_the_bundle_that_a_release_names(signed_bundle, s3_address, tmp_path):
    """Its own command and environment, with KServe's arguments, and the places of a pod below a folder."""
    bundle, home = signed_bundle
    data = {
        **settings("dev", "noria-serving"),
        "NORIA_OBJECTS": s3_address,
        "NORIA_OBJECTS_ENDPOINT": os.environ["AWS_ENDPOINT_URL"],
    }
    keys = Path(data["NORIA_OBJECTS_KEYS"])
    data["NORIA_OBJECTS_KEYS"] = str(tmp_path / "store")
    digest = hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()
    open_store(s3_address).put_folder(f"bundles/{digest}", bundle)
    container = of_kind("dev", "ClusterStorageContainer")[0]["spec"]["container"]
    assert [each["configMapRef"]["name"] for each in container["envFrom"]] == ["noria-settings"]
    assert str(keys) in [each["mountPath"] for each in container["volumeMounts"]]
    for name in BROUGHT["noria-serving", "Secret", "noria-s3"]:
        (tmp_path / "store").mkdir(exist_ok=True)
        (tmp_path / "store" / name).write_text("any")
    places = {"/tmp/noria": str(tmp_path / "noria"), "/var/run/noria/trusted": str(home / "keys" / "trusted")}
    said = {each["name"]: places[each["value"]] for each in container["env"]}
    python, *words = container["command"]
    assert python == "python"
    models = tmp_path / "models"
    models.mkdir()
    done = subprocess.run(
        [sys.executable, *words, f"{s3_address}/bundles/{digest}", str(models)],
        cwd=ROOT, env={"PATH": os.environ["PATH"], **data, **said}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {path.name for path in models.iterdir()} == {path.name for path in bundle.iterdir()}


def test_the_probes_ask_addresses_that_answer(running):
    container = of_kind("dev", "ServingRuntime")[0]["spec"]["containers"][0]
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        path = container[name]["httpGet"]["path"].replace("{{.Name}}", "airline")
        assert running.client.get(path).status_code == 200, path


def test_prometheus_is_led_to_the_metrics(running):
    said = of_kind("dev", "ServingRuntime")[0]["spec"]["annotations"]
    assert said["prometheus.io/port"] == "8080"
    assert "noria_requests_total" in running.client.get(said["prometheus.io/path"]).text


def ask(*named: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, ASK, *named], check=False, capture_output=True, text=True, timeout=60)


def test_the_question_of_helm_test_is_answered(running):
    done = ask(f"airline=http://127.0.0.1:{running.port}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("airline: label [")


def test_helm_test_fails_and_says_why_when_nobody_answers(running, unused_port):
    done = ask(f"airline=http://127.0.0.1:{running.port}", f"gone=http://127.0.0.1:{unused_port}")
    assert done.returncode == 1
    assert "gone: no prediction from http://127.0.0.1" in done.stderr
    assert "airline: label" in done.stdout


def test_helm_test_fails_when_another_model_answers(running):
    done = ask(f"fashion=http://127.0.0.1:{running.port}")
    assert done.returncode == 1
    assert "fashion: no prediction" in done.stderr


@pytest.mark.parametrize("case", CASES)
def test_helm_test_asks_every_task_that_is_served(case):
    pod = next(pod for pod in pods(case) if pod.labels.get("app.kubernetes.io/component") == "test")
    asked = pod.spec["containers"][0]["args"]
    assert asked == [f"{task}=http://{task}-predictor.noria-serving" for task in ("fashion", "flights")]
    files = next(each for each in of_kind(case, "ConfigMap") if each["metadata"]["name"] == "noria-questions")["data"]
    assert files == {"ask_endpoint.py": ASK.read_text()}
    assert script_of(pod) == "/questions/ask_endpoint.py"


def script_of(pod: Pod) -> Any:
    return pod.spec["containers"][0]["command"][1]


def test_the_jobs_run_commands_that_there_are():
    jobs = [
        pod for case in CASES for pod in pods(case) if pod.labels.get("app.kubernetes.io/component") == "materialize"
    ]
    commands = {tuple(each["command"]) for pod in jobs for each in pod.containers}
    assert {command[:-3] for command in commands if command[0] == "noria"} == {("noria", "materialize")}
    assert {command[:4] for command in commands if command[0] == "python"} == {
        ("python", "-m", "feature_repo", "apply")
    }
    for command in commands:
        verb = command[: 2 if command[0] == "noria" else 4]
        programs = {"noria": str(Path(sys.executable).with_name("noria")), "python": sys.executable}
        done = subprocess.run(
            [programs[verb[0]], *verb[1:], "--help"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        options = [word for word in command[len(verb) :] if word.startswith("--")]
        assert options
        assert [option for option in options if option not in done.stdout] == []


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
    return port
