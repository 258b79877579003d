"""Render: manifests/<environment> from the chart, for `kubectl apply -k`; `python -m helm.render` writes them all.

`python -m helm.render dev FOLDER` writes those of one environment for a cluster that makes no volumes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parent / "noria"
ENVIRONMENTS = Path(__file__).parent / "environments"
MANIFESTS = Path(__file__).parents[1] / "manifests"
RELEASE = NAMESPACE = "noria"
# Helm would make the release's namespace itself; `kubectl apply` finds it in the files.
ONLY_RENDERED = {"createRelease": True}
HOOK = "helm.sh/hook"


def render(values: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """All objects of the chart with these values, by the file of the template that they come from."""
    from helm_python import Chart  # Helm itself: no other way renders as it does

    with Chart.load(CHART) as chart:
        texts = chart.render(dict(values), name=RELEASE, namespace=NAMESPACE)
    found = {}
    for path, text in sorted(texts.items()):
        if path.endswith(".yaml") and (objects := [each for each in yaml.safe_load_all(text) if each]):
            found[Path(path).name] = objects
    return found


def values_of(environment: str) -> dict[str, Any]:
    """What the environment sets, and what only rendered files need."""
    said: dict[str, Any] = yaml.safe_load((ENVIRONMENTS / f"{environment}.yaml").read_text())
    return {**said, "namespaces": {**said.get("namespaces", {}), **ONLY_RENDERED}}


def without_volumes(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same, but the development parts keep their data in their pods, and lose them with these."""
    parts = values.get("devServices", {})
    return {**values, "devServices": {**parts, "storage": {**parts.get("storage", {}), "size": ""}}}


def merged_values(environment: str) -> dict[str, Any]:
    """All values of the chart, as they are in the environment."""
    from helm_python import Chart

    with Chart.load(CHART) as chart:
        merged: dict[str, Any] = chart.merge_values(values_of(environment))
    return merged


def environments() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in ENVIRONMENTS.glob("*.yaml")))


def manifests(environment: str, values: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The files of manifests/<environment>, by name; what Helm runs as a hook is not among them."""
    files = {}
    for name, objects in render(values_of(environment) if values is None else values).items():
        kept = [each for each in objects if HOOK not in each["metadata"].get("annotations", {})]
        if kept:
            files[name] = _write(name, environment, kept)
    listed = sorted(files, key=lambda name: (name != "namespaces.yaml", name))
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": listed}
    files["kustomization.yaml"] = _write("the list of them", environment, [head])
    return files


def _write(name: str, environment: str, objects: list[dict[str, Any]]) -> str:
    origin = f"# Rendered by `make manifests` from helm/noria ({name}) and helm/environments/{environment}.yaml.\n"
    return origin + "---\n".join(yaml.dump(each, Dumper=_Dumper, sort_keys=False, width=110) for each in objects)


class _Dumper(yaml.SafeDumper):
    """Writes a text of several lines as one, so that a change of it can be read."""


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _write_text)


def main(arguments: Sequence[str] = ()) -> None:
    """Write them all; or, with an environment and a folder, those of a cluster that makes no volumes."""
    if arguments:
        environment, folder = arguments
        _fill(Path(folder), manifests(environment, without_volumes(values_of(environment))))
        return
    for environment in environments():
        files = manifests(environment)
        _fill(MANIFESTS / environment, files)
        sys.stdout.write(f"manifests/{environment}: {len(files)} files\n")


def _fill(folder: Path, files: Mapping[str, str]) -> None:
    """Let the folder hold these files and no other."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in set(folder.iterdir()) - {folder / name for name in files}:
        old.unlink()
    for name, text in files.items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
