"""Who has a cluster in mind and reads this machine's ledger is told so, and how to come to the cluster's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from noria_command import Noria

from noria.cli.whose_ledger import beginning, is_elsewhere
from noria.errors import BundleError
from noria.settings import Settings
from noria.steps.workspace import Workspace
from noria.stores.anchor import AnchorFile

VERBS = ("status", "releases", "which", "rollback --reason complaints", "status --json", "releases --json")


@pytest.mark.parametrize("words", VERBS)
def test_every_verb_of_the_ledger_says_whose_it_is_before_its_answer(tmp_path: Path, words: str) -> None:
    noria = Noria(home=tmp_path / "home", site=tmp_path).with_settings(NORIA_KFP="http://localhost:8888")
    done = noria(*words.split())
    said = " ".join(done.err.split())
    assert said.startswith(f"This is the ledger of this machine ({tmp_path / 'home' / 'objects'}), not that of the")
    assert "cluster that NORIA_KFP names. `make connect ENV=dev` leads to that one, with SIGN=1 for a rollback" in said
    for name in ("NORIA_OBJECTS=s3://", "NORIA_OBJECTS_KEYS", "NORIA_TRUSTED_KEYS", "NORIA_SIGNING_KEY"):
        assert name in said
    if "--json" in words:
        json.loads(done.out)


def test_a_rollback_where_an_inference_service_serves_names_the_way_before_it_fails(tmp_path: Path) -> None:
    noria = Noria(home=tmp_path / "home", site=tmp_path).with_settings(NORIA_SERVING="kserve")
    done = noria("rollback", "--reason", "complaints")
    said = " ".join(done.err.split())
    assert done.code == 2
    assert said.index("the cluster that NORIA_SERVING=kserve means") < said.index("no pod can fetch a bundle")


def test_a_ledger_without_a_champion_names_what_makes_one_there(tmp_path: Path) -> None:
    run, submit = "`noria run --task fashion` makes one", "`noria submit --task fashion`"
    plain = Settings.from_environment({}, tmp_path)
    both = Settings.from_environment({"NORIA_KFP": "http://localhost:8888"}, tmp_path)
    assert beginning(plain, "fashion") == run
    assert beginning(both, "fashion") == f"{run} here, {submit} on the cluster"
    assert beginning(replace(both, objects="s3://noria/dev"), "fashion") == f"{submit} makes one"
    noria = Noria(home=tmp_path / "home", site=tmp_path).with_settings(NORIA_KFP="http://localhost:8888")
    for words in ("status", "releases"):
        assert submit in " ".join(noria(words).out.split())


def test_a_fresh_cluster_without_its_bucket_has_no_release_yet(tmp_path: Path, s3_environment: None) -> None:
    noria = Noria(home=tmp_path / "home", site=tmp_path)
    connected = noria.with_settings(NORIA_OBJECTS="s3://noria-absent/dev", NORIA_KFP="http://127.0.0.1:1")
    for words, nothing in (("status", None), ("releases", [])):
        shown, told = connected(words), connected(words, "--json")
        assert (shown.code, told.code) == (0, 0), shown.err
        assert "`noria submit --task fashion` makes one" in shown.out
        said = " ".join(shown.err.split())
        assert "no release yet: the bucket noria-absent is not there. On a fresh cluster the first run makes it" in said
        assert "correct NORIA_OBJECTS" in said
        assert (told.told["champion"] if words == "status" else told.told) == nothing
    alone = noria.with_settings(NORIA_OBJECTS="s3://noria-absent/dev")("status")
    assert (alone.code, "NoSuchBucket" in alone.err) == (1, True)


def test_a_bucket_whose_releases_were_seen_before_is_missed(tmp_path: Path, s3_environment: None) -> None:
    settings = {"NORIA_OBJECTS": "s3://noria-absent/dev", "NORIA_KFP": "http://127.0.0.1:1"}
    home = tmp_path / "home"
    AnchorFile(home / "anchors", "fashion", "s3://noria-absent/dev/releases/fashion").advance(3, "a" * 64)
    done = Noria(home=home, site=tmp_path).with_settings(**settings)("status")
    assert (done.code, "NoSuchBucket" in done.err) == (1, True)


def test_a_key_that_signs_and_is_not_there_comes_with_the_connection(tmp_path: Path) -> None:
    signer = Workspace(settings=Settings.from_environment({"NORIA_SIGNING_KEY": "/nowhere/signing.pem"}, tmp_path))
    with pytest.raises(BundleError, match="that of a cluster comes with `make connect SIGN=1`"):
        assert signer.signer


def test_where_no_cluster_is_known_the_way_to_one_comes_before_doing_without(tmp_path: Path) -> None:
    noria = Noria(home=tmp_path / "home", site=tmp_path).with_settings(NORIA_SERVING="kserve", HOME=str(tmp_path))
    said = " ".join(noria("status").out.split())
    named = [
        said.index(words) for words in ("let KUBECONFIG name the file", "make connect ENV=dev", "NORIA_SERVING=le")
    ]
    assert named == sorted(named)


def test_nothing_is_said_without_a_cluster_or_with_its_own_ledger(tmp_path: Path) -> None:
    plain = Settings.from_environment({}, tmp_path)
    assert not is_elsewhere(plain)
    named = Settings.from_environment({"NORIA_KFP": "http://localhost:8888"}, tmp_path)
    assert is_elsewhere(named)
    assert not is_elsewhere(replace(named, objects="s3://noria/dev"))
    assert Noria(home=tmp_path / "home", site=tmp_path)("status").err == ""
