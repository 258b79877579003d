"""Kubectl: the command, asked for one cluster; what it says when it fails becomes one line."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from noria.errors import ClusterError

Data = dict[str, str]
_KLOG = re.compile(r"[IWEF]\d{4} ")  # the beginning of a line for kubectl's own authors


class Kubectl:
    """The cluster that kubectl is set up for, or the one of a context."""

    def __init__(self, context: str = "") -> None:
        found = shutil.which("kubectl") or str(Path(sys.executable).with_name("kubectl"))
        self.command = (found, *([f"--context={context}"] if context else ()))

    def read(self, kind: str, name: str, namespace: str) -> Data | None:
        """The data of a Secret or ConfigMap as text; None where there is none."""
        found = self.find(kind, name, namespace)
        if found is None:
            return None
        data: Data = found.get("data") or {}
        return {key: _decoded(value) for key, value in data.items()} if kind == "Secret" else data

    def find(self, kind: str, name: str, namespace: str) -> dict[str, Any] | None:
        """An object as it is; None where there is none."""
        text = self.run(["get", kind, name, f"--namespace={namespace}", "--ignore-not-found", "--output=json"])
        found: dict[str, Any] | None = json.loads(text) if text.strip() else None
        return found

    def create(self, kind: str, name: str, namespace: str, data: Data) -> None:
        """Make a Secret or ConfigMap that is not there."""
        content = "stringData" if kind == "Secret" else "data"
        meta = {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/part-of": "noria"}}
        # By standard input: no list of processes, and no file, shows what it holds.
        self.run(["create", "--filename=-"], json.dumps(_object(kind, meta) | {content: data}))

    def run(self, words: Sequence[str], text: str = "") -> str:
        """What it prints; ClusterError where it fails."""
        done = self.ask(words, text)
        if done.returncode:
            raise ClusterError(
                f"kubectl {words[0]} failed ({told(done.stderr)}): expected a cluster that `kubectl get nodes` "
                "reaches, with Kubeflow Pipelines, and the namespaces of manifests/<environment>"
            )
        return done.stdout

    def ask(self, words: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str]:
        """How it ends; ClusterError where there is no such command."""
        try:
            return subprocess.run(
                [*self.command, *words], input=text, capture_output=True, text=True, check=False
            )  # fmt: skip
        except OSError as error:
            raise ClusterError(f"no kubectl ({error}): install it, or run `make setup`, which brings one") from error


def told(stderr: str) -> str:
    """What kubectl says to people, on one line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and not _KLOG.match(line)]
    return " ".join(lines) or stderr.strip()[-300:] or "it does not say why"


def _object(kind: str, meta: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": dict(meta)}


def _decoded(value: str) -> str:
    return base64.b64decode(value).decode()
