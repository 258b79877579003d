"""make cluster, deploy and undeploy: what they ask of kubectl, in which order, and what they say when they cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rendered import ROOT

# It notes what it is told; a cluster that takes all of it cannot be had here.
KUBECTL = """#!/bin/sh
echo "$*" >> "$NOTES"
case "$*" in
  "get crd ${MISSING:-none}") exit 1;;
  "get deployments"*) echo deployment.apps/noria-redis;;
  create*|*" -") cat > /dev/null;;
esac
"""


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


def test_deploy_says_what_the_cluster_lacks(path, tmp_path):
    missing = "workflows.argoproj.io"
    done, told = script("deploy", "dev", path=path, tmp_path=tmp_path, MISSING=missing)
    assert done.returncode == 1
    assert f"the cluster has no {missing}" in done.stderr
    assert not any(line.startswith(("apply", "create")) for line in told)


def test_undeploy_takes_the_predictors_down_before_their_runtime(path, tmp_path):
    done, told = script("undeploy", "dev", path=path, tmp_path=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line.split()[:2] for line in told] == [["delete", "inferenceservices"], ["delete", "--kustomize"]]
    assert "app.kubernetes.io/managed-by=noria" in told[0]


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


@pytest.mark.parametrize("name", ["make-cluster", "deploy", "undeploy"])
def test_a_script_is_whole(name):
    subprocess.run(["bash", "-n", ROOT / "helm" / name], check=True)
