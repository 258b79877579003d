"""Render: manifests/<environment> from the chart, for `kubectl apply -k`; `python -m helm.render` writes them all.

`python -m helm.render dev FOLDER` writes those of one environment for a cluster that makes no volumes.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from noria.errors import UsageError

CHART = Path(__file__).parent / "noria"
ENVIRONMENTS = Path(__file__).parent / "environments"
MANIFESTS = Path(__file__).parents[1] / "manifests"
RELEASE = NAMESPACE = "noria"
# Helm would make the release's namespace itself; `kubectl apply` finds it in the files.
ONLY_RENDERED = {"createRelease": True}
HOOK = "helm.sh/hook"
ORIGIN = "# Rendered by `make manifests` from helm/noria"


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
    try:
        said: dict[str, Any] = yaml.safe_load((ENVIRONMENTS / f"{environment}.yaml").read_text()) or {}
    except yaml.YAMLError as error:
        raise UsageError(f"helm/environments/{environment}.yaml is no YAML ({error}): mend it") from error
    return {**said, "namespaces": {**said.get("namespaces", {}), **ONLY_RENDERED}}


def without_volumes(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same, but the development parts keep their data in their pods, and lose them with these."""
    parts = values.get("devServices", {})
    return {**values, "devServices": {**parts, "storage": {**parts.get("storage", {}), "size": ""}}}


def merged_values(environment: str) -> dict[str, Any]:
    """All values of the chart, as they are in the environment."""
    from helm_python import Chart

    with Chart.load(CHART) as chart, _named(environment):
        merged: dict[str, Any] = chart.merge_values(values_of(environment))
        chart.validate_schema(merged)
    return merged


@contextmanager
def _named(environment: str) -> Iterator[None]:
    """Tell of a value that the chart does not take where it stands; UsageError."""
    from helm_python import HelmError

    try:
        yield
    except HelmError as error:
        lines = str(error).splitlines()
        said = " ".join([line.strip() for line in lines if line.startswith("- at ")] or lines)
        raise UsageError(
            f"helm/environments/{environment}.yaml has a value that the chart does not take ({said}): "
            "helm/noria/values.yaml says what there is, and what for"
        ) from error


def environments() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in ENVIRONMENTS.glob("*.yaml")))


def manifests(environment: str, values: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The files of manifests/<environment>, by name; what Helm runs as a hook is not among them."""
    files = {}
    with _named(environment):
        made = render(values_of(environment) if values is None else values)
    for name, objects in made.items():
        kept = [each for each in objects if HOOK not in each["metadata"].get("annotations", {})]
        if kept:
            files[name] = _write(name, environment, kept)
    listed = sorted(files, key=lambda name: (name != "namespaces.yaml", name))
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": listed}
    files["kustomization.yaml"] = _write("the list of them", environment, [head])
    return files


def _write(name: str, environment: str, objects: list[dict[str, Any]]) -> str:
    origin = f"{ORIGIN} ({name}) and helm/environments/{environment}.yaml.\n"
    return origin + "---\n".join(yaml.dump(each, Dumper=_Dumper, sort_keys=False, width=110) for each in objects)


class _Dumper(yaml.SafeDumper):
    """Writes a text of several lines as one, so that a change of it can be read."""


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _write_text)


def main(arguments: Sequence[str] = ()) -> int:
    """Write them all, or those of one environment into a folder, for a cluster that makes no volumes; the exit code."""
    try:
        if arguments:
            environment, folder = arguments
            _fill(Path(folder), manifests(environment, without_volumes(values_of(environment))))
        else:
            _write_all()
    except UsageError as error:
        sys.stderr.write(f"make manifests: {error}\n")
        return error.exit_code
    return 0


def _write_all() -> None:
    made = {environment: manifests(environment) for environment in environments()}
    for environment, files in made.items():
        _fill(MANIFESTS / environment, files)
        sys.stdout.write(f"manifests/{environment}: {len(files)} files\n")
    for folder in sorted(set(MANIFESTS.iterdir()) - {MANIFESTS / environment for environment in made}):
        if folder.is_dir() and all(path.read_text().startswith(ORIGIN) for path in folder.iterdir()):
            shutil.rmtree(folder)
            sys.stdout.write(f"manifests/{folder.name}: removed, because helm/environments has it no more\n")


def _fill(folder: Path, files: Mapping[str, str]) -> None:
    """Let the folder hold these files and no other."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in set(folder.iterdir()) - {folder / name for name in files}:
        old.unlink()
    for name, text in files.items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
