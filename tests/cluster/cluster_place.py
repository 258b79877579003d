"""Place: where on the cluster the tests put things, and how they bring them there and take them away again.

The settings NORIA_KFP_NAMESPACE, NORIA_KFP_SERVICE_ACCOUNT and NORIA_SERVING_NAMESPACE say where, as they do for
`noria`. Unless they say something else than the environment dev, the project's own scripts do the work.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kube import KUBECTL, kubectl, read, wait_until

from helm.credentials import Kubectl, supply
from helm.render import CHART, HOOK, MANIFESTS, NAMESPACE, manifests, render, values_of, without_volumes

ROOT = Path(__file__).parents[2]
KEPT = ("NORIA_KFP", "NORIA_IMAGE")  # of this project's settings: what says where the cluster is
MARK = "noria.dev/tests"  # a label of the namespaces that these tests made, and may take away
PIPELINES, SERVING, ACCOUNT = "kubeflow", "noria-serving", "pipeline-runner"
GONE_SECONDS = 600
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
OBJECT = tuple[str, str]  # kind and name


@dataclass(frozen=True, kw_only=True)
class Spaces:
    """The namespaces: of the runs, of the InferenceServices, and the release's own."""

    pipelines: str
    serving: str
    own: str = NAMESPACE

    @classmethod
    def named(cls, environment: Mapping[str, str] = os.environ) -> Spaces:
        return cls(
            pipelines=environment.get("NORIA_KFP_NAMESPACE") or PIPELINES,
            serving=environment.get("NORIA_SERVING_NAMESPACE") or SERVING,
        )

    @property
    def ours(self) -> tuple[str, str]:
        return self.own, self.serving


@dataclass(frozen=True, kw_only=True)
class Place:
    """`values` are the chart's, `manifests` the folder of what it makes of them, `usual` whether that is dev's own."""

    spaces: Spaces
    values: dict[str, Any]
    manifests: Path
    usual: bool

    @classmethod
    def named(cls, folder: Path, environment: Mapping[str, str] = os.environ) -> Place:
        """The one that the settings name; rendered into the folder where that is not dev's own."""
        spaces = Spaces.named(environment)
        account = environment.get("NORIA_KFP_SERVICE_ACCOUNT") or ACCOUNT
        values = values_of("dev")
        if (spaces.pipelines, spaces.serving, account) == (PIPELINES, SERVING, ACCOUNT):
            return cls(spaces=spaces, values=values, manifests=MANIFESTS / "dev", usual=True)
        values["namespaces"] |= {"pipelines": spaces.pipelines, "serving": spaces.serving}
        values["pipelines"] = {**values.get("pipelines", {}), "serviceAccount": account}
        _write(values, folder)
        return cls(spaces=spaces, values=values, manifests=folder, usual=False)

    def bring(self, home: Path) -> None:
        """Apply it all and wait until it is there."""
        if self.usual:
            run(ROOT / "helm" / "deploy", "dev", home=home, seconds=1200)
        else:
            if not _makes_volumes():
                _write(without_volumes(self.values), self.manifests)
            kubectl("apply", "--server-side", "--filename", str(self.manifests / "namespaces.yaml"))
            with pytest.MonkeyPatch.context() as patch:
                set_up(home, patch)
                assert supply(Kubectl(), self._merged()) == 0
            kubectl("apply", "--server-side", "--kustomize", str(self.manifests))
            for each in kubectl("get", "deployments", f"--namespace={self.spaces.own}", "--output=name").split():
                where = f"--namespace={self.spaces.own}"
                kubectl("rollout", "status", where, "--timeout=600s", each, seconds=660)
        for space in self.spaces.ours:
            kubectl("label", "namespace", space, f"{MARK}=yes", "--overwrite")

    def take_away(self, home: Path) -> None:
        """Remove it all, and wait until it is gone."""
        if self.usual:
            # These tests made it, so nobody has to be asked.
            run(ROOT / "helm" / "undeploy", "dev", home=home, seconds=1200, YES="1")
        else:
            words = ("--selector=app.kubernetes.io/managed-by=noria", "--ignore-not-found")
            kubectl("delete", "inferenceservices", f"--namespace={self.spaces.serving}", *words, seconds=600)
            kubectl("delete", "--kustomize", str(self.manifests), "--ignore-not-found", seconds=900)
        wait_until(lambda: not self.there(), "our namespaces are gone", GONE_SECONDS, self.there)

    def there(self) -> dict[str, bool]:
        """Those of our namespaces that the cluster has, and whether these tests made them."""
        found = {each["metadata"]["name"]: each["metadata"] for each in read("namespaces")["items"]}
        return {name: MARK in found[name].get("labels", {}) for name in self.spaces.ours if name in found}

    def beside_pipelines(self) -> set[OBJECT]:
        """What is called after Noria in the namespace of the runs."""
        found = read("secrets,configmaps", f"--namespace={self.spaces.pipelines}")["items"]
        named = {(each["kind"], each["metadata"]["name"]) for each in found}
        return {each for each in named if each[1].startswith("noria-")}

    def _merged(self) -> Mapping[str, Any]:
        from helm_python import Chart

        with Chart.load(CHART) as chart:
            merged: dict[str, Any] = chart.merge_values(self.values)
        return merged


def hooks(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What `helm test` runs, and what that needs."""
    found = [each for objects in render(values).values() for each in objects]
    return [each for each in found if HOOK in each["metadata"].get("annotations", {})]


def _write(values: Mapping[str, Any], folder: Path) -> None:
    """Let the folder hold what the chart makes of the values, and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, text in manifests("dev", values).items():
        (folder / name).write_text(text)


def _makes_volumes() -> bool:
    """Whether the cluster has a volume for a claim that names no class, as `make deploy` finds out."""
    classes = [each["metadata"].get("annotations", {}) for each in read("storageclasses")["items"]]
    return any(each.get(DEFAULT_CLASS) == "true" for each in classes)


def environment(home: Path, **more: str) -> dict[str, str]:
    """That of a program of the project: of its settings here, only those that say where the cluster is."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(KEPT) or not name.startswith(("NORIA_", "AWS_"))
    }
    path = f"{Path(KUBECTL).parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "BIN": str(Path(sys.executable).parent), "NORIA_HOME": str(home), **more}


def set_up(home: Path, patch: pytest.MonkeyPatch) -> None:
    """Give this process the environment of a program of the project."""
    given = environment(home)
    for name in set(os.environ) - set(given):
        patch.delenv(name)
    for name, value in given.items():
        patch.setenv(name, value)


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
