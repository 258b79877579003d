"""Who has a cluster in mind and reads this machine's ledger is told so, and how to come to the cluster's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from noria_command import Noria

from noria.cli.whose_ledger import is_elsewhere
from noria.settings import Settings

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


def test_nothing_is_said_without_a_cluster_or_with_its_own_ledger(tmp_path: Path) -> None:
    plain = Settings.from_environment({}, tmp_path)
    assert not is_elsewhere(plain)
    named = Settings.from_environment({"NORIA_KFP": "http://localhost:8888"}, tmp_path)
    assert is_elsewhere(named)
    assert not is_elsewhere(replace(named, objects="s3://noria/dev"))
    assert Noria(home=tmp_path / "home", site=tmp_path)("status").err == ""
