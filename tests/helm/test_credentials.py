"""`make secrets`: what the chart refers to is made once, is alike wherever it is, and is never shown."""

from __future__ import annotations

import json
import os
from pathlib import Path

import kubernetes_validate
import pytest
from test_chart_references import BROUGHT

from helm.credentials import Kubectl, main, supply
from helm.render import merged_values
from noria.ml.signature import Signer, TrustedKeys, make_key
from pipelines import placement

Place = tuple[str, str, str]


class Objects:
    """A cluster cannot be had here: its objects, by namespace, kind and name."""

    def __init__(self) -> None:
        self.data: dict[Place, dict[str, str]] = {}

    def read(self, kind: str, name: str, namespace: str) -> dict[str, str] | None:
        return self.data.get((namespace, kind, name))

    def create(self, kind: str, name: str, namespace: str, data: dict[str, str]) -> None:
        assert (namespace, kind, name) not in self.data, "it is there already"
        self.data[namespace, kind, name] = data


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Objects:
    for name in [name for name in os.environ if name.startswith("NORIA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NORIA_HOME", str(tmp_path / "home"))
    return Objects()


def make(cluster: Objects, environment: str = "dev") -> int:
    return supply(cluster, merged_values(environment))


def test_all_that_the_objects_and_the_pipeline_name_is_made(cluster):
    assert make(cluster) == 0
    steps = {
        ("kubeflow", "Secret", placement.STORE_SECRET): set(placement.STORE_KEYS),
        ("kubeflow", "Secret", placement.SIGNING_SECRET): {"signing.pem"},
        ("kubeflow", "ConfigMap", placement.TRUSTED_KEYS): set(),
    }
    assert set(cluster.data) == set(BROUGHT | steps)
    for place, keys in (BROUGHT | steps).items():
        assert keys <= set(cluster.data[place])


def test_what_is_in_several_namespaces_is_alike(cluster):
    make(cluster)
    for kind, name, count in (
        ("Secret", "noria-s3", 3),
        ("Secret", "noria-redis", 2),
        ("ConfigMap", "noria-trusted-keys", 2),
    ):
        found = [data for place, data in cluster.data.items() if place[1:] == (kind, name)]
        assert len(found) == count
        assert all(each == found[0] for each in found)


def test_a_repetition_changes_nothing_and_a_lost_part_comes_back_as_it_was(cluster, capsys):
    make(cluster)
    before = dict(cluster.data)
    capsys.readouterr()
    assert make(cluster) == 0
    assert capsys.readouterr().out == ""
    del cluster.data["noria-serving", "Secret", "noria-s3"]
    make(cluster)
    assert capsys.readouterr().out == "made Secret noria-s3 in noria-serving\n"
    assert cluster.data == before


def test_the_predictors_trust_the_key_that_the_steps_sign_with_where_the_cluster_has_one_of_its_own(cluster, tmp_path):
    own = make_key(tmp_path / "elsewhere")
    path = tmp_path / "elsewhere" / "signing.pem"
    cluster.create("Secret", "noria-signing", "kubeflow", {"signing.pem": path.read_text()})
    make(cluster)
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    for name, text in cluster.data["noria-serving", "ConfigMap", "noria-trusted-keys"].items():
        (trusted / name).write_text(text)
    signature = Signer(path).sign("text", b"payload")
    TrustedKeys(trusted).verify_payload(key_id=own.key_id, payload_type="text", payload=b"payload", signature=signature)


def test_a_laptop_and_its_cluster_sign_with_one_key(cluster, tmp_path):
    key = make_key(tmp_path / "home" / "keys")
    make(cluster)
    assert cluster.data["kubeflow", "Secret", "noria-signing"] == {
        "signing.pem": (tmp_path / "home" / "keys" / "signing.pem").read_text()
    }
    assert f"{key.key_id}.pem" in cluster.data["noria-serving", "ConfigMap", "noria-trusted-keys"]


def test_no_secret_is_shown(cluster, capsys):
    make(cluster)
    shown = "".join(capsys.readouterr())
    for (_, kind, _), data in cluster.data.items():
        assert kind == "ConfigMap" or not any(text in shown for text in data.values())


@pytest.mark.parametrize("environment", ["qa", "prod"])
def test_for_systems_of_others_no_password_is_made_up(cluster, environment, capsys):
    assert make(cluster, environment) == 1
    assert cluster.data == {}
    told = capsys.readouterr().err
    assert "missing: Secret noria-s3 (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) in noria, noria-serving" in told


KUBECTL = """#!/bin/sh
echo "$@" >> words
if [ "$1" = get ]; then
  [ ! -s sent ] || echo '{"data": {"password": "aGlkZGVu"}}'
else cat > sent; fi
"""


def test_kubectl_is_given_a_secret_by_its_standard_input_only(tmp_path, monkeypatch):
    command = tmp_path / "kubectl"
    command.write_text(KUBECTL)
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)
    kubectl = Kubectl()
    assert kubectl.read("Secret", "noria-redis", "noria") is None
    kubectl.create("Secret", "noria-redis", "noria", {"password": "hidden"})
    assert "hidden" not in (tmp_path / "words").read_text()
    sent = json.loads((tmp_path / "sent").read_text())
    kubernetes_validate.validate(sent, "1.34", strict=True)
    assert sent["stringData"] == {"password": "hidden"}
    assert kubectl.read("Secret", "noria-redis", "noria") == {"password": "hidden"}


def test_a_cluster_that_does_not_answer_is_told_in_words(tmp_path, monkeypatch, capsys):
    command = tmp_path / "kubectl"
    command.write_text('#!/bin/sh\n[ "$1" != config ] || exit 0; echo no route >&2; exit 1\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    assert main(["dev"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("make secrets: no cluster answers at ")
    assert told.endswith("kubectl says: no route\n")


def test_an_environment_that_there_is_not_is_told(capsys):
    assert main(["staging"]) == 2
    assert "expected one of dev, prod, qa" in capsys.readouterr().err
