"""manifests/: what `kubectl apply -k` takes is what the chart renders, byte for byte."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from rendered import MANIFESTS, objects

from helm.render import HOOK, environments, manifests

KUBECTL = Path(sys.executable).with_name("kubectl")


def test_there_are_manifests_for_dev_qa_and_prod_and_no_other():
    assert environments() == ("dev", "prod", "qa")
    assert sorted(path.name for path in MANIFESTS.iterdir()) == ["dev", "prod", "qa"]


@pytest.mark.parametrize("environment", environments())
def test_the_manifests_are_what_the_chart_renders(environment):
    there = {path.name: path.read_text() for path in (MANIFESTS / environment).iterdir()}
    assert there == manifests(environment), "run `make manifests`"


@pytest.mark.parametrize("environment", environments())
def test_kubectl_puts_together_every_object_but_the_hooks(environment):
    made = subprocess.run(
        [KUBECTL, "kustomize", MANIFESTS / environment], capture_output=True, text=True, check=True
    ).stdout
    found = list(yaml.safe_load_all(made))
    expected = [each for each in objects(environment) if HOOK not in each["metadata"].get("annotations", {})]
    assert sorted(map(written, found)) == sorted(map(written, expected))
    assert found[0]["kind"] == "Namespace"  # or nothing could be made in it


def written(each):
    return json.dumps(each, sort_keys=True)


def test_rendering_removes_what_the_chart_no_longer_makes(tmp_path, monkeypatch):
    from helm import render

    monkeypatch.setattr(render, "MANIFESTS", tmp_path)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "former.yaml").write_text("kind: Former\n")
    render.main()
    assert not (tmp_path / "dev" / "former.yaml").exists()
    assert (tmp_path / "prod" / "kustomization.yaml").exists()


@pytest.fixture
def own_environments(tmp_path, monkeypatch):
    """A folder of environments to write into, and one of manifests beside it."""
    from helm import render

    for name, folder in (("ENVIRONMENTS", tmp_path / "environments"), ("MANIFESTS", tmp_path / "manifests")):
        folder.mkdir()
        monkeypatch.setattr(render, name, folder)
    (tmp_path / "environments" / "acme.yaml").write_text("devServices: {enabled: true}\n")
    return tmp_path


def test_an_environment_of_one_s_own_is_rendered_and_goes_when_its_values_go(own_environments, capsys):
    from helm import render

    strange = own_environments / "manifests" / "theirs"
    strange.mkdir()
    (strange / "object.yaml").write_text("kind: Secret\n")
    assert render.main() == 0
    assert (own_environments / "manifests" / "acme" / "kustomization.yaml").exists()
    (own_environments / "environments" / "acme.yaml").unlink()
    assert render.main() == 0
    assert "manifests/acme: removed" in capsys.readouterr().out
    assert not (own_environments / "manifests" / "acme").exists()
    assert (strange / "object.yaml").exists()  # it was not rendered


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("devServices: {enable: true}", "additional properties 'enable' not allowed"),
        ("images: {requireDigest: true}", " has no digest, and images.requireDigest is on"),
        ("images: [", "is no YAML"),
    ],
)
def test_a_value_that_is_none_is_told_in_one_sentence_with_its_file_and_nothing_is_written(
    own_environments, capsys, text, words
):
    from helm import render

    (own_environments / "environments" / "wrong.yaml").write_text(f"materialize: {{enabled: true}}\n{text}\n")
    assert render.main() == 2
    told = capsys.readouterr().err
    assert told.startswith("make manifests: helm/environments/wrong.yaml ")
    assert words in told
    assert list((own_environments / "manifests").iterdir()) == []


def test_the_environments_hold_only_what_differs_from_the_defaults():
    from rendered import CHART

    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    for environment in environments():
        said = yaml.safe_load((CHART.parent / "environments" / f"{environment}.yaml").read_text())
        assert [path for path, value in leaves(said) if value == look_up(defaults, path)] == [], environment


def leaves(node, path=()):
    if isinstance(node, dict) and path != ("predictors",) and "cpu" not in node:
        for key, inner in node.items():
            yield from leaves(inner, (*path, key))
    else:
        yield path, node


def look_up(node, path):
    for key in path:
        node = node[key]
    return node
