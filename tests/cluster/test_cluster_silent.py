"""Where no cluster answers, the tests on one say so in a line, and of nothing else that would be there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cluster_place import ROOT

CONFIG = """apiVersion: v1
kind: Config
current-context: dead
contexts: [{name: dead, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
"""


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (CONFIG, "no cluster answers at https://127.0.0.1:1 (context dead, KUBECONFIG {path})"),
        ("", "{path}, which is not there"),
    ],
    ids=["dead", "lost"],
)
def test_a_cluster_that_does_not_answer_is_one_clear_line(tmp_path: Path, config: str, said: str) -> None:
    path = tmp_path / "kubeconfig"
    if config:
        path.write_text(config)
    words = ("-m", "pytest", "tests/cluster/test_on_a_cluster.py", "-q", "-rs", "-p", "no:cacheprovider")
    given = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env={**given, "KUBECONFIG": str(path)}, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    told = [line for line in done.stdout.splitlines() if said.format(path=path) in line]
    assert len(told) == 1, done.stdout
    assert "`kubectl get nodes` reaches" in told[0]
    assert "nothing was put anywhere" in done.stdout
    for word in ("Traceback", "AssertionError", "left as it is", "make undeploy", "the cluster at that moment"):
        assert word not in done.stdout, done.stdout
