"""make cluster, deploy and undeploy: what they ask of kubectl, in which order, and what they say when they cannot."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rendered import ROOT

from pipelines import placement

# It notes what it is told; a cluster that takes all of it cannot be had here.
KUBECTL = """#!/bin/sh
echo "$*" >> "$NOTES"
case "$*" in
  "get crd ${MISSING:-none}") exit 1;;
  "get deployments"*) echo deployment.apps/noria-redis;;
  "get scheduledworkflows"*) [ "${SCHEDULES:-}" != none ] || exit 1; for each in ${SCHEDULES:-}; do echo "$each"; done;;
  "get storageclasses"*) echo "$CLASSES"; exit "${NO_RIGHT:-0}";;
  "apply --server-side --kustomize "*)
    for last in "$@"; do :; done; cat "$last"/*.yaml > "$CONFIG.applied";;
  "get configmap inferenceservice-config"*) cat "$CONFIG";;
  "wait"*"--timeout 1s") exit "${IS_UP:-1}";;
  "patch configmap inferenceservice-config"*) cat > "$CONFIG.patch";;
  create*|*" -") cat > /dev/null;;
esac
"""


# What `make secrets` puts where Kubeflow Pipelines is, and no manifest holds.
BESIDE_KUBEFLOW = {
    ("Secret", placement.STORE_SECRET), ("Secret", placement.SIGNING_SECRET), ("ConfigMap", placement.TRUSTED_KEYS),
}  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH on which kubectl is the one above."""
    command = tmp_path / "kubectl"
    command.write_text(KUBECTL)
    command.chmod(0o755)
    return f"{tmp_path}{os.pathsep}{os.environ['PATH']}"


def script(
    name: str, *words: str, path: str, tmp_path: Path, **more: str
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    notes = tmp_path / "notes"
    notes.touch()
    kept = {key: value for key, value in os.environ.items() if not key.startswith("NORIA_")}
    places = {
        "PATH": path,
        "NOTES": str(notes),
        "CONFIG": str(tmp_path / "config"),
        "CLASSES": '{"storageclass.kubernetes.io/is-default-class":"true"} {"other":"true"}',
        "TMPDIR": str(tmp_path),
        "NORIA_HOME": str(tmp_path / "home"),
        "BIN": str(Path(sys.executable).parent),
    }
    done = subprocess.run(
        [ROOT / "helm" / name, *words],
        cwd=ROOT,
        env={**kept, **places, **more},
        capture_output=True,
        text=True,
        check=False,
    )
    return done, notes.read_text().splitlines()


def test_deploy_makes_namespaces_then_secrets_then_the_rest_and_waits(path, tmp_path):
    done, told = script("deploy", "dev", path=path, tmp_path=tmp_path)
    assert done.returncode == 0, done.stderr
    order = [
        next(number for number, line in enumerate(told) if line.startswith(start))
        for start in (
            "get crd inferenceservices.serving.kserve.io",
            "apply --server-side --filename manifests/dev/namespaces.yaml",
            "create --filename=-",
            "apply --server-side --kustomize manifests/dev",
            "rollout status --namespace noria --timeout 300s deployment.apps/noria-redis",
        )
    ]
    assert order == sorted(order)
    assert done.stdout.count("made Secret") == 7


@pytest.mark.parametrize(
    "classes", ["", '{"storageclass.kubernetes.io/is-default-class":"false"}'], ids=["none", "no default"]
)
def test_a_cluster_that_makes_no_volumes_gets_dev_all_the_same_and_is_told_so(path, tmp_path, classes):
    done, told = script("deploy", "dev", path=path, tmp_path=tmp_path, CLASSES=classes)
    assert done.returncode == 0, done.stderr
    applied = (tmp_path / "config.applied").read_text()
    assert "kind: PersistentVolumeClaim" not in applied
    assert "name: noria-seaweedfs" in applied
    assert "the cluster has no default storage class" in done.stderr
    folder = next(line for line in told if "--kustomize" in line).rpartition(" ")[2]
    assert not Path(folder).exists()  # it was made for this once


@pytest.mark.parametrize("more", [{}, {"CLASSES": "", "NO_RIGHT": "1"}], ids=["a default", "nobody may look"])
def test_else_dev_has_volumes(path, tmp_path, more):
    done, told = script("deploy", "dev", path=path, tmp_path=tmp_path, **more)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "config.applied").read_text().count("kind: PersistentVolumeClaim") == 3
    assert "storage class" not in done.stderr
    assert "apply --server-side --kustomize manifests/dev" in told


def test_deploy_says_what_the_cluster_lacks(path, tmp_path):
    missing = "workflows.argoproj.io"
    done, told = script("deploy", "dev", path=path, tmp_path=tmp_path, MISSING=missing)
    assert done.returncode == 1
    assert f"the cluster has no {missing}" in done.stderr
    assert not any(line.startswith(("apply", "create")) for line in told)


def test_undeploy_takes_the_predictors_down_before_their_runtime(path, tmp_path):
    done, told = script("undeploy", "dev", path=path, tmp_path=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line.split()[:2] for line in told] == [
        ["get", "scheduledworkflows.kubeflow.org"], ["delete", "inferenceservices"], ["delete", "--kustomize"],
    ]  # fmt: skip
    assert "app.kubernetes.io/managed-by=noria" in told[1]


def test_undeploy_says_what_stays_and_how_it_goes(path, tmp_path):
    done, _ = script("undeploy", "dev", path=path, tmp_path=tmp_path, SCHEDULES="a b")
    for kind, name in BESIDE_KUBEFLOW:
        assert re.search(rf"{kind}s? [^;]*\b{name}\b", done.stdout), name
    assert "make undeploy ENV=dev ALL=1" in done.stdout
    assert "2 schedules: each of Noria's goes on, and fails each time" in done.stdout
    assert "noria schedule delete ID" in done.stdout
    assert "kind delete cluster --name noria" in done.stdout


@pytest.mark.parametrize("schedules", ["", "none"])
def test_undeploy_needs_no_schedules_and_no_kubeflow_pipelines(path, tmp_path, schedules):
    done, told = script("undeploy", "dev", path=path, tmp_path=tmp_path, SCHEDULES=schedules)
    assert done.returncode == 0, done.stderr
    assert "schedules" not in done.stdout
    assert told[-1].startswith("delete --kustomize")


def test_undeploy_of_all_takes_the_keys_beside_kubeflow_pipelines_too(path, tmp_path):
    done, told = script("undeploy", "dev", path=path, tmp_path=tmp_path, ALL="1")
    assert done.returncode == 0, done.stderr
    gone = {
        (kind, name)
        for line in told[3:]
        for kind in ("Secret", "ConfigMap")
        if line.startswith(f"delete {kind.lower()} ") and "--namespace kubeflow" in line
        for name in line.split()
        if name.startswith("noria-")
    }
    assert gone == BESIDE_KUBEFLOW
    assert "ALL=1" not in done.stdout


@pytest.mark.parametrize(
    ("name", "environment", "code", "words"),
    [
        ("deploy", "prod", 1, "names images by digests that no image has"),
        ("deploy", "staging", 2, "ENV is one of dev prod qa"),
        ("undeploy", "staging", 2, "ENV is one of dev prod qa"),
    ],
)
def test_what_cannot_become_ready_is_refused_before_the_cluster_is_asked(
    name, environment, code, words, path, tmp_path
):
    done, told = script(name, environment, path=path, tmp_path=tmp_path)
    assert done.returncode == code
    assert words in done.stderr
    assert told == []


def test_make_cluster_says_what_is_not_installed(tmp_path):
    (tmp_path / "bash").symlink_to("/usr/bin/bash")
    done, _ = script("make-cluster", path=str(tmp_path), tmp_path=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("make cluster: no kubectl here: install it")


# As KServe 0.20 brings it along, shortened.
CONFIG = {
    "deploy": '{"defaultDeploymentMode": "Serverless"}',
    "ingress": '{"ingressGateway": "knative-serving/knative-ingress-gateway", "disableIngressCreation": false}',
    "storageInitializer": "{}",
}


def make_cluster(path: str, tmp_path: Path, **more: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    (tmp_path / "config").write_text(json.dumps({"data": CONFIG}))
    return script("make-cluster", "here", path=path, tmp_path=tmp_path, **more)


def test_make_cluster_installs_what_the_cluster_lacks_in_an_order_that_works(path, tmp_path):
    done, told = make_cluster(path, tmp_path)
    assert done.returncode == 0, done.stderr
    order = [
        next(number for number, line in enumerate(told) if line.startswith("apply") and line.endswith(end))
        for end in (
            "/cert-manager/releases/download/v1.21.2/cert-manager.yaml",
            "/kserve/releases/download/v0.20.0/kserve-crds.yaml",
            "/kserve/releases/download/v0.20.0/kserve.yaml",
            "/manifests/kustomize/cluster-scoped-resources?ref=2.17.0",
            "/manifests/kustomize/env/platform-agnostic?ref=2.17.0",
        )
    ]
    assert order == sorted(order)
    after = told[order[2] :]
    restarted = next(n for n, line in enumerate(after) if line.startswith("rollout restart --namespace kserve"))
    assert any(line.startswith("patch configmap inferenceservice-config") for line in after[:restarted])
    assert any("llmisvc-controller-manager" in line and line.startswith("delete") for line in after[:restarted])


def test_make_cluster_changes_two_words_of_kserves_settings_and_keeps_all_others(path, tmp_path):
    make_cluster(path, tmp_path)
    changed = json.loads((tmp_path / "config.patch").read_text())["data"]
    assert json.loads(changed["deploy"]) == {"defaultDeploymentMode": "Standard"}
    assert json.loads(changed["ingress"]) == {
        "ingressGateway": "knative-serving/knative-ingress-gateway",
        "disableIngressCreation": True,
    }
    assert set(changed) == {"deploy", "ingress"}


def test_make_cluster_leaves_alone_what_is_there_and_works(path, tmp_path):
    done, told = make_cluster(path, tmp_path, IS_UP="0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is there already") == 3
    assert not any(line.startswith(("apply", "delete", "patch", "rollout", "create")) for line in told)


@pytest.mark.parametrize("name", ["make-cluster", "deploy", "undeploy"])
def test_a_script_is_whole(name):
    subprocess.run(["bash", "-n", ROOT / "helm" / name], check=True)
